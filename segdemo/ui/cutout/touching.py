"""Touching up a kept result: windows that the model looks at again, and strokes of a brush."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segdemo.assistant import AnnotationAssistant
from segdemo.cutouts import paint
from segdemo.datatypes import FloatMap, InputError
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.images import load_rgb
from segdemo.ui.cutout.results import KeptResult, result_of
from segdemo.ui.forms import read_number

MOST_POINTS = 5000  # of a stroke
NO_WINDOW = "Draw a window first: drag over the part of the cut-out to look at again."
NOT_A_BOX = "A box is four numbers: left, top, right, bottom."


def read_box(given: object) -> npt.NDArray[np.float64]:
    """Read left, top, right and bottom, (4,); raises InputError."""
    try:
        return np.asarray(given, float).reshape(4)
    except (TypeError, ValueError) as error:
        raise InputError(NOT_A_BOX) from error


def refined_mask(
    assistant: AnnotationAssistant,
    kept: KeptResult,
    fractions: object,
    settings: DiffDISSettings,
) -> FloatMap:
    """Return a result's mask (H, W), looked at again inside a window; the result stays as it is.

    fractions: left, top, right and bottom relative to the image's sides, or None. Raises InputError
    for no or too small a window, and when the result is gone after a long pause.
    """
    if fractions is None:
        raise InputError(NO_WINDOW)
    mask = result_of(kept).mask
    box = read_box(fractions) * [mask.shape[1], mask.shape[0], mask.shape[1], mask.shape[0]]
    return assistant.refine_window(load_rgb(kept.photo, kept.name), mask, box, settings, kept.model)


def painted_mask(kept: KeptResult, points: object, size: object, add: object) -> FloatMap:
    """Return a result's mask (H, W) after a stroke; the result stays as it is.

    points: x and y in [0, 1] of the image's sides, each. size: the brush's radius relative to the
    longer side. Raises InputError.
    """
    mask = result_of(kept).mask
    height, width = mask.shape
    try:
        path = np.asarray(points, float)[:MOST_POINTS].reshape(-1, 2) * [width, height]
    except (TypeError, ValueError) as error:
        raise InputError("A stroke is a list of points, x and y each.") from error
    radius = read_number("Brush", size, 0, 1) * max(mask.shape)
    if not len(path) or not np.isfinite(path).all():
        raise InputError("A stroke is a list of points, x and y each.")
    return paint(mask, path.clip(0, [width, height]), max(radius, 1.0), bool(add))
