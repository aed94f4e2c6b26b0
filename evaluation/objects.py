"""The objects of one picture as COCO's protocol sees them, and how much they overlap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api
from scipy import ndimage

Kind = Literal["segm", "bbox", "boundary"]
"""What overlaps are measured on: masks, boxes, or masks and their outlines (the smaller)."""

OUTLINE = 0.02  # width of an outline, of the picture's diagonal

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Objects:
    """The N objects of one picture, true or predicted.

    runs: COCO's compressed runs of each mask, None where only boxes are known. boxes: (N, 4) left,
    top, width, height. areas: (N,) pixels, for the sizes. scores: (N,), of predictions. crowd: (N,)
    bool, regions of many objects: what lies in them is neither right nor wrong.
    """

    runs: Sequence[Mapping[str, Any]] | None
    boxes: Values
    areas: Values
    scores: Values
    crowd: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.areas)

    @classmethod
    def of_runs(
        cls,
        runs: Sequence[Mapping[str, Any]],
        scores: Values | None = None,
        crowd: npt.NDArray[np.bool_] | None = None,
    ) -> Objects:
        """Make objects of masks alone; boxes and areas are the masks' own."""
        count = len(runs)
        return cls(
            runs,
            mask_api.toBbox(list(runs)) if count else np.zeros((0, 4)),
            mask_api.area(list(runs)).astype(float) if count else np.zeros(0),
            np.ones(count) if scores is None else scores,
            np.zeros(count, bool) if crowd is None else crowd,
        )

    def with_box_areas(self) -> Objects:
        """Take the boxes' areas, as pycocotools does with predictions that come with boxes."""
        areas = self.boxes[:, 2] * self.boxes[:, 3]
        return Objects(self.runs, self.boxes, areas, self.scores, self.crowd)

    def with_mask_areas(self) -> Objects:
        """Take the masks' own areas, or the boxes' where only these are known."""
        if self.runs is None:
            return self.with_box_areas()
        areas = Objects.of_runs(self.runs).areas
        return Objects(self.runs, self.boxes, areas, self.scores, self.crowd)

    def in_order(self, order: npt.NDArray[np.intp]) -> Objects:
        """Return the objects chosen by `order`."""
        return Objects(
            None if self.runs is None else [self.runs[i] for i in order],
            self.boxes[order],
            self.areas[order],
            self.scores[order],
            self.crowd[order],
        )


def overlaps(truth: Objects, found: Objects, kind: Kind) -> Values:
    """Return the IoU of each prediction with each true object, (D, G).

    With a crowd it is the share of the prediction that lies in it; of a crowd's outline nothing
    can be said, so `boundary` takes the masks there.
    """
    if not len(truth) or not len(found):
        return np.zeros((len(found), len(truth)))
    crowd = truth.crowd.astype(int).tolist()
    if kind == "bbox":
        return np.asarray(mask_api.iou(found.boxes.tolist(), truth.boxes.tolist(), crowd))
    assert truth.runs is not None and found.runs is not None
    of_masks = np.asarray(mask_api.iou(list(found.runs), list(truth.runs), crowd))
    if kind == "segm":
        return of_masks
    outlines = [[outline(runs) for runs in objects.runs or ()] for objects in (found, truth)]
    of_outlines = np.asarray(mask_api.iou(*outlines, [0] * len(truth)))
    return np.where(truth.crowd, of_masks, np.minimum(of_masks, of_outlines))


def outline(runs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the runs of a mask's outline: what lies within 0.02 of the diagonal of its border."""
    height, width = runs["size"]
    reach = max(1, round(OUTLINE * math.hypot(height, width)))
    mask = mask_api.decode(dict(runs))  # (H, W) uint8
    left, top, across, down = mask_api.toBbox(dict(runs)).astype(int)
    inside = mask[top : top + down, left : left + across]
    if inside.size:
        core = ndimage.minimum_filter(inside, 2 * reach + 1, mode="constant", cval=0)
        mask[top : top + down, left : left + across] -= core
    encoded: dict[str, Any] = mask_api.encode(np.asfortranarray(mask))
    return encoded
