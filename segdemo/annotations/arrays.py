"""NPY and NPZ: arrays of ids, stacks of masks."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from segdemo.annotations import rle
from segdemo.annotations.class_list import ClassList
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.file_names import output_path
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.label_images import add_labels
from segdemo.annotations.soft_masks import SOFT_THRESHOLD, is_soft
from segdemo.datatypes import InputError, Labels
from segdemo.files import ZIP_ERRORS, atomic_write
from segdemo.regular_files import open_regular

MAX_ARRAY_BYTES = 4_000_000_000  # of one NPZ


def add_arrays(
    path: Path, name: str, collector: MaskCollector, file: str, classes: ClassList | None
) -> None:
    """Read NPY or NPZ as the masks of the image `name`.

    (H, W) whole numbers are ids, (H, W) bool is one mask, (N, H, W) of bool or of zeros and one
    other value a stack. Soft masks, shares of 1 or of 255, are cut at half, which is noted. An NPZ
    may hold more arrays: `masks` or `labels` counts, beside it `scores`, `category_ids`, `crowd`
    and `names`; or each array is one mask. Raises InputError.
    """
    key = collector.key(name, file)
    if key is None:
        return
    arrays = _load_arrays(path, file)
    main = next((arrays[k] for k in ("masks", "labels") if k in arrays), None)
    if main is None and len(arrays) == 1:
        (main,) = arrays.values()
    if main is None:
        shapes = {array.shape for array in arrays.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise InputError(
                f"{file} holds the arrays {', '.join(arrays)}: call the one with ids or masks "
                "labels or masks."
            )
        main = np.stack(list(arrays.values()))
    if (hard := _cut_at_half(main)) is not None:
        main = hard
        collector.notes.change(file, "", "it holds soft masks, which were cut at half")
    if main.ndim == 2 and main.dtype == np.bool_:
        main = main[None]
    if main.ndim == 2:
        add_labels(_whole(main, file), key, collector, file, classes)
        return
    if main.ndim != 3 or main.dtype.kind not in "biuf" or not _is_hard(main):
        raise InputError(
            f"{file} holds {main.dtype} of shape {main.shape}: (H, W) ids or an (N, H, W) stack of "
            "zeros and ones or 255 can be read."
        )
    collector.make_room(key, (main.shape[1], main.shape[2]), len(main), file)
    rest = {name: values for name, values in arrays.items() if values is not main}
    collector.add(key, _stack(main.astype(np.bool_, copy=False), rest, file), file)


def write_npz(masks_by_name: Mapping[str, InstanceRuns], folder: Path) -> None:
    """Write one NPZ per image that holds all there is; `add_arrays` names its arrays."""
    for name, found in masks_by_name.items():
        arrays: dict[str, npt.NDArray[Any]] = {
            "scores": found.scores,
            "names": np.array(json.dumps(dict(found.names))),
        }
        if found.category_ids is not None:
            arrays["category_ids"] = found.category_ids
        if found.crowd is not None:
            arrays["crowd"] = found.crowd
        with atomic_write(output_path(folder, name, ".npz")) as stream:
            _write_arrays(stream, found, arrays)


def _write_arrays(
    stream: IO[bytes], found: InstanceRuns, arrays: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write an NPZ, its `masks` one by one."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("masks.npy", "w", force_zip64=True) as entry:
            header = {"descr": "|b1", "fortran_order": False, "shape": (len(found), *found.size)}
            np.lib.format.write_array_header_1_0(entry, header)
            for mask in found.masks:
                entry.write(np.ascontiguousarray(mask).tobytes())
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, values, allow_pickle=False)


def _load_arrays(path: Path, file: str) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of an NPY (under the name "") or NPZ, and no pickled objects."""
    try:
        with open_regular(path, name=file) as stream:
            if not zipfile.is_zipfile(stream):
                stream.seek(0)
                size = os.fstat(stream.fileno()).st_size
                return {"": _load_array(stream, file, size)}
        arrays = {}
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
            if total > MAX_ARRAY_BYTES:
                raise InputError(
                    f"{file} unpacks to more than {MAX_ARRAY_BYTES / 1e9:g} GB: split it."
                )
            for entry in archive.infolist():
                # zipfile stops at the size an entry states, so this many bytes at most
                with archive.open(entry) as source:
                    arrays[PurePosixPath(entry.filename).stem] = _load_array(
                        source, file, entry.file_size
                    )
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist: check the path.") from error
    except InputError:
        raise
    # numpy evaluates a header as Python: a damaged one is no expression
    except (*ZIP_ERRORS, MemoryError, RuntimeError, SyntaxError, TokenError) as error:
        raise InputError(f"{file} is damaged, or neither NPY nor NPZ: save it again.") from error
    if not arrays:
        raise InputError(f"{file} holds no arrays: save masks or labels in it.")
    return arrays


def _load_array(stream: IO[bytes], file: str, size: int) -> npt.NDArray[Any]:
    """Read one NPY of so many bytes, which are checked before memory is taken."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"NPY version {version}")
    if dtype.hasobject:
        raise InputError(f"{file} holds Python objects, which may be harmful: save plain arrays.")
    if size - stream.tell() < math.prod(shape) * dtype.itemsize:
        raise ValueError("too short")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def _whole(values: npt.NDArray[Any], file: str) -> Labels:
    if values.dtype.kind in "iuf":
        with np.errstate(invalid="ignore"):
            ids = values.astype(np.int64)
        if (ids == values).all():
            return ids
    raise InputError(f"{file} holds {values.dtype}: ids are whole numbers from 0.")


def _is_hard(values: npt.NDArray[Any]) -> bool:
    """Whether each mask of (N, H, W) is zeros and one other value, the same in all of them."""
    if values.dtype == np.bool_:
        return True
    found: set[float] = set()
    for mask in values:
        found.update(np.unique(mask).tolist())
        if len(found) > 2 or min(found, default=0) < 0:
            return False
    return len(found - {0}) <= 1


def _cut_at_half(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Return soft masks, (H, W) or (N, H, W), as bool; None for others."""
    if values.ndim not in (2, 3) or not values.size:
        return None
    if values.dtype.kind == "f":
        within = np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1
        between = within and ((values > 0) & (values < 1)).any()
        return values >= SOFT_THRESHOLD if between else None
    if values.dtype == np.uint8:
        stack = values if values.ndim == 3 else values[None]
        soft = any(is_soft(mask) for mask in stack) and not _is_hard(values)
        return values >= SOFT_THRESHOLD * 255 if soft else None
    return None


def _stack(
    masks: npt.NDArray[np.bool_], arrays: Mapping[str, npt.NDArray[Any]], file: str
) -> InstanceRuns:
    """Join a stack with what else the file says of it."""
    try:
        names = json.loads(str(arrays["names"])) if "names" in arrays else {}
        return InstanceRuns(
            (masks.shape[1], masks.shape[2]),
            tuple(map(rle.encode_counts, masks)),
            arrays["scores"].astype(np.float32)
            if "scores" in arrays
            else np.ones(len(masks), np.float32),
            arrays["category_ids"].astype(np.int64) if "category_ids" in arrays else None,
            {int(number): str(label) for number, label in names.items()},
            arrays["crowd"].astype(np.bool_) if "crowd" in arrays else None,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file} cannot be used: {error}") from error
