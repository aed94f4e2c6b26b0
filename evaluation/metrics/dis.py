"""Measures of dichotomous segmentation of one image, and their means over many.

PySODMetrics computes F, E, S and HCE. A protocol says on which map: `sod` on the soft map
normalized to [0, 1] (most papers' figures), `diffdis` on that map thresholded at 0.5 (DiffDIS' own
script).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from evaluation.metrics.weighted_f import weighted_f

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it deprecates a class of its own while it is imported
    from py_sod_metrics import (
        Emeasure,
        FmeasureHandler,
        FmeasureV2,
        HumanCorrectionEffortMeasure,
        PrecisionHandler,
        RecallHandler,
        Smeasure,
    )

PROTOCOLS = ("diffdis", "sod")
METRICS = ("maxF", "wF", "S", "meanE", "adpE", "MAE", "HCE", "BIoU", "IoU")
"""What the tables show. maxF and meanE of many images come from the mean curves."""
EXTRA = ("meanF", "adpF", "maxE")
CURVES = ("f", "e", "precision", "recall")
"""256 values each, thresholds 255/255 down to 0."""

TRUTH_ABOVE = 128  # of 255: where the reference library begins the subject
BETA2 = 0.3
IOU_SMOOTHING = 1e-5  # as the official script's
MARGIN = 8  # pixels of background around masks: more than HCE's relaxation of 5 and a neighbour
RING = 0.02  # of the diagonal: depth of the ring that boundary IoU compares

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """One image under one protocol: values by metric, and (4, 256) `CURVES`.

    empty_quadrant: the subject's centroid lies in the last row or column, where S is not defined.
    """

    values: dict[str, float]
    curves: Values
    empty_quadrant: bool


def measure_pair(
    truth: npt.NDArray[np.uint8], prediction: npt.NDArray[Any], strict: bool = False
) -> dict[str, Measured]:
    """Measure one prediction under every protocol.

    truth: (H, W), subject above 128. prediction: (H, W), unsigned whole numbers up to their type's
    largest, or floats in [0, 1]. strict: leave S undefined (NaN), as the references do, where the
    subject's centre lies in the last row or column; otherwise a quadrant without pixels adds 0.
    """
    mask = truth > TRUTH_ABOVE
    soft, hard = normalize(to_unit_range(prediction)), binarize(prediction)
    found = {
        "diffdis": _measure(hard.astype(np.float64), mask, strict),
        "sod": _measure(soft, mask, strict),
    }
    cut = soft > 0.5
    binary = {"diffdis": _binary(hard, mask)}
    binary["sod"] = binary["diffdis"] if np.array_equal(cut, hard) else _binary(cut, mask)
    for protocol, values in binary.items():
        found[protocol].values.update(values)
    return found


def to_unit_range(prediction: npt.NDArray[Any]) -> Values:
    """Return whole numbers divided by the largest of their type, floats as they are."""
    if prediction.dtype.kind == "u":
        return prediction / np.iinfo(prediction.dtype).max
    return prediction.astype(np.float64)


def normalize(values: Values) -> Values:
    """Min-max normalize to [0, 1]; a map of one value stays as it is."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else values


def binarize(prediction: npt.NDArray[Any]) -> Mask:
    """Threshold the normalized map above 0.5, a map of one value as it is.

    Normalized from whole numbers, as the official script does: what lies half way between darkest
    and brightest is then exactly 0.5. Divided by 255 first, it may come out a little above.
    """
    if prediction.min() == prediction.max():
        return to_unit_range(prediction) > 0.5
    return normalize(prediction.astype(np.float64)) > 0.5


def _measure(values: Values, mask: Mask, strict: bool) -> Measured:
    """Measure F, wF, S, E and MAE of a map in [0, 1]."""
    f = FmeasureHandler(with_adaptive=True, with_dynamic=True, beta=BETA2)
    precision, recall = (
        kind(with_adaptive=False, with_dynamic=True) for kind in (PrecisionHandler, RecallHandler)
    )
    FmeasureV2({"f": f, "precision": precision, "recall": recall}).step(values, mask, False)
    e, s = Emeasure(), _QuadrantS()
    e.step(values, mask, False)
    s.step(values, mask, False)
    curve_f, curve_e = f.dynamic_results[0], e.changeable_ems[0]
    named = {
        "maxF": curve_f.max(),
        "wF": weighted_f(values, mask),
        "S": math.nan if strict and s.empty_quadrant else s.sms[0],
        "meanE": curve_e.mean(),
        "adpE": e.adaptive_ems[0],
        "MAE": np.abs(values - mask).mean(),
        "meanF": curve_f.mean(),
        "adpF": f.adaptive_results[0],
        "maxE": curve_e.max(),
    }
    curves = (curve_f, curve_e, precision.dynamic_results[0], recall.dynamic_results[0])
    return Measured(
        {name: float(value) for name, value in named.items()},
        np.stack(curves),
        s.empty_quadrant,
    )


