"""Figures that papers print, from paper_tables.json, to stand above our own.

DiffDIS (ICLR 2025) prints fractions, DiffEGG (arXiv 2503.07982) percent; both are kept as printed.
Figures that contradict others of the same paper are kept too, with the reason in `doubt`. What is
not known here is listed under `missing`: no figure is guessed. Where the papers themselves were not
at hand, some rows come from others who print the same methods on the same data: `paper` and `table`
name them. DiffEGG's later version is called TRACE; its own rows differ from those of DiffEGG.

Metrics have the names that our programs use. DiffDIS measures binarised maps by an adaptive
E-measure; the rows of the other methods in its tables come from soft maps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OVERALL = "Overall"  # the mean over DIS-TE1..4, without DIS-VD


@dataclass(frozen=True)
class PaperRow:
    """One method's figures on one data set, as printed.

    program: which of ours measures the same. figures: metric -> value. doubt: why the paper
    contradicts itself here, or the figures may not be what they are taken for; empty if neither.
    """

    program: str
    paper: str
    table: str
    dataset: str
    method: str
    protocol: str
    figures: Mapping[str, float]
    doubt: str = ""

    @property
    def label(self) -> str:
        """Name of the row beside our own."""
        return f"{self.method} ({self.paper}, {self.table}; {self.protocol})"


def rows_for(program: str, datasets: Iterable[str] | None = None) -> list[PaperRow]:
    """Return the papers' rows that `program` measures, of some data sets or of all."""
    wanted = None if datasets is None else set(datasets)
    return [r for r in ROWS if r.program == program and (wanted is None or r.dataset in wanted)]


_TABLES = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
ROWS = tuple(PaperRow(**row) for row in _TABLES["rows"])
"""Every figure of the papers' tables that is known here, and others' on the same data."""
MISSING: Mapping[str, str] = _TABLES["missing"]
"""What the papers print and this file lacks."""
