"""Parts of a kept result that the model looks at again, one by one, and taking that back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import FloatMap, InputError
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.images import load_rgb
from segdemo.ui.cutout.results import KeptResult, reduced, result_of, write_mask

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


def keep_refined(kept: KeptResult, mask: FloatMap) -> KeptResult:
    """Put another mask into a result, and what it had there before beside it."""
    before = result_of(kept).mask
    changed = mask != before
    rows, columns = (_span(changed.any(1 - axis)) for axis in (0, 1))
    np.savez(
        _patch(kept, kept.windows),
        corner=np.array([rows.start, columns.start]),
        before=before[rows, columns],
    )
    write_mask(kept.folder, mask)
    return replace(kept, mask=reduced(mask), windows=kept.windows + 1)


def undo_window(kept: KeptResult) -> KeptResult:
    """Take the last window back; raises InputError where there is none, or the result is gone."""
    if not kept.windows:
        raise InputError("There is no window to take back.")
    mask = result_of(kept).mask.copy()
    with np.load(_patch(kept, kept.windows - 1)) as patch:
        (top, left), before = patch["corner"].tolist(), patch["before"]
    mask[top : top + before.shape[0], left : left + before.shape[1]] = before
    write_mask(kept.folder, mask)
    return replace(kept, mask=reduced(mask), windows=kept.windows - 1)


def _span(changed: npt.NDArray[np.bool_]) -> slice:
    """Return the range from the first to the last True; empty for none."""
    where = np.flatnonzero(changed)
    return slice(int(where[0]), int(where[-1]) + 1) if where.size else slice(0, 0)


def _patch(kept: KeptResult, number: int) -> Path:
    return kept.folder / f"before_{number:03d}.npz"
