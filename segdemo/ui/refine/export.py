"""Taking masks away: one image's, all, or all checked, in any format, as one file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from segdemo.annotations import InstanceRuns, MaskFormat, write_masks
from segdemo.annotations.cutouts import ImagesByName
from segdemo.annotations.label_png import UNLABELLED
from segdemo.datatypes import InputError, InstanceMasks, RGBImage
from segdemo.editing.masks import to_runs
from segdemo.editing.sessions import Session
from segdemo.ui.kept_files import download_folder, file_stem, pack
from segdemo.ui.refine.opening import PHOTO

FORMATS: list[tuple[str, MaskFormat]] = [
    ("COCO JSON (RLE, exact)", "coco"),
    ("COCO JSON (polygons)", "coco-polygons"),
    ("Panoptic PNG + JSON", "panoptic"),
    ("Indexed PNG (one a photo)", "indexed"),
    ("NPZ (arrays)", "npz"),
    ("YOLO-seg TXT", "yolo"),
    ("LabelMe JSON", "labelme"),
    ("Cut-outs (RGBA PNG an instance)", "cutouts"),
]
SCOPES = ["This photo", "All photos", "All checked photos"]
ONE_FILE = {"coco", "coco-polygons"}


def export_masks(
    session: Session, current: int, scope: str, mask_format: MaskFormat
) -> tuple[Path, list[str]]:
    """Write masks of a session's images; returns the file and what the format could not hold.

    current: the image that "This photo" means. Raises InputError where there is nothing to write.
    """
    chosen = _chosen(session, current, scope)
    masks: dict[str, InstanceRuns] = {}
    damaged: list[str] = []
    for index in list(chosen):
        try:
            masks[session.names[index]] = to_runs(session.image(index), session.classes)
        except InputError as error:  # the others are exported
            damaged.append(f"{session.names[index]} was left out: {error}")
            chosen.remove(index)
    if not masks:
        raise InputError(" ".join(damaged))
    images = None
    if mask_format == "cutouts":
        images = ImagesByName(
            {session.names[index]: session.file(index, PHOTO) for index in chosen}
        )
    stuff = [session.classes[number] for number in session.stuff if number in session.classes]
    file, losses = write_as_one_file(masks, mask_format, images, stuff)
    losses = [*damaged, *losses]
    if any(UNLABELLED in own.names.values() for own in masks.values()):
        losses.append(f'Instances without a class are called "{UNLABELLED}".')
    return file, losses


def write_as_one_file(
    masks: Mapping[str, InstanceMasks] | Mapping[str, InstanceRuns],
    mask_format: MaskFormat,
    images: Mapping[str, RGBImage] | None,
    stuff: Collection[str] = (),
) -> tuple[Path, list[str]]:
    """Write masks by image name, several files as one zip; see `write_masks`."""
    folder = download_folder()
    names = list(masks)
    stem = f"{file_stem(names[0]) if len(names) == 1 else 'masks'}_{mask_format}"
    single = mask_format in ONE_FILE
    inside = folder / "export" / (f"{stem}.json" if single or mask_format == "panoptic" else stem)
    losses = write_masks(masks, inside, mask_format, images, stuff=stuff)
    if single:
        return inside, losses
    files = sorted(path for path in (folder / "export").rglob("*") if path.is_file())
    return pack(files, folder / f"{stem}.zip", below=folder / "export"), losses


def _chosen(session: Session, current: int, scope: str) -> list[int]:
    indices = session.indices
    if scope == SCOPES[0]:
        indices = [index for index in indices if index == current]
    elif scope == SCOPES[2]:
        indices = [index for index in indices if session.summary(index).checked]
        if not indices:
            raise InputError(
                "No photo is checked yet: press Ctrl+Enter on those you are done with."
            )
    if not indices:
        raise InputError("There is nothing to export yet: open photos first.")
    return indices
