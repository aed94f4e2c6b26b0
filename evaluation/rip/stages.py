"""What both measurements share: the two stages and the gain between them."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.core.row_file import Row

STAGES = ("before", "after")


def gains(rows: Sequence[Row], metric: str) -> list[float | None]:
    """Return after minus before of each row; None where either is undefined."""
    before, after = ([row.get(f"{stage}: {metric}") for row in rows] for stage in STAGES)
    return [None if a is None or b is None else b - a for a, b in zip(before, after, strict=True)]
