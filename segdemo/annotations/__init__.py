"""Instance masks in and out: the formats of annotation tools and of methods without labels.

`read_masks` finds out by content what it was given; `write_masks` says in words what a format
could not hold. numpy, Pillow and pycocotools only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

from segdemo.annotations.arrays import add_arrays, write_npz
from segdemo.annotations.class_file import CLASS_FILE
from segdemo.annotations.class_list import ClassList
from segdemo.annotations.coco import read_coco, read_results, read_sam
from segdemo.annotations.coco_writer import write_coco, write_coco_polygons
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.cutouts import write_cutouts
from segdemo.annotations.file_names import check_distinct
from segdemo.annotations.folders import (
    LABEL_SUFFIXES,
    annotation_files,
    plugin_suffixes,
    read_label_images,
    unpack,
)
from segdemo.annotations.instance_runs import AsRuns, InstanceRuns, Instances
from segdemo.annotations.label_images import add_label_image, write_indexed
from segdemo.annotations.label_map_file import LABEL_MAP
from segdemo.annotations.labelme import read_labelme, write_labelme
from segdemo.annotations.notes import MALFORMED, ForeignFileError, MasksRead, sentences
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.panoptic import read_panoptic, write_panoptic
from segdemo.annotations.voc import is_voc, read_voc
from segdemo.annotations.yolo import NAME_FILES, read_yolo, write_yolo
from segdemo.datatypes import Front, InputError, InstanceMasks, RGBImage
from segdemo.plugins import added, call_plugin, plugins
from segdemo.regular_files import open_regular

MaskFormat = Literal[
    "coco", "coco-polygons", "panoptic", "indexed", "npz", "yolo", "labelme", "cutouts"
]
"""coco, coco-polygons and panoptic are one JSON (panoptic with a folder of its name beside it),
the others a folder with a file for each image, cutouts one for each instance."""

_LISTS = (*NAME_FILES, LABEL_MAP, CLASS_FILE)
_TOLD = 3  # reasons in one message

__all__ = [
    "ClassList",
    "InstanceRuns",
    "Instances",
    "MaskFormat",
    "MasksRead",
    "mask_formats",
    "read_masks",
    "write_masks",
]


def read_masks(
    path: Path,
    image_sizes: Mapping[str, tuple[int, int]] | None = None,
    classes: ClassList | None = None,
    name: str | None = None,
) -> MasksRead:
    """Read the masks of one or several images from a file, a zip archive or a folder.

    image_sizes: (height, width) of the images wanted, by file name; masks are matched to them by
    the whole name, else by the name without folder and ending, must have their size, and are
    returned under these names in this order; images without masks are missing from the result.
    None takes all images, under the names the files give, else the files' own without ending.
    classes: label images and arrays are class maps with these numbers, not ids of instances; a
    class's pixels make one mask, however many regions they form, and void none. name: what messages
    call the file; its own by default.

    In a folder or archive, JSON counts before TXT, TXT before NPZ and NPY, these before images,
    so that the images themselves may lie beside their masks. An image, entry or file that cannot be
    used is left out, the rest is read; the result says what and why. Raises InputError, which names
    the file and the way out, where nothing is left.
    """
    file = name or path.name
    collector = MaskCollector(image_sizes)
    try:
        if path.is_dir():
            _read_folder(path, file, collector, classes)
        else:
            _read_file(path, path.parent, Path(file).stem, file, collector, classes)
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from error
    found = collector.found
    notes = collector.notes
    if not any(map(len, found.values())) and any(note.left_out for note in notes):
        told = sentences([note for note in notes if note.left_out])
        more = [f"{len(told) - _TOLD} more things were left out."] if len(told) > _TOLD else []
        raise InputError(" ".join(told[:_TOLD] + more))
    if image_sizes is not None:
        found = {key: found[key] for key in image_sizes if key in found}
    return MasksRead(found, tuple(notes), frozenset(collector.stuff))


def write_masks(
    masks_by_name: Mapping[str, InstanceMasks] | Mapping[str, InstanceRuns],
    path: Path,
    mask_format: str,
    images: Mapping[str, RGBImage] | None = None,
    front: Front = "smaller",
    stuff: Collection[str] = (),
) -> list[str]:
    """Write masks of images in a format; return what it could not hold, in sentences.

    path: the JSON or the folder, see `MaskFormat`; folders are made, files of the same names
    replaced, each only once its successor is complete. images: the images, for cutouts. front:
    which instance is written where several overlap and the format holds one. stuff: names of
    classes without instances, for panoptic: each makes one segment an image. Raises InputError for
    names that lead out of the folder or would share a file, classes that differ between images,
    and missing images; OSError where writing fails.
    """
    omissions = Omissions()
    found = AsRuns(masks_by_name)
    if mask_format not in ("coco", "coco-polygons"):
        check_distinct(found)
    match mask_format:
        case "coco":
            write_coco(found, path, omissions)
        case "coco-polygons":
            write_coco_polygons(found, path, omissions)
        case "panoptic":
            write_panoptic(found, path, omissions, front, stuff)
        case "indexed":
            write_indexed(found, path, omissions, front)
        case "npz":
            write_npz(found, path)
        case "yolo":
            write_yolo(found, path, omissions)
        case "labelme":
            write_labelme(found, path, omissions)
        case "cutouts":
            write_cutouts(found, path, images or {}, omissions)
        case _:
            return _write_by_plugin(found, path, mask_format)
    return omissions.sentences()


def mask_formats() -> tuple[str, ...]:
    """Return the names of all formats that can be written, a plugin's last."""
    more = [name for name, kind in plugins().mask_formats.items() if kind.write]
    return tuple(added(dict.fromkeys(get_args(MaskFormat)), dict.fromkeys(more)))


