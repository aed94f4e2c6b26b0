"""Which prediction belongs to which ground truth, and what is wrong with either.

Ground truth is a folder of masks, a folder with `gt/` or `masks/` in it, or a folder of such
folders: DIS5K with DIS-VD, DIS-TE1 .. DIS-TE4, or any other subsets. Predictions have the same
subsets, or lie flat where there is one subset; `mask/` below a subset is how the official code
writes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from evaluation.data.validation import FileError
from segdemo.datatypes import InputError
from segdemo.images import FORMATS, SUFFIXES
from segdemo.regular_files import real_path

TRUTH_FOLDERS = ("gt", "masks", "mask")
IMAGE_FOLDERS = ("im", "images")
PREDICTION_FOLDERS = ("mask", "masks")
TRAINING = "DIS-TR"
OWN_SUFFIX = "_mask"  # as `segdemo segment` writes beside edges and cut-outs
ARRAY = ".npy"
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Subset:
    """name: DIS-VD .. or the folder's; empty name of folder: the data set has no subsets."""

    name: str
    truth: Path
    below: str


@dataclass(frozen=True)
class PredictionPair:
    """A ground truth and its prediction. name: subset/stem."""

    subset: str
    stem: str
    truth: Path
    prediction: Path

    @property
    def name(self) -> str:
        """The row's name."""
        return f"{self.subset}/{self.stem}"


def find_subsets(root: Path, wanted: Sequence[str] = ()) -> list[Subset]:
    """Return the subsets of ground truth, DIS-TR only if it is wanted.

    wanted: names, DIS5K's also short (VD, TE1). Raises InputError.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: name the folder of the ground truth.")
    inner = _first_folder(root, TRUTH_FOLDERS)
    if inner or _image_files(root):
        found = [Subset(_name(root), inner or root, "")]
    else:
        folders = sorted(path for path in root.iterdir() if path.is_dir())
        truths = [(folder, _first_folder(folder, TRUTH_FOLDERS)) for folder in folders]
        found = [Subset(folder.name, truth, folder.name) for folder, truth in truths if truth]
    if not found:
        raise InputError(
            f"{root} holds neither images nor gt/ or masks/, and nor do its folders: name a "
            "folder of DIS5K's form or of masks."
        )
    if not wanted:
        return [subset for subset in found if subset.name != TRAINING]
    full = [name if name in {s.name for s in found} else f"DIS-{name}" for name in wanted]
    if absent := [name for name in full if name not in {s.name for s in found}]:
        names = ", ".join(subset.name for subset in found)
        raise InputError(f"{root} has no {', '.join(absent)}: it has {names}.")
    return [subset for subset in found if subset.name in full]


def image_folder(root: Path, subset: Subset) -> Path:
    """Return where a subset's images are; raises InputError."""
    place = root / subset.below if subset.below and (root / subset.below).is_dir() else root
    folder = _first_folder(place, IMAGE_FOLDERS) or place
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name the folder of the images.")
    return folder


def find_image(root: Path, subset: Subset, stem: str) -> Path | None:
    """Return the image of a ground truth if there is one that is not the truth itself."""
    folder = image_folder(root, subset)
    if folder == subset.truth:
        return None
    return next((file for file in _image_files(folder) if file.stem == stem), None)


def prediction_folder(root: Path, subset: Subset, only: bool) -> Path:
    """Return where a subset's predictions are; a folder that may not exist.

    only: there is one subset, whose predictions may lie in `root` itself.
    """
    short = subset.name.removeprefix("DIS-")
    for name in (subset.below, subset.name, short):
        if name and (root / name).is_dir():
            place = root / name
            return _first_folder(place, PREDICTION_FOLDERS) or place
    if only:
        return _first_folder(root, PREDICTION_FOLDERS) or root
    return root / subset.name


def match(
    subset: Subset, predictions: Path, suffix: str = "", partner: str = "prediction"
) -> tuple[list[PredictionPair], list[FileError]]:
    """Pair files by stem, and tell what is missing, extra or there twice.

    partner: what the other files are called in messages. suffix: what predictions have behind the
    stem, such as `_mask`; without it, that one is recognised where no prediction has a bare stem.
    """
    truths, errors = _by_stem(subset.truth, _image_files(subset.truth))
    files = _image_files(predictions, (ARRAY,)) if predictions.is_dir() else []
    bare = {file.stem for file in files}
    if not suffix and not bare & set(truths) and any(s.endswith(OWN_SUFFIX) for s in bare):
        suffix = OWN_SUFFIX
    files = [file for file in files if file.stem.endswith(suffix)]
    found, twice = _by_stem(predictions, files, suffix)
    errors += twice
    for stem, file in truths.items():
        if stem not in found:
            message = f"has no {partner} in {predictions}: add it."
            errors.append(FileError(str(file), message, optional=True))
    for stem, file in found.items():
        if stem not in truths:
            message = f"has no ground truth in {subset.truth}: take it out."
            errors.append(FileError(str(file), message, optional=True))
    stems = sorted(set(truths) & set(found))
    return [PredictionPair(subset.name, stem, truths[stem], found[stem]) for stem in stems], errors


