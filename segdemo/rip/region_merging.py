"""RIP by region merging, for unreliable edges: a mask changes only on evidence of whole borders.

Within each mask, the basins of the edge map's watershed merge over their weakest borders; what is
left when every border stands out is a split. A mask without such a border keeps every pixel,
however small it is. Masks that touch are joined where they are probably fragments of one object
(`fragments`). Not from the paper, whose walk (`walk`) trusts every edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import expit

from segdemo.datatypes import FloatMap
from segdemo.rip.fragments import GRID, REACH, join_fragments
from segdemo.rip.grid import BoolMask, Grid, LabelImage
from segdemo.rip.hierarchy import evidence, find_basins, find_borders, merge_hierarchical
from segdemo.rip.inputs import InputMasks
from segdemo.rip.nearest import fill_with_nearest
from segdemo.rip.refinement import Refinement
from segdemo.rip.settings import RegionMergingSettings

TEMPERATURE = 0.2  # of evidence: how far from the threshold it still says little
EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def merge_regions(
    masks: InputMasks,
    edge: FloatMap,
    scores: npt.NDArray[np.float64],
    settings: RegionMergingSettings,
    support: BoolMask | None = None,
) -> Refinement:
    """Refine masks with scores (N,) by an edge map (H, W) in [0, 1]; see `refine`.

    An instance has the highest score of its inputs, times how likely it is one object: a mask with
    hardly an edge inside keeps its score, a doubtful part or a mask that was nearly cut ranks
    behind it.
    """
    labels = masks.flatten()
    if support is not None:
        labels = labels * support
    parts = np.zeros(labels.shape, np.int32)
    owners: list[int] = []
    part_scores: list[float] = []
    for index, box in enumerate(ndimage.find_objects(labels)):
        if box is None:
            continue
        mask = labels[box] == index + 1
        split = split_mask(mask, edge[box], edge.size, settings)
        parts[box][mask] = split.labels[mask] + len(owners)
        owners += [index] * len(split.confidence)
        part_scores += (scores[index] * split.confidence).tolist()
    joined = join_fragments(parts, np.array(owners, np.int64), edge, settings.join_probability)
    result = np.concatenate([[0], joined.groups + 1])[parts].astype(np.int32)
    members = [np.flatnonzero(joined.groups == n).tolist() for n in range(len(joined.confidence))]
    sources = [tuple(sorted({owners[part] for part in own})) for own in members]
    for index, source in enumerate(sources, start=1):
        if len(source) > 1:
            _fill_between(result, index, support)
    best = np.array([max(part_scores[part] for part in own) for own in members], float)
    best *= joined.confidence
    return Refinement(result, best, tuple(sources), (), tuple(owners), len(masks))


@dataclass(frozen=True, eq=False)
class Split:
    """Parts of one mask: labels (h, w) from 1 on, 0 outside; confidence: (K,) in [0, 1]."""

    labels: LabelImage
    confidence: npt.NDArray[np.float64]


def split_mask(
    mask: BoolMask, edge: FloatMap, image: int, settings: RegionMergingSettings
) -> Split:
    """Split a mask (h, w) along an edge map of its size.

    image: pixels of the whole image. The confidence of a part says how likely it is one object:
    that its weakest border separates two, and that the strongest border within it does not. Where
    no border stands out, all of the mask is part 1.
    """
    grid = Grid(mask.shape, settings.grid)
    inside, cell_edge = grid.downsample(mask), grid.max_pool(edge)  # (h', w')
    regions = find_basins(cell_edge, inside)
    cells = image / grid.factor**2
    areas = np.bincount(regions.ravel())
    roots, inner = merge_hierarchical(
        areas, find_borders(regions, cell_edge), settings.edge_contrast, cells
    )
    cut = roots[regions]
    large = np.bincount(cut[inside], minlength=len(areas)) >= settings.min_component * cells
    one_object = _probability(settings.edge_contrast - inner) / _probability(settings.edge_contrast)
    cut[~large[cut]] = 0
    if _is_uncut(cut, inside):
        lowest = one_object[np.unique(roots[regions[inside]])].min(initial=1)
        return Split(mask.astype(np.int32), np.array([lowest]))
    weakest = _weakest_borders(cut, cell_edge, len(areas), cells)
    confidence = _probability(weakest - settings.edge_contrast) * one_object
    names, numbers = np.unique(fill_with_nearest(grid.upsample(cut))[mask], return_inverse=True)
    parts = np.zeros(mask.shape, np.int32)
    parts[mask] = numbers + 1
    return Split(parts, confidence[names])


def _weakest_borders(
    cut: npt.NDArray[np.int64], edge: FloatMap, count: int, image: float
) -> npt.NDArray[np.float64]:
    """Return the least evidence of each of `count` regions' borders; infinite where it has none."""
    areas = np.bincount(cut.ravel())
    weakest = np.full(count, np.inf)
    for one, other, total, length in zip(*vars(find_borders(cut, edge)).values(), strict=True):
        found = evidence(total / length, length, min(areas[one], areas[other]), image)
        weakest[[one, other]] = np.minimum(weakest[[one, other]], found)
    return weakest


def _probability(margin: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Turn evidence above a threshold into a probability."""
    return expit(np.asarray(margin, np.float64) / TEMPERATURE)


def _is_uncut(cut: npt.NDArray[np.integer], inside: BoolMask) -> bool:
    """Whether no connected component of the mask holds two parts."""
    components, count = ndimage.label(inside, EIGHT_NEIGHBOURS)
    pairs = np.unique(np.stack([components[cut > 0], cut[cut > 0]]), axis=1)
    return bool((np.bincount(pairs[0], minlength=count + 1) < 2).all())


def _fill_between(labels: LabelImage, index: int, support: BoolMask | None) -> None:
    """Give an instance the narrow gaps between the fragments that it was joined from."""
    (box,) = ndimage.find_objects((labels == index).astype(np.int8))
    reach = REACH * Grid(labels.shape, GRID).factor
    own = np.pad(labels[box] == index, reach)
    closed = ndimage.binary_closing(own, EIGHT_NEIGHBOURS, iterations=reach)
    free = closed[reach:-reach, reach:-reach] & (labels[box] == 0)
    if support is not None:
        free &= support[box]
    labels[box][free] = index
