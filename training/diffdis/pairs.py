"""Images and their masks in folders: which belong together, and what is wrong with them.

A folder is DIS5K's (`im/`, `gt/`, optional `contour/`) or has `images/` and `masks/`, or both; of a
folder that holds DIS5K's parts, one is used. Files belong together by stem. No torch.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from segdemo.datatypes import InputError
from segdemo.files import write_json
from segdemo.images import SUFFIXES, load_rgb
from training.data_problems import DataProblem

IMAGE_FOLDERS = ("im", "images")
MASK_FOLDERS = ("gt", "masks")
CONTOUR_FOLDERS = ("contour", "contours")
TRAINING_PART, VALIDATION_PART = "DIS-TR", "DIS-VD"


@dataclass(frozen=True)
class ImageMaskPair:
    """An image, its mask (white is the subject), and its edge map where there is one on disk."""

    image: Path
    mask: Path
    contour: Path | None = None


@dataclass(frozen=True)
class FoundPairs:
    """The pairs of a folder, in the order of their stems, and its problems."""

    pairs: list[ImageMaskPair]
    problems: list[DataProblem]


def find_pairs(folder: Path, part: str = TRAINING_PART) -> FoundPairs:
    """Match a folder's files by stem, without opening them; raises InputError for no such folder.

    part: folder of DIS5K that is used where there is one. Problems: an image without mask, a mask
    without image, several files of one stem.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: check the path.")
    if (folder / part).is_dir():
        folder = folder / part
    problems: list[DataProblem] = []
    images = _by_stem(_part(folder, IMAGE_FOLDERS), problems)
    masks = _by_stem(_part(folder, MASK_FOLDERS), problems)
    contour_folder = next((folder / n for n in CONTOUR_FOLDERS if (folder / n).is_dir()), None)
    contours = _by_stem(contour_folder, problems) if contour_folder else {}
    for stem in sorted(images.keys() - masks):
        problems.append(DataProblem(images[stem], "has no mask: add one or remove it."))
    for stem in sorted(masks.keys() - images):
        problems.append(DataProblem(masks[stem], "has no image: add one or remove it."))
    both = sorted(images.keys() & masks)
    return FoundPairs([ImageMaskPair(images[s], masks[s], contours.get(s)) for s in both], problems)


def check_pairs(pairs: list[ImageMaskPair], report: Path, quiet: bool = False) -> FoundPairs:
    """Open every file; return the pairs that can be trained on, and every problem.

    Problems: unreadable files, sizes that differ, masks without subject or without background, or
    that are not black and white. report: a JSON file where the outcome is kept, so that pairs which
    have not changed since are not opened again.
    """
    known: dict[str, list[str]] = json.loads(report.read_text()) if report.exists() else {}
    keys = [_fingerprint(pair) for pair in pairs]
    new = [pair for pair, key in zip(pairs, keys, strict=True) if key not in known]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(problems_of, new)
        found = tqdm(done, total=len(new), desc="checking", disable=quiet or not new or None)
        fresh = {
            _fingerprint(pair): [f"{problem.file}\n{problem.sentence}" for problem in problems]
            for pair, problems in zip(new, found, strict=True)
        }
    outcome = {key: (fresh | known)[key] for key in keys}
    if new:
        write_json(outcome, report)
    good = [pair for pair, key in zip(pairs, keys, strict=True) if not outcome[key]]
    lines = [line.split("\n") for key in keys for line in outcome[key]]
    return FoundPairs(good, [DataProblem(Path(file), sentence) for file, sentence in lines])


def problems_of(pair: ImageMaskPair) -> list[DataProblem]:
    """Open a pair's files and return what is wrong with them."""
    problems = []
    sizes = {}
    for file in filter(None, (pair.image, pair.mask, pair.contour)):
        try:
            # pixels too: a truncated file has a good header, and would stop the run later
            values = load_rgb(file) if file == pair.image else load_grey(file)
        except InputError as error:
            problems.append(DataProblem(file, str(error).removeprefix(f"{file.name} ")))
            continue
        sizes[file] = values.shape[:2]
        if file == pair.mask and (sentence := _mask_problem(values)):
            problems.append(DataProblem(file, sentence))
    size = sizes.get(pair.image)
    for file, other in sizes.items():
        if size and other != size:
            problems.append(
                DataProblem(
                    file,
                    f"is {other[1]} x {other[0]} pixels, its image {size[1]} x {size[0]}: "
                    "they must be equal.",
                )
            )
    return problems


def load_grey(file: Path) -> npt.NDArray[np.uint8]:
    """Read a mask or an edge map as (H, W) uint8, as `load_rgb` reads images."""
    return np.asarray(Image.fromarray(load_rgb(file)).convert("L"))


def spread(pairs: list[ImageMaskPair], count: int) -> list[ImageMaskPair]:
    """Return at most `count` pairs, evenly spread over the list."""
    return [pairs[k * len(pairs) // count] for k in range(count)] if count < len(pairs) else pairs


def _mask_problem(mask: npt.NDArray[np.uint8]) -> str | None:
    low, high = int(mask.min()), int(mask.max())
    if high == 0:
        return "is empty: there is no subject to learn."
    if low == 255:
        return "is full: there is no background to learn."
    if high < 128:
        return f"holds values up to {high} only: white (255) is the subject."
    if low > 127:
        return f"holds values from {low} on only: black (0) is the background."
    return None


def _part(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise InputError(f"{folder} has no folder {' or '.join(names)}: give one of DIS5K's layout.")


def _by_stem(folder: Path, problems: list[DataProblem]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
            continue
        if file.stem in files:
            problems.append(
                DataProblem(
                    file, f"has the stem of {files[file.stem].name}: remove one of the two."
                )
            )
        else:
            files[file.stem] = file
    return files


def _fingerprint(pair: ImageMaskPair) -> str:
    """Name a pair's files and their states."""
    files = filter(None, (pair.image, pair.mask, pair.contour))
    states = [(file, file.stat()) for file in files]
    return "|".join(f"{file}:{state.st_size}:{state.st_mtime_ns}" for file, state in states)
