"""ProMerge: masks of any number of objects, by prompting patches and merging what they select.

From "ProMerge: Prompt and Merge for Unsupervised Instance Segmentation" (Li and Shin, ECCV 2024,
arXiv 2409.18961), section 3: masks by point prompts, pruning by a background mask, merging. The
order of its steps and its thresholds are those of the published inference. numpy and SciPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segdemo.settings import check_settings, setting
from segdemo.uis.normalized_cut import unit_features
from segdemo.uis.patch_masks import CRF_HELP, BoolMask

Features = npt.NDArray[np.float32]
MOST_SIDES = 1  # of the image that a foreground mask may fill by more than half
VOTE = 0.5  # share of the background masks above which a patch is background


@dataclass(frozen=True)
class ProMergeSettings:
    """How patches are grouped into objects; the defaults are those of the authors' inference."""

    tau: float = setting(
        0.2, "Cosine similarity above which two patches are alike.", minimum=-1, maximum=1
    )
    stride: int = setting(
        4, "Distance of neighboring point prompts.", minimum=1, maximum=64, unit="patches"
    )
    component_area: float = setting(
        0.5,
        "Components of a prompt's mask smaller than this share of the prompted one are dropped.",
        minimum=0,
        maximum=1,
    )
    least_background: float = setting(
        0.1,
        "Share of the image that the background must hold, or nothing is proposed.",
        minimum=0,
        maximum=1,
    )
    background_overlap: float = setting(
        0.8,
        "Masks are dropped whose new part lies in the background by this share or more.",
        minimum=0,
        maximum=1,
    )
    background_cosine: float = setting(
        0.1,
        "Masks are dropped whose mean feature is at least this similar to the background's.",
        minimum=-1,
        maximum=1,
    )
    merge_overlap: float = setting(
        0.5,
        "Masks are merged when more than this share of the smaller lies in the larger.",
        minimum=0,
        maximum=1,
    )
    similar_overlap: float = setting(
        0.1,
        "Masks of similar features are merged from this lower share on.",
        minimum=0,
        maximum=1,
    )
    merge_cosine: float = setting(
        0.1,
        "Similarity of their mean features from which overlapping masks are similar.",
        minimum=-1,
        maximum=1,
    )
    crf: bool = setting(True, CRF_HELP)

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        check_settings(self)


def prompt_and_merge(keys: Features, settings: ProMergeSettings) -> list[BoolMask]:
    """Find objects among patches (h, w, d), the largest first; each (h, w), they may overlap.

    There are none where no background is found, since nothing then tells objects from it.
    """
    units = unit_features(keys)
    foreground, votes = prompt_masks(units, settings)
    if not votes:
        return []
    background = np.mean(votes, axis=0) > VOTE
    if background.mean() < settings.least_background or not background.any():
        return []
    return merge_masks(prune_masks(foreground, background, units, settings), units, settings)


def prompt_masks(
    units: Features, settings: ProMergeSettings
) -> tuple[list[BoolMask], list[BoolMask]]:
    """Return masks of the patches that are like each prompt: of objects, and of the background.

    units: (h, w, d), of length 1. A mask that fills more than half of two or more sides of the
    image is one of the background. The others are divided into 4-connected components.
    """
    foreground: list[BoolMask] = []
    background: list[BoolMask] = []
    height, width, _ = units.shape
    for row in range(0, height, settings.stride):
        for column in range(0, width, settings.stride):
            alike = units @ units[row, column] > settings.tau  # (h, w)
            if not alike[row, column]:  # a feature of zeros is like nothing
                continue
            sides = (alike[0], alike[-1], alike[:, 0], alike[:, -1])
            if sum(side.mean() > 0.5 for side in sides) > MOST_SIDES:
                background.append(alike)
            else:
                foreground += _components(alike, (row, column), settings.component_area)
    return foreground, background


def _components(mask: BoolMask, prompt: tuple[int, int], least: float) -> list[BoolMask]:
    """Return the mask's components of at least `least` times the area of the prompted one."""
    regions, count = ndimage.label(mask)
    areas = np.bincount(regions.ravel(), minlength=count + 1)
    smallest = least * areas[regions[prompt]]
    return [regions == label for label in range(1, count + 1) if areas[label] >= smallest]


def prune_masks(
    masks: list[BoolMask], background: BoolMask, units: Features, settings: ProMergeSettings
) -> list[BoolMask]:
    """Drop masks of the background and those that add nothing, from the smallest to the largest.

    What counts is a mask's new part, which no smaller mask covers that was kept, and the mean
    feature of the whole mask. Returns the kept ones, the smallest first.
    """
    mean_background = units[background].mean(0)
    covered = np.zeros_like(background)
    kept: list[BoolMask] = []
    for mask in sorted(masks, key=np.count_nonzero):
        new = mask & ~covered
        if not new.any() or background[new].mean() >= settings.background_overlap:
            continue
        if units[mask].mean(0) @ mean_background < settings.background_cosine:
            covered |= mask
            kept.append(mask)
    return kept


def merge_masks(
    masks: list[BoolMask], units: Features, settings: ProMergeSettings
) -> list[BoolMask]:
    """Merge masks that overlap, from the largest to the smallest; the largest results first.

    A mask joins every earlier one that holds enough of it, and so joins those, too.
    """
    merged: list[BoolMask] = []
    for mask in sorted(masks, key=np.count_nonzero, reverse=True):
        partners = [other for other in merged if _belongs(mask, other, units, settings)]
        merged = [other for other in merged if not any(other is one for one in partners)]
        merged.append(np.logical_or.reduce([mask, *partners]))
    return sorted(merged, key=np.count_nonzero, reverse=True)


def _belongs(mask: BoolMask, other: BoolMask, units: Features, settings: ProMergeSettings) -> bool:
    """Tell whether a mask is part of another, by their overlap and their mean features."""
    overlap = other[mask].mean()
    if overlap > settings.merge_overlap:
        return True
    if overlap <= settings.similar_overlap:
        return False
    return bool(units[mask].mean(0) @ units[other].mean(0) >= settings.merge_cosine)