def _write_by_plugin(found: AsRuns, path: Path, mask_format: str) -> list[str]:
    kind = plugins().mask_formats.get(mask_format)
    if kind is None or kind.write is None:
        known = ", ".join(mask_formats())
        raise InputError(f"{mask_format} is not a mask format: choose one of {known}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    decoded = {name: masks.decoded() for name, masks in found.items()}
    return call_plugin(mask_format, kind.write, decoded, path)


def _read_by_plugin(path: Path, file: str, collector: MaskCollector) -> bool:
    """Read a file by the plugin that knows its ending; returns whether there is one."""
    suffix = Path(file).suffix.lower()
    for kind in plugins().mask_formats.values():
        if kind.suffix == suffix and kind.read is not None:
            for name, masks in call_plugin(file, kind.read, path).items():
                if (key := collector.key(name, file)) is not None:
                    collector.make_room(key, masks.size, len(masks), file)
                    collector.add(key, InstanceRuns.of(masks), file)
            return True
    return False


def _read_folder(
    folder: Path, file: str, collector: MaskCollector, classes: ClassList | None
) -> None:
    files = annotation_files(folder)
    images = [path for path in files if path.suffix.lower() in LABEL_SUFFIXES]
    others = [path for path in files if path not in images and path.name not in _LISTS]
    if is_voc(images, folder) and classes is None:
        read_voc(images, folder, collector)
        return
    texts = [path for path in others if path.suffix.lower() == ".txt"]
    if len(others) > len(texts) or images:  # lists and notes are texts as well
        texts = [path for path in texts if _is_wanted(path, folder, collector)]
    arrays = [path for path in others if path.suffix.lower() in (".npz", ".npy")]
    jsons = [path for path in others if path.suffix.lower() == ".json"]
    foreign = [path for path in others if path.suffix.lower() in plugin_suffixes()]
    before = len(collector.found)
    for chosen in (foreign, jsons, texts, arrays):
        if _read_files(chosen, folder, collector, classes) or len(collector.found) > before:
            return
    if images:
        read_label_images(images, folder, file, collector, classes)
    elif not collector.notes:
        raise InputError(f"{file} holds no masks: put PNG, JSON, TXT, NPZ or NPY files into it.")


def _read_files(
    chosen: list[Path], folder: Path, collector: MaskCollector, classes: ClassList | None
) -> bool:
    """Read each file, and note those that cannot be; returns whether one was to hold masks."""
    meant = False
    for path in chosen:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        with collector.notes.guarding(path.name):
            try:
                _read_file(path, folder, stem, path.name, collector, classes)
                meant = True
            except ForeignFileError as error:
                if not _is_wanted(path, folder, collector):
                    collector.notes.change(path.name, "", f"passed over, {error}")
                    continue
                meant = True
                raise
            except InputError:
                meant = True
                raise
    return meant


def _is_wanted(path: Path, folder: Path, collector: MaskCollector) -> bool:
    """Whether a file is called like a wanted image."""
    if collector.names is None:
        return False
    stem = path.relative_to(folder).with_suffix("").as_posix()
    try:
        return collector.key(stem, path.name) is not None
    except InputError:  # it could be several
        return True


def _read_file(
    path: Path,
    folder: Path,
    stem: str,
    file: str,
    collector: MaskCollector,
    classes: ClassList | None,
) -> None:
    """Read one file of a folder. stem: the image's name where the file names none."""
    suffix = Path(file).suffix.lower()
    with open_regular(path) as stream:
        start = stream.read(8)
    if _read_by_plugin(path, file, collector):
        return
    if suffix == ".txt":
        read_yolo(path, folder, stem, collector, file)
    elif suffix == ".npz" or start.startswith(b"\x93NUMPY"):
        add_arrays(path, stem, collector, file, classes)
    elif start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        with TemporaryDirectory(prefix="masks-") as place:
            unpack(path, file, Path(place), collector.notes)
            _read_folder(Path(place), file, collector, classes)
    elif suffix == ".json" or start.lstrip()[:1] in (b"{", b"["):
        _read_json(path, stem, file, collector)
    elif suffix in LABEL_SUFFIXES or start.startswith(b"\x89PNG"):
        add_label_image(path, stem, collector, file, classes)
    else:
        raise InputError(
            f"{file} is not a mask format known here: give COCO, panoptic or LabelMe JSON, YOLO "
            "TXT, label PNG, NPZ, NPY, or a zip or folder of these."
        )


def _read_json(path: Path, stem: str, file: str, collector: MaskCollector) -> None:
    try:
        content: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged or not JSON: export it again.") from error
    try:
        _read_content(content, path, stem, file, collector)
    except InputError:
        raise
    except MALFORMED as error:
        raise InputError(f"{file} is incomplete or damaged: export it again.") from error


def _read_content(content: Any, path: Path, stem: str, file: str, collector: MaskCollector) -> None:
    match content:
        case {"shapes": list()}:
            read_labelme(content, stem, collector, file)
        case {"annotations": [{"segments_info": _}, *_]}:
            read_panoptic(content, path, collector, file)
        case {"annotations": [{"caption": _}, *_]}:
            raise ForeignFileError(f"{file} holds captions, not masks.")
        case {"annotations": [{"keypoints": _}, *_]} if collector.found:
            raise ForeignFileError(f"{file} holds poses of objects whose masks others have.")
        case {"annotations": list(), "images": list()} | {"annotations": list(), "image": dict()}:
            read_coco(content, collector, file)
        case [{"image_id": _, "bbox": _, **rest}, *_] if "segmentation" not in rest and not any(
            "segmentation" in result for result in content if isinstance(result, dict)
        ):
            raise ForeignFileError(f"{file} holds boxes, not masks: export segmentations.")
        case [{"image_id": _}, *_]:
            read_results(content, collector, file)
        case [{"segmentation": _}, *_]:
            read_sam(content, stem, collector, file)
        case _:
            raise ForeignFileError(
                f"{file} is JSON, but holds no masks: it needs images and annotations (COCO) or "
                "shapes (LabelMe)."
            )
