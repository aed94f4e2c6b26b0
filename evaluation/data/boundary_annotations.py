"""What people drew as boundaries: BSDS500's MAT, NPZ with packed bits, or maps of instances."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from scipy import io

from evaluation.data.files import stem
from evaluation.metrics.boundary import BoolArray
from segdemo.annotations.folders import LABEL_SUFFIXES
from segdemo.annotations.stored_ids import read_label_image
from segdemo.datatypes import InputError

FOLDERS = ("boundaries", "groundTruth", "instances")
ENDINGS = (".npz", ".mat", *sorted(LABEL_SUFFIXES))


def truth_files(bench: Path, split: str = "") -> dict[str, Path]:
    """Return the files of truth by stem: in the first of `FOLDERS` there is; raises InputError.

    split: a folder below it.
    """
    place = next((bench / name / split for name in FOLDERS if (bench / name).is_dir()), None)
    if place is None:
        raise InputError(f"{bench} has none of the folders {', '.join(FOLDERS)}: check --bench.")
    files = [file for file in sorted(place.rglob("*")) if file.suffix.lower() in ENDINGS]
    if not files:
        raise InputError(f"{place} holds no {', '.join(ENDINGS)}: check --bench.")
    return {stem(file.with_suffix(".png").name): file for file in files}


def read_boundaries(file: Path) -> BoolArray:
    """Read the annotators' boundary maps, (A, H, W); raises InputError.

    NPZ: `boundaries` (A, H, W / 8), bits packed along the last axis, and `width`. MAT: BSDS500's
    `groundTruth`. Images: ids of instances, whose borders make the map of one annotator.
    """
    if file.suffix.lower() in LABEL_SUFFIXES:
        return instance_boundaries(read_label_image(file, file.name))[None]
    try:
        if file.suffix.lower() == ".mat":
            cells = io.loadmat(str(file))["groundTruth"].ravel()
            return np.stack([cell["Boundaries"][0, 0] > 0 for cell in cells])
        with np.load(file) as archive:
            planes = np.unpackbits(archive["boundaries"], axis=-1)
            return planes[..., : int(archive["width"])].astype(bool)
    except (OSError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{file.name} holds no boundaries ({error})") from error


def instance_boundaries(labels: np.ndarray) -> BoolArray:
    """Return a line one pixel wide where ids (H, W) change, on the side of the lower pixel."""
    boundary = np.zeros(labels.shape, bool)
    boundary[1:] |= labels[1:] != labels[:-1]
    boundary[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    return boundary
