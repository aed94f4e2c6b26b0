"""Changes of a kept result's mask, and taking them back: each is a file beside the mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap, InputError
from segdemo.ui.cutout.results import KeptResult, reduced, result_of, write_mask


def change_mask(kept: KeptResult, mask: FloatMap) -> KeptResult:
    """Put another mask (H, W) into a result, and what it had there before beside it."""
    before = result_of(kept).mask
    changed = mask != before
    rows, columns = _span(changed.any(1)), _span(changed.any(0))
    np.savez(
        kept.folder / f"before_{count_changes(kept):04d}.npz",
        corner=np.array([rows.start, columns.start]),
        before=before[rows, columns],
    )
    write_mask(kept.folder, mask)
    return replace(kept, mask=reduced(mask))


def undo_change(kept: KeptResult) -> KeptResult:
    """Take the last change back; raises InputError where there is none, or the result is gone."""
    mask, patches = result_of(kept).mask.copy(), _patches(kept)
    if not patches:
        raise InputError("There is nothing to take back.")
    with np.load(patches[-1]) as patch:
        (top, left), before = patch["corner"].tolist(), patch["before"]
    mask[top : top + before.shape[0], left : left + before.shape[1]] = before
    write_mask(kept.folder, mask)
    patches[-1].unlink()
    return replace(kept, mask=reduced(mask))


def count_changes(kept: KeptResult) -> int:
    """Return how many changes can be taken back."""
    return len(_patches(kept))


def _patches(kept: KeptResult) -> list[Path]:
    return sorted(kept.folder.glob("before_*.npz"))


def _span(changed: npt.NDArray[np.bool_]) -> slice:
    """Return the range from the first to the last True; empty for none."""
    where = np.flatnonzero(changed)
    return slice(int(where[0]), int(where[-1]) + 1) if where.size else slice(0, 0)
