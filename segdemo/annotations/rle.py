"""COCO's run lengths: how many pixels are background, mask, background .., column by column."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api

from segdemo.datatypes import InputError

_BITS, _MORE, _SIGN, _OFFSET = 5, 0x20, 0x10, 48
_LONGEST = 12  # characters of one number; 60 bits


def encode(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return (H, W) as COCO's compressed runs, ready for JSON."""
    return {"size": list(mask.shape), "counts": encode_counts(mask).decode("ascii")}


def runs_size(runs: dict[str, Any]) -> tuple[int, int]:
    """Return (height, width) of runs; raises InputError where they name none."""
    match runs.get("size"):
        case [int(height), int(width)] if height > 0 and width > 0:
            return int(height), int(width)  # true is a whole number as well
    raise InputError("its RLE has no size of [height, width]")


def normalise(given: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Return run lengths of any spelling as COCO spells them.

    A missing size is the image's (height, width). Sizes and counts may be floats or text; counts
    may be a list in text, or Python's spelling of bytes (`b'...'`).
    """
    runs = dict(given)
    runs["size"] = list(size) if given.get("size") is None else _whole_numbers(given["size"])
    counts = given.get("counts")
    if isinstance(counts, str):
        counts = counts.strip()
        if re.fullmatch(r"b(['\"]).*\1", counts, re.DOTALL):
            with suppress(ValueError, SyntaxError):
                counts = ast.literal_eval(counts)
        elif re.fullmatch(r"\[?[\d\s,]*[\s,][\d\s,]*\]?", counts):
            counts = [int(count) for count in re.findall(r"\d+", counts)[: size[0] * size[1] + 1]]
    runs["counts"] = _whole_numbers(counts) if isinstance(counts, list) else counts
    return runs


def decode(runs: dict[str, Any]) -> npt.NDArray[np.bool_]:
    """Return the (H, W) mask of compressed or plain runs.

    Raises InputError unless the runs fill the size exactly, which pycocotools does not check.
    """
    return decode_counts(checked_counts(runs), runs_size(runs))


def checked_counts(runs: dict[str, Any]) -> bytes:
    """Return compressed or plain runs as compressed ones, without runs of no pixel in between.

    Raises InputError as `decode` does.
    """
    height, width = runs_size(runs)
    counts = runs.get("counts")
    if isinstance(counts, str | bytes):
        lengths = _expand(counts)
        if isinstance(counts, str) and "\\\\" in counts and lengths.sum() != height * width:
            lengths = _expand(counts.replace("\\\\", "\\"))  # escaped twice on its way
    elif isinstance(counts, list) and all(type(count) is int for count in counts):
        if any(not 0 <= count <= height * width for count in counts):
            raise InputError("its RLE does not fill its size")
        lengths = np.array(counts, np.int64)
    else:
        raise InputError("its RLE is neither a list of whole numbers nor a string")
    bounded = (lengths >= 0).all() and (lengths <= height * width).all()
    if not bounded or lengths.sum() != height * width:
        raise InputError(
            f"its RLE does not fill its size, {width} x {height}: it is damaged or for an image "
            "of another size"
        )
    starts = np.cumsum(lengths) - lengths
    set_runs = (np.arange(len(lengths)) % 2 == 1) & (lengths > 0)
    return counts_of_runs(starts[set_runs], lengths[set_runs], height * width)


def encode_counts(mask: npt.NDArray[np.bool_]) -> bytes:
    """Return (H, W) as compressed runs."""
    counts: bytes = mask_api.encode(np.asfortranarray(mask, np.uint8))["counts"]
    return counts


def decode_counts(counts: bytes, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the (H, W) mask of compressed runs that are known to fill the size."""
    lengths = _expand(counts)
    height, width = size
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T


def counts_of_runs(
    starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], pixels: int
) -> bytes:
    """Compress the runs of a mask of so many pixels; starts: rising, column by column."""
    if len(starts) > 1:  # runs without a gap between them are one
        apart = np.flatnonzero(starts[1:] > starts[:-1] + lengths[:-1]) + 1
        ends = (starts + lengths)[np.append(apart - 1, len(starts) - 1)]
        starts = starts[np.concatenate([[0], apart])]
        lengths = ends - starts
    borders = np.empty(2 * len(starts) + 2, np.int64)
    borders[0], borders[-1] = 0, pixels
    borders[1:-1:2], borders[2:-1:2] = starts, starts + lengths
    plain = np.diff(borders)
    if len(plain) > 1 and not plain[-1]:
        plain = plain[:-1]
    # pycocotools looks at the numbers alone
    counts: bytes = mask_api.frPyObjects({"size": [pixels, 1], "counts": plain}, pixels, 1)[
        "counts"
    ]
    return counts


def merge(parts: Sequence[bytes], size: tuple[int, int]) -> bytes:
    """Return the union of compressed runs of (height, width); of none, the empty mask's."""
    if not parts:
        return counts_of_runs(np.empty(0, np.int64), np.empty(0, np.int64), size[0] * size[1])
    counts: bytes = mask_api.merge([{"size": list(size), "counts": p} for p in parts])["counts"]
    return counts


def area(counts: bytes) -> int:
    """Return the pixels of compressed runs."""
    return int(_expand(counts)[1::2].sum())


def pixels(counts: bytes) -> npt.NDArray[np.int64]:
    """Return the rising indices of compressed runs' pixels, counted column by column."""
    lengths = _expand(counts)
    ends = np.cumsum(lengths)[1::2]
    own = lengths[1::2]
    before = np.cumsum(own) - own
    shift = np.repeat(ends - own - before, own)
    return shift + np.arange(len(shift))


def _whole_numbers(values: Any) -> Any:
    """Return whole numbers that are written as floats or text as such; others as they are."""
    if not isinstance(values, list | tuple):
        return values
    try:
        numbers = [float(value) for value in values]
        return [int(n) for n in numbers] if all(n.is_integer() for n in numbers) else list(values)
    except (ValueError, TypeError, OverflowError):
        return list(values)


def _expand(text: str | bytes) -> npt.NDArray[np.int64]:
    """Return the run lengths that a string holds; from the fourth on, it holds differences."""
    broken = InputError("its RLE is damaged: the string holds what is not a run length")
    try:
        raw = text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise broken from error
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - _OFFSET
    if not len(codes):
        return np.empty(0, np.int64)
    last = (codes & _MORE) == 0
    if codes.min() < 0 or codes.max() >= 2 * _MORE or not last[-1]:
        raise broken
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() >= _LONGEST:
        raise broken
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    numbers = np.add.reduceat((codes & (_MORE - 1)) << (_BITS * place), starts)
    negative = (codes[ends] & _SIGN) != 0
    numbers -= np.where(negative, np.int64(1) << (_BITS * (ends - starts + 1)), 0)
    # run i is the difference to run i - 2: sums over every other one
    lengths = numbers.copy()
    lengths[1::2] = np.cumsum(numbers[1::2])
    lengths[2::2] = np.cumsum(numbers[2::2])
    return lengths


def plain_counts(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Return the runs of (H, W) as a list, the form COCO's crowds have."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = np.concatenate([[0], changes, [len(flat)]])
    lengths: list[int] = np.diff(ends).tolist()
    return [0, *lengths] if flat[0] else lengths