class _QuadrantS(Smeasure):
    """S that counts a quadrant without pixels as nothing, as its weight of zero says."""

    empty_quadrant = False

    def ssim(self, pred: Values, gt: Mask) -> float:
        """Compare a quadrant."""
        self.empty_quadrant |= not pred.size
        return float(super().ssim(pred, gt)) if pred.size else 0.0


def _binary(found: Mask, mask: Mask) -> dict[str, float]:
    """Measure what needs a mask: HCE, boundary IoU, IoU."""
    shared, union = int((found & mask).sum()), int((found | mask).sum())
    return {
        "HCE": correction_effort(found, mask),
        "BIoU": boundary_iou(found, mask),
        "IoU": (shared + IOU_SMOOTHING) / (union + IOU_SMOOTHING),
    }


def correction_effort(found: Mask, mask: Mask) -> float:
    """Return the human correction effort of a mask: points and regions to be set by hand.

    Measured inside the box of both masks, which changes nothing: what lies further away than the
    relaxation reaches is background for every step. Thinning the truth takes most of the time.
    """
    either = found | mask
    if not either.any():
        return 0.0
    rows, columns = (np.flatnonzero(either.any(axis=axis)) for axis in (1, 0))
    box = tuple(slice(max(0, i[0] - MARGIN), i[-1] + 1 + MARGIN) for i in (rows, columns))
    effort = HumanCorrectionEffortMeasure()
    effort.step(found[box].astype(np.float64), mask[box], False)
    return float(effort.hces[0])


def boundary_iou(found: Mask, mask: Mask) -> float:
    """Return the IoU of the inner rings of two masks (Cheng et al., 2021); 1 if both are empty.

    A ring is as deep as 2 % of the diagonal, at least one pixel; outside the image is background.
    """
    depth = max(1, round(RING * math.hypot(*mask.shape)))
    rings = [one & ~_eroded(one, depth) for one in (found, mask)]
    return iou(*rings)


def iou(found: Mask, mask: Mask) -> float:
    """Return the intersection over union of two masks; 1 if both are empty."""
    union = int((found | mask).sum())
    return int((found & mask).sum()) / union if union else 1.0


def _eroded(mask: Mask, depth: int) -> Mask:
    square = np.ones((3, 3), np.uint8)
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return cv2.erode(padded, square, iterations=depth)[1:-1, 1:-1].astype(bool)


@dataclass
class Means:
    """Means over images of one protocol, added one by one; memory does not grow with curves.

    Sums are exact (`math.fsum`), so that the order of images changes no digit.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    curves: dict[str, Values] = field(default_factory=dict)
    count: int = 0

    def add(self, values: Mapping[str, float], curves: Mapping[str, Values]) -> None:
        """Add an image."""
        self.count += 1
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)
        for name, curve in curves.items():
            total = self.curves.setdefault(name, np.zeros(len(curve)))
            total += curve

    def figures(self) -> dict[str, float]:
        """Return the figures of all images; NaN for a measure that one image leaves undefined.

        max F, mean F, mean E and max E are those of the mean curves, not means of images'.
        """
        means = {name: math.fsum(values) / self.count for name, values in self.values.items()}
        f, e = (self.curve(name) for name in ("f", "e"))
        of_curves = {"maxF": f.max(), "meanF": f.mean(), "maxE": e.max(), "meanE": e.mean()}
        means |= {name: float(value) for name, value in of_curves.items()}
        return {name: means[name] for name in (*METRICS, *EXTRA)}

    def curve(self, name: str) -> Values:
        """Return the mean curve, 256 values."""
        return self.curves[name] / self.count


def mean_of(figures: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the plain mean of the figures of several sets: the papers' "Overall"."""
    sets = list(figures)
    return {name: math.fsum(one[name] for one in sets) / len(sets) for name in sets[0]}


def to_row(measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Flatten for a row: protocol/metric -> value, and `curves` by protocol."""
    row: dict[str, Any] = {
        f"{protocol}/{name}": one.values[name]
        for protocol, one in measured.items()
        for name in (*METRICS, *EXTRA)
    }
    return row | {"curves": {protocol: one.curves for protocol, one in measured.items()}}
