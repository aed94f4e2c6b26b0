"""What lies in a project's folder: which files are its images, and which hold masks of them."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image

from segdemo.annotations.class_file import CLASS_FILE
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.folders import LABEL_SUFFIXES, OTHERS
from segdemo.annotations.label_map_file import LABEL_MAP
from segdemo.annotations.yolo import NAME_FILES
from segdemo.datatypes import InputError
from segdemo.files import find_images
from segdemo.images import FORMATS, image_size

RESULTS, OWN = "annotations", ".segdemo"
MASK_FOLDERS = frozenset(
    "annotations masks mask labels label segmentation segmentations segmentationobject "
    "segmentationclass instances gt ground_truth edges panoptic".split()
)
"""Names of folders, in small letters, whose pictures are masks where images lie elsewhere."""
_LISTS = frozenset((*NAME_FILES, LABEL_MAP, CLASS_FILE))
_LABEL_MODES = ("P", "1", "L", "I", "I;16")
_DERIVED = re.compile(
    r"(?P<image>.+?)[_.-](?:mask|masks|label|labels|instances?|edges?|cutout|(?:mask|obj)[_-]?\d+)",
    re.IGNORECASE,
)
_NO_MASK = re.compile(r".+[_.-](?:edges?|cutout)", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """The files of a project.

    images: names, paths relative to the folder with slashes, sorted. own: files with masks of one
    image, by its name, the one that counts first. shared: files that may hold masks of several.
    """

    images: Sequence[str]
    own: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    shared: Sequence[Path] = ()


def scan(root: Path) -> Layout:
    """Look through a project's folder without opening an image; raises InputError.

    Pictures in `MASK_FOLDERS`, and those called like another image with `_mask`, `_edge` and such
    behind the name, are no images of the project.
    """
    listed = [one.path.relative_to(root).as_posix() for one in find_images([root], root / RESULTS)]
    elsewhere = [name for name in listed if not _in_mask_folder(name)]
    images = _without_derived(root, elsewhere or listed)
    taken = set(images)
    names = MaskCollector(dict.fromkeys(images, (0, 0)))
    own: dict[str, list[Path]] = {}
    shared: list[Path] = []
    for name in _mask_files(root):
        if name in taken or _NO_MASK.fullmatch(PurePosixPath(name).stem):
            continue
        key = _owner(name, names)
        if key is not None:
            own.setdefault(key, []).append(root / name)
        elif name.endswith(".json"):
            shared.append(root / name)
    return Layout(images, {key: sorted(files, key=_rank) for key, files in own.items()}, shared)


class LazySizes(Mapping[str, tuple[int, int]]):
    """(height, width) of images by name; a header is read when its image is asked for."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        """Read nothing yet."""
        self._root, self._names = root, dict.fromkeys(names)

    def __getitem__(self, name: str) -> tuple[int, int]:
        """Read an image's size; raises InputError."""
        if name not in self._names:
            raise KeyError(name)
        return image_size(self._root / name, name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._names)


def result_names(images: Sequence[str]) -> dict[str, str]:
    """Return what each image's result is called, without its ending; no two are equal.

    It is the image's name without its ending, or with it where two images differ in that alone.
    """
    stems: dict[str, list[str]] = {}
    for name in images:
        stems.setdefault(_stem(name).casefold(), []).append(name)
    return {
        name: _stem(name) if len(alike) == 1 else name for alike in stems.values() for name in alike
    }


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0]


def _in_mask_folder(name: str) -> bool:
    return any(part.casefold() in MASK_FOLDERS for part in PurePosixPath(name).parts[:-1])


def _without_derived(root: Path, names: Sequence[str]) -> list[str]:
    """Leave out what is called like another image and holds masks or edges of it."""
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(_stem(name).casefold(), []).append(name)
    kept = []
    for name in names:
        alike = by_stem[_stem(name).casefold()]
        derived = _DERIVED.fullmatch(_stem(name).casefold())
        if derived and derived["image"] in by_stem:
            continue
        if len(alike) > 1 and name.lower().endswith(".png") and _holds_labels(root / name):
            continue
        kept.append(name)
    return kept


def _holds_labels(path: Path) -> bool:
    """Whether a picture beside an image of its name holds numbers: its header says so."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.mode in _LABEL_MODES
    except Exception:  # decoders raise many kinds; what cannot be read is reported as an image
        return False


def _mask_files(root: Path) -> Iterator[str]:
    """Yield names of files that may hold masks, relative to the folder, sorted."""
    for place, subfolders, files in os.walk(root):
        here = Path(place)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            suffix = PurePosixPath(name).suffix.lower()
            if name in _LISTS or name.startswith(".") or suffix not in LABEL_SUFFIXES | OTHERS:
                continue
            yield (here / name).relative_to(root).as_posix()


def _owner(name: str, names: MaskCollector) -> str | None:
    """Return the image that a file is called like, None for none or several."""
    stem = _stem(name)
    derived = _DERIVED.fullmatch(stem)
    folder = PurePosixPath(name).parent.as_posix()
    for tried in (stem, derived["image"] if derived else "", folder if folder != "." else ""):
        if not tried:
            continue
        try:
            key = names.key(tried, name)
        except InputError:  # several
            continue
        if key is not None:
            return key
    return None


def _rank(path: Path) -> tuple[int, str]:
    """Order files as `read_masks` prefers them: JSON, TXT, arrays, pictures."""
    order = (".json", ".txt", ".npz", ".npy")
    suffix = path.suffix.lower()
    return order.index(suffix) if suffix in order else len(order), path.name
