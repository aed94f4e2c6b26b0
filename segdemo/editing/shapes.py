"""Shapes: what is done to whole instances. Pixels of other instances are never taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.datatypes import InputError, Labels

LARGEST_RADIUS = 64  # pixels

Window = tuple[slice, slice]
Mask = npt.NDArray[np.bool_]


def fill_holes(labels: Labels, numbers: Sequence[int]) -> Labels:
    """Fill background that an instance encloses; another instance in the hole stays."""
    result = labels.copy()
    for number, window, mask in _instances(labels, numbers, margin=0):
        holes = ndimage.binary_fill_holes(mask) & (labels[window] == 0)
        result[window][holes] = number
    return result


def smooth(labels: Labels, numbers: Sequence[int], radius: float = 3) -> Labels:
    """Round an outline: opening, then closing by a disc of `radius` pixels.

    A thin instance that the opening would delete is only closed. The gain comes from background,
    the loss goes to background.
    """
    _check_radius(radius)
    result = labels.copy()
    for number, window, mask in _instances(labels, numbers, margin=int(radius) + 2):
        opened = _dilate(_erode(mask, radius), radius) & mask
        rounded = _erode(_dilate(opened if opened.any() else mask, radius), radius)
        _replace(result[window], labels[window], mask, rounded, number)
    return result


def grow(labels: Labels, numbers: Sequence[int], radius: float = 2) -> Labels:
    """Extend instances by `radius` pixels over background."""
    _check_radius(radius)
    result = labels.copy()
    for number, window, mask in _instances(labels, numbers, margin=int(radius) + 2):
        free = result[window] == 0
        result[window][_dilate(mask, radius) & free] = number
    return result


def shrink(labels: Labels, numbers: Sequence[int], radius: float = 2) -> Labels:
    """Take `radius` pixels off all around; raises InputError where nothing would be left."""
    _check_radius(radius)
    result = labels.copy()
    for number, window, mask in _instances(labels, numbers, margin=int(radius) + 2):
        smaller = _erode(mask, radius)
        if not smaller.any():
            raise InputError(f"Instance {number} is too thin to shrink by {radius:g} pixels.")
        result[window][mask & ~smaller] = 0
    return result


def subtract(labels: Labels, numbers: Sequence[int], radius: float = 3) -> Labels:
    """Take off the first instance what lies within `radius` pixels of the second.

    Instances of a label map do not overlap, so what is subtracted is a margin between the two.
    """
    _check_radius(radius)
    if len(numbers) != 2:
        raise InputError("Select two instances: the one to cut, then the one to cut by.")
    first, second = numbers
    result = labels.copy()
    for _, window, mask in _instances(labels, [second], margin=int(radius) + 2):
        result[window][_dilate(mask, radius) & (labels[window] == first)] = 0
    return result


def _instances(
    labels: Labels, numbers: Sequence[int], margin: int
) -> Iterator[tuple[int, Window, Mask]]:
    """Yield each instance with a window around it, and its mask there; raises InputError."""
    if not numbers:
        raise InputError("Select an instance first.")
    for number in numbers:
        mask = labels == number
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if number == 0 or not len(rows):
            raise InputError(f"Instance {number} has no pixels: select another one.")
        window = (
            slice(max(0, rows[0] - margin), rows[-1] + 1 + margin),
            slice(max(0, columns[0] - margin), columns[-1] + 1 + margin),
        )
        yield number, window, mask[window]


def _replace(target: Labels, before: Labels, old: Mask, new: Mask, number: int) -> None:
    target[old & ~new] = 0
    target[new & ((before == 0) | old)] = number


def _dilate(mask: Mask, radius: float) -> Mask:
    if mask.all() or not mask.any():
        return mask
    distance = ndimage.distance_transform_edt(~mask)
    near: Mask = distance <= radius
    return near


def _erode(mask: Mask, radius: float) -> Mask:
    """Return what is more than `radius` from outside; the image's border does not count."""
    if mask.all() or not mask.any():
        return mask
    distance = ndimage.distance_transform_edt(mask)
    deep: Mask = distance > radius
    return deep


def _check_radius(radius: float) -> None:
    if not 0 < radius <= LARGEST_RADIUS:
        raise InputError(f"A radius of {radius:g} is outside 0 to {LARGEST_RADIUS} pixels.")
