"""Masks whose values are shares, not ids: soft masks, alpha channels and smoothed borders."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from segdemo.annotations.stored_ids import OPAQUE

SOFT_THRESHOLD = 0.5  # of a pixel's share, from which it belongs to the object
_CUT_OUT_COLOURS = 256  # more colours below an alpha channel are a photo's, not ids
_FEW_VALUES = 3  # a soft mask has at least as many beside 0, one of them opaque
_BLENDS = 4  # values of a smoothed border between flat ones
_MANY_VALUES = 16  # .. and so many if it is dark
_EXTREMES = 0.05  # share of the range at either end, where noise is
_RAMP_SHARE = 0.5  # of the values between, how many lie on a slope
_REACH = 2  # pixels; how far smoothing may spread
_TOLERANCE = 8.0  # levels of a colour by which a blend may be off
_SAMPLES = 400

_Ids = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float32]


def coverage(image: Image.Image) -> _Floats | None:
    """Return how much of each pixel one object covers, (H, W) in [0, 1]; None for an image of ids.

    That is the alpha channel of a cut-out, or a grey image whose values rise and fall in slopes
    where a map of ids would jump.
    """
    if image.mode in ("RGBA", "LA") and (alpha := _mask_in_alpha(image)) is not None:
        return alpha
    grey = _grey(image)
    if grey is None or not is_soft(grey):
        return None
    full = 255 if grey.max() <= 255 else 65_535
    return (grey / full).astype(np.float32)


def is_soft(values: npt.NDArray[np.integer] | npt.NDArray[np.floating]) -> bool:
    """Whether (H, W) grey values of 0 and above are shares of one mask rather than ids."""
    top = float(values.max(initial=0))
    levels = np.unique(values[values > 0])
    if len(levels) < (_FEW_VALUES if top >= OPAQUE else _MANY_VALUES):
        return False
    low, high = _EXTREMES * top, (1 - _EXTREMES) * top
    between = (values > low) & (values < high)
    if not between.any():  # a hard mask with noise, as JPEG leaves it
        return bool((levels <= low).any() and (levels >= high).sum() > 1)
    slope = (ndimage.minimum_filter(values, 3) < values) & (
        values < ndimage.maximum_filter(values, 3)
    )
    return bool(slope[between].mean() >= _RAMP_SHARE)


def harden(ids: _Ids, image: Image.Image) -> _Ids | None:
    """Cut smoothed borders between flat values at half: each pixel takes the nearer value.

    ids: those of the image, (H, W). Returns None where borders are hard already.
    """
    flat = ndimage.minimum_filter(ids, 3) == ndimage.maximum_filter(ids, 3)
    areas = np.isin(ids, np.unique(ids[flat]))
    if areas.all() or not areas.any():
        return None
    colours = np.asarray(image.convert("RGB") if image.mode != "L" else image, np.float32)
    colours = colours.reshape(*ids.shape, -1)
    thin = np.argwhere(~areas)
    if len(np.unique(ids[~areas])) < _BLENDS or not _are_blends(thin, colours, areas):
        return None
    return _nearest_area(ids, colours, areas)


def _mask_in_alpha(image: Image.Image) -> _Floats | None:
    alpha = np.asarray(image.getchannel("A"))
    if alpha.min() == alpha.max():
        return None
    visible = np.asarray(image.convert("RGB"), np.int64)[alpha >= OPAQUE]
    count = len(np.unique(visible @ np.array([1, 256, 256**2])))
    if 1 < count <= _CUT_OUT_COLOURS:
        return None
    return alpha.astype(np.float32) / np.float32(255)


def _grey(image: Image.Image) -> npt.NDArray[np.integer] | None:
    if image.mode in ("L", "I") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        return values if values.dtype.kind == "u" else values.astype(np.int64)
    if image.mode in ("RGB", "RGBA", "LA"):
        colours = np.asarray(image.convert("RGB"))
        if (colours == colours[..., :1]).all():
            return colours[..., 0]
    return None


def _are_blends(thin: npt.NDArray[np.intp], colours: _Floats, areas: npt.NDArray[np.bool_]) -> bool:
    """Whether most pixels outside flat areas lie between the colours of two areas beside them."""
    chosen = thin[:: max(1, len(thin) // _SAMPLES)]
    blends = 0
    for y, x in chosen:
        window = (
            slice(max(0, y - _REACH), y + _REACH + 1),
            slice(max(0, x - _REACH), x + _REACH + 1),
        )
        beside = np.unique(colours[window][areas[window]], axis=0)
        blends += any(
            _is_between(colours[y, x], first, second)
            for i, first in enumerate(beside)
            for second in beside[i + 1 :]
        )
    return blends >= _RAMP_SHARE * len(chosen)


def _is_between(colour: _Floats, first: _Floats, second: _Floats) -> bool:
    way = second - first
    share = float(np.dot(colour - first, way) / np.dot(way, way))
    off = float(np.abs(first + share * way - colour).max())
    return 0 < share < 1 and off <= _TOLERANCE


def _nearest_area(ids: _Ids, colours: _Floats, areas: npt.NDArray[np.bool_]) -> _Ids:
    """Give each pixel outside the areas the id of the area beside it with the nearest colour."""
    padding = ((_REACH, _REACH), (_REACH, _REACH))
    padded_ids, padded_areas = np.pad(ids, padding), np.pad(areas, padding)
    padded_colours = np.pad(colours, (*padding, (0, 0)))
    y, x = np.nonzero(~areas)
    nearest = np.full(len(y), np.inf, np.float32)
    chosen = np.zeros(len(y), np.int64)
    for down in range(2 * _REACH + 1):
        for right in range(2 * _REACH + 1):
            place = (y + down, x + right)
            distance = np.square(padded_colours[place] - colours[y, x]).sum(-1)
            nearer = padded_areas[place] & (distance < nearest)
            nearest[nearer], chosen[nearer] = distance[nearer], padded_ids[place][nearer]
    hardened = ids.copy()
    hardened[y, x] = chosen
    return hardened