def check_pair(
    pair: PredictionPair, contents: Mapping[Path, bytes], resize: str
) -> list[FileError]:
    """Decode both files and tell what is wrong with their kind, depth, values and sizes.

    contents: the bytes of both. resize: the filter for predictions of another size, empty if they
    are refused.
    """
    errors, sizes = [], []
    for file in (pair.truth, pair.prediction):
        try:
            values, mode = _decode(file, BytesIO(contents[file]))
        except InputError as error:
            errors.append(FileError(str(file), str(error)))
            continue
        sizes.append(values.shape)
        if message := _wrong_kind(values, mode, file == pair.truth):
            errors.append(FileError(str(file), message))
    if not errors and sizes[0] != sizes[1] and not resize:
        (truth_height, truth_width), (height, width) = sizes
        message = (
            f"is {width} x {height} pixels, its ground truth {truth_width} x {truth_height}: write "
            "it at that size, or give --resize bicubic to let it be resized."
        )
        errors.append(FileError(str(pair.prediction), message))
    return errors


def read_truth(file: Path) -> npt.NDArray[np.uint8]:
    """Read a ground truth as (H, W) uint8."""
    values, _ = _decode(file, file)
    return values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)


def read_prediction(file: Path, size: tuple[int, int], resize: str) -> npt.NDArray[Any]:
    """Read a prediction as (H, W) = `size`: uint8, uint16 or float64 in [0, 1].

    Other sizes go through Pillow's filter `resize`, 8-bit maps as 8 bit like the official script.
    """
    values, _ = _decode(file, file)
    if values.shape == size:
        return values
    if values.dtype != np.uint8:
        largest = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
        values = (values / largest).astype(np.float32)
    resized = Image.fromarray(values).resize(size[::-1], FILTERS[resize])
    values = np.asarray(resized)
    return values if values.dtype == np.uint8 else values.astype(np.float64).clip(0, 1)


def _wrong_kind(values: npt.NDArray[Any], mode: str, truth: bool) -> str:
    """Return what is wrong with the kind of a file, or an empty sentence. mode: Pillow's."""
    if mode in ("P", "PA"):
        return "is a palette image, whose numbers are classes: save it as 8-bit grey."
    if mode not in ("", "1", "L", "LA", "RGB", "RGBA") and not mode.startswith("I"):
        return f"is an image of mode {mode}: save it as 8-bit grey."
    if mode and values.dtype == np.uint16 and values.any() and values.max() <= 255:
        return "is a 16-bit image with values up to 255: save it as 8-bit grey."
    if truth and values.any() and values.max() <= 1:
        return "holds 0 and 1, which look black: save the subject as 255."
    return ""


def _decode(file: Path, source: Path | BinaryIO) -> tuple[npt.NDArray[Any], str]:
    """Read (H, W) values and Pillow's mode, empty for arrays; raises InputError.

    file: whose ending tells what it is. source: the file, or its bytes.
    """
    if file.suffix.lower() == ARRAY:
        return _read_array(source), ""
    try:
        image = Image.open(source, formats=FORMATS)
    except Exception as error:  # decoders raise many kinds on corrupt headers
        raise InputError("is not an image that can be read: save it again.") from error
    with image:
        try:
            if image.mode.startswith("I"):
                return np.asarray(image).astype(np.uint16), image.mode
            mode = image.mode
            return np.asarray(image.convert("L")), mode  # by luma; alpha is dropped
        except Exception as error:  # and on corrupt pixels
            raise InputError("is corrupt or incomplete: copy or save it again.") from error


def _read_array(source: Path | BinaryIO) -> npt.NDArray[Any]:
    """Read (H, W) bool, uint8, uint16 or float in [0, 1]; raises InputError."""
    try:
        values = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError("is not an array that can be read: save it again.") from error
    values = values.squeeze()
    if values.ndim != 2:
        raise InputError(f"holds an array of {values.shape}: save height x width.")
    if values.dtype == bool:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype in (np.uint8, np.uint16):
        return values
    if values.dtype.kind != "f" or not (values.min() >= 0 and values.max() <= 1):
        raise InputError("holds values outside 0 to 1: save probabilities, or 8-bit grey.")
    return values.astype(np.float64)


def _by_stem(
    folder: Path, files: Collection[Path], suffix: str = ""
) -> tuple[dict[str, Path], list[FileError]]:
    found: dict[str, Path] = {}
    errors = []
    for file in files:
        stem = file.stem.removesuffix(suffix)
        if stem in found:
            message = f"has the stem of {found[stem].name}: keep one of them in {folder}."
            errors.append(FileError(str(file), message))
        else:
            found[stem] = file
    return found, errors


def _image_files(folder: Path, more: tuple[str, ...] = ()) -> list[Path]:
    endings = SUFFIXES | set(more)
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)


def _first_folder(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _name(folder: Path) -> str:
    """Name a data set after its folder, or after the one above `gt/`."""
    name = real_path(folder).name
    return real_path(folder).parent.name if name in TRUTH_FOLDERS else name
