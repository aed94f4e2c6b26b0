"""The instances of one image as COCO's protocol sees them, and their IoU."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_api
from scipy import ndimage

IoUKind = Literal["segm", "bbox", "boundary"]
"""What ious are measured on: masks, boxes, or masks and their outlines (the smaller)."""

BOUNDARY_WIDTH = 0.02  # width of an boundary_band, of the image's diagonal

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instances:
    """The N objects of one image, true or predicted.

    rle: COCO's compressed rle of each mask, None where only boxes are known. boxes: (N, 4) left,
    top, width, height. areas: (N,) pixels, for the sizes. scores: (N,), of predictions. crowd: (N,)
    bool, regions of many objects: what lies in them is neither right nor wrong.
    """

    rle: Sequence[Mapping[str, Any]] | None
    boxes: Values
    areas: Values
    scores: Values
    crowd: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.areas)

    @classmethod
    def from_rle(
        cls,
        rle: Sequence[Mapping[str, Any]],
        scores: Values | None = None,
        crowd: npt.NDArray[np.bool_] | None = None,
    ) -> Instances:
        """Make objects of masks alone; boxes and areas are the masks' own."""
        count = len(rle)
        return cls(
            rle,
            mask_api.toBbox(list(rle)) if count else np.zeros((0, 4)),
            mask_api.area(list(rle)).astype(float) if count else np.zeros(0),
            np.ones(count) if scores is None else scores,
            np.zeros(count, bool) if crowd is None else crowd,
        )

    def with_box_areas(self) -> Instances:
        """Take the boxes' areas, as pycocotools does with predictions that come with boxes."""
        areas = self.boxes[:, 2] * self.boxes[:, 3]
        return Instances(self.rle, self.boxes, areas, self.scores, self.crowd)

    def with_mask_areas(self) -> Instances:
        """Take the masks' own areas, or the boxes' where only these are known."""
        if self.rle is None:
            return self.with_box_areas()
        areas = Instances.from_rle(self.rle).areas
        return Instances(self.rle, self.boxes, areas, self.scores, self.crowd)

    def in_order(self, order: npt.NDArray[np.intp]) -> Instances:
        """Return the objects chosen by `order`."""
        return Instances(
            None if self.rle is None else [self.rle[i] for i in order],
            self.boxes[order],
            self.areas[order],
            self.scores[order],
            self.crowd[order],
        )


def ious(truth: Instances, found: Instances, kind: IoUKind) -> Values:
    """Return the IoU of each prediction with each true object, (D, G).

    With a crowd it is the share of the prediction that lies in it; of a crowd's
    boundary nothing can be said, so `boundary` takes the masks there.
    """
    if not len(truth) or not len(found):
        return np.zeros((len(found), len(truth)))
    crowd = truth.crowd.astype(int).tolist()
    if kind == "bbox":
        return np.asarray(mask_api.iou(found.boxes.tolist(), truth.boxes.tolist(), crowd))
    assert truth.rle is not None and found.rle is not None
    from_masks = np.asarray(mask_api.iou(list(found.rle), list(truth.rle), crowd))
    if kind == "segm":
        return from_masks
    bands = [[boundary_band(rle) for rle in objects.rle or ()] for objects in (found, truth)]
    of_bands = np.asarray(mask_api.iou(*bands, [0] * len(truth)))
    return np.where(truth.crowd, from_masks, np.minimum(from_masks, of_bands))


def boundary_band(rle: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a mask within 0.02 of the image's diagonal of its border, as RLE."""
    height, width = rle["size"]
    reach = max(1, round(BOUNDARY_WIDTH * math.hypot(height, width)))
    mask = mask_api.decode(dict(rle))  # (H, W) uint8
    left, top, across, down = mask_api.toBbox(dict(rle)).astype(int)
    inside = mask[top : top + down, left : left + across]
    if inside.size:
        core = ndimage.minimum_filter(inside, 2 * reach + 1, mode="constant", cval=0)
        mask[top : top + down, left : left + across] -= core
    encoded: dict[str, Any] = mask_api.encode(np.asfortranarray(mask))
    return encoded
