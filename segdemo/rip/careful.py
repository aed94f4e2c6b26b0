"""RIP where edges are not to be trusted: a mask changes only on the evidence of whole borders.

Within each mask, basins of the edge map join over their weakest borders; what is left when every
border stands out is a split. A mask without such a border keeps every pixel, however small it is.
Masks that touch join only if asked to, where hardly an edge runs between them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from segdemo.datatypes import FloatMap, Labels
from segdemo.rip.grid import Grid, with_nearest
from segdemo.rip.merging import BoolMasks
from segdemo.rip.refinement import Refinement
from segdemo.rip.regions import basins, borders, evidence, joined
from segdemo.rip.settings import RIPSettings

REACH = 2  # pixels that masks grow to touch: fragments lie a little apart
LONG = 1.0  # of a border, in sides of the smaller mask as a square: shorter ones join nothing
DOUBT = 0.2  # of evidence: how far from the threshold it still says little
_CORNERS = np.ones((3, 3), bool)


def labels_of(masks: BoolMasks) -> Labels:
    """Lay masks (N, H, W) flat, (H, W): mask k - 1 has k; the smaller lies in front."""
    labels = np.zeros(masks.shape[1:], np.int32)
    areas = [int(mask.sum()) for mask in masks]
    for index in sorted(range(len(masks)), key=lambda i: -areas[i]):
        labels[masks[index]] = index + 1
    return labels


def refined_by_borders(
    labels: Labels,
    count: int,
    edge: FloatMap,
    scores: npt.NDArray[np.float64] | None,
    settings: RIPSettings,
) -> Refinement:
    """Repair instances 1 to `count` of a map (H, W) by an edge map (H, W) in [0, 1].

    An instance has the highest score of its inputs, times how likely it is one object: a mask with
    hardly an edge inside keeps its score, a doubtful piece or a mask that was nearly cut ranks
    behind it.
    """
    if scores is None:
        scores = np.ones(count)
    pieces = np.zeros(labels.shape, np.int32)
    parts: list[int] = []
    sureness: list[float] = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == number
        cut, sure = split(mask, edge[box], edge.size, settings)
        pieces[box][mask] = cut[mask] + len(parts)
        parts += [number - 1] * len(sure)
        sureness += [float(scores[number - 1]) * one for one in sure]
    owners = _joined_inputs(pieces, parts, edge, settings)
    groups, renumber = np.unique(owners, return_inverse=True)
    result = np.concatenate([[0], renumber + 1])[pieces].astype(np.int32)
    sources = [sorted({parts[p] for p in np.flatnonzero(owners == group)}) for group in groups]
    for index, own in enumerate(sources, start=1):
        if len(own) > 1:
            _fill_between(result, index)
    best = [max(sureness[p] for p in np.flatnonzero(owners == group)) for group in groups]
    return Refinement(
        result, np.array(best, float), tuple(map(tuple, sources)), (), tuple(parts), count
    )


def split(
    mask: npt.NDArray[np.bool_], edge: FloatMap, picture: int, settings: RIPSettings
) -> tuple[Labels, list[float]]:
    """Cut a mask (h, w) along an edge map of its size; returns pieces from 1 on, 0 outside.

    picture: pixels of the whole photo. Also returns how likely each piece is one object, at most 1:
    that its weakest border parts two, and that the strongest border within it does not. Where no
    border stands out, all of the mask is piece 1.
    """
    grid = Grid(mask.shape, settings.grid)
    inside, walls = grid.majority(mask), grid.strongest(edge)
    regions = basins(walls, inside)
    share = picture / grid.factor**2  # cells
    areas = np.bincount(regions.ravel())
    roots, within = joined(areas, borders(regions, walls), settings.contrast, share)
    cut = roots[regions]
    large = np.bincount(cut[inside], minlength=len(areas)) >= settings.smallest_part * share
    whole = _chance(settings.contrast - within) / _chance(settings.contrast)
    cut[~large[cut]] = 0
    if _pieces_apart(cut, inside):
        within_all = whole[np.unique(roots[regions[inside]])]
        return mask.astype(np.int32), [float(within_all.min(initial=1))]
    weakest = _weakest_borders(cut, walls, len(areas), share)
    sure = _chance(weakest - settings.contrast) * whole
    names, numbers = np.unique(with_nearest(grid.repeat(cut))[mask], return_inverse=True)
    pieces = np.zeros(mask.shape, np.int32)
    pieces[mask] = numbers + 1
    return pieces, sure[names].tolist()


def _weakest_borders(
    cut: npt.NDArray[np.int64], walls: FloatMap, count: int, picture: float
) -> npt.NDArray[np.float64]:
    """Return the least evidence of each of `count` regions' borders; infinite where it has none."""
    areas = np.bincount(cut.ravel())
    weakest = np.full(count, np.inf)
    between = borders(cut, walls)
    for one, other, total, length in zip(*vars(between).values(), strict=True):
        found = evidence(total / length, length, min(areas[one], areas[other]), picture)
        weakest[[one, other]] = np.minimum(weakest[[one, other]], found)
    return weakest


def _chance(margin: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Turn evidence above a threshold into a probability."""
    return expit(np.asarray(margin, np.float64) / DOUBT)


def _pieces_apart(cut: npt.NDArray[np.integer], inside: npt.NDArray[np.bool_]) -> bool:
    """Whether no connected part of the mask holds two pieces: then nothing was cut."""
    connected, count = ndimage.label(inside, _CORNERS)
    held = np.unique(np.stack([connected[cut > 0], cut[cut > 0]]), axis=1)
    return bool((np.bincount(held[0], minlength=count + 1) < 2).all())


def _joined_inputs(
    pieces: Labels, parts: list[int], edge: FloatMap, settings: RIPSettings
) -> npt.NDArray[np.int64]:
    """Join pieces of different inputs that hardly an edge parts; returns a number for each.

    Only over long borders: fragments were one, and objects that touch mostly touch in places.
    """
    if not (parts and settings.join):
        return np.arange(len(parts))
    grown = pieces
    for _ in range(REACH):
        grown = _grown(grown)
    between = borders(grown, ndimage.maximum_filter(edge, 2 * REACH - 1))
    areas, inputs = np.bincount(pieces.ravel()), np.array([-1, *parts])
    smaller = np.minimum(areas[between.first], areas[between.second])
    one = inputs[between.first] != inputs[between.second]
    one &= between.sums < settings.join * between.lengths
    one &= between.lengths > LONG * np.sqrt(smaller)
    links = coo_array(
        (np.ones(one.sum()), (between.first[one] - 1, between.second[one] - 1)), [len(parts)] * 2
    )
    owners: npt.NDArray[np.int64] = connected_components(links, directed=False)[1]
    return owners


def _grown(labels: Labels) -> Labels:
    """Let labels (H, W) grow by a pixel to the sides, into what is nobody's."""
    wide = np.pad(labels, 1)
    grown = labels.copy()
    for beside in (wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]):
        grown = np.where(grown == 0, beside, grown)
    return grown


def _fill_between(labels: Labels, index: int) -> None:
    """Give an instance the narrow gaps between the fragments that it was joined of."""
    (box,) = ndimage.find_objects((labels == index).astype(np.int8))
    own = np.pad(labels[box] == index, REACH)
    closed = ndimage.binary_closing(own, _CORNERS, iterations=REACH)[REACH:-REACH, REACH:-REACH]
    labels[box][closed & (labels[box] == 0)] = index
