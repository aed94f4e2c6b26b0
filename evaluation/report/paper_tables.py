"""Figures that papers print, from paper_tables.json, to stand above our own.

All tables of DiffDIS (ICLR 2025) that have figures in its text, in fractions, and all of DiffEGG
(arXiv 2503.07982), in percent, as printed. DiffEGG's later version is called TRACE (ICLR 2026); of
it, and of ProMerge (ECCV 2024), there are the rows of their authors' READMEs that differ. TRACE's
rows for unsupervised masks are those of DiffEGG's Table 1 and are not repeated. MISSING lists what
could not be had: no figure is guessed.

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

    programs: which of ours measure the same. figures: metric -> value. reproduced: metrics that the
    paper marks with an asterisk, as its authors' reproduction of others' work. consistent: whether
    the figures agree with the rest of the paper. doubt: why they do not, or what else they may be;
    empty if neither.
    """

    paper: str
    table: str
    programs: tuple[str, ...]
    protocol: str
    dataset: str
    method: str
    figures: Mapping[str, float]
    reproduced: tuple[str, ...] = ()
    consistent: bool = True
    doubt: str = ""

    @property
    def label(self) -> str:
        """Name of the row beside our own."""
        remarks = [f"{self.paper}, {self.table}", self.protocol]
        if self.reproduced:
            whole = set(self.reproduced) == set(self.figures)
            remarks.append("reproduced" if whole else f"{', '.join(self.reproduced)} reproduced")
        return f"{self.method} ({'; '.join(remarks)})"


def rows_for(program: str, datasets: Iterable[str] | None = None) -> list[PaperRow]:
    """Return the papers' rows that `program` measures, of some data sets or of all."""
    wanted = None if datasets is None else set(datasets)
    return [r for r in ROWS if program in r.programs and (wanted is None or r.dataset in wanted)]


def _read(file: Path) -> tuple[tuple[PaperRow, ...], Mapping[str, str]]:
    """Return the rows of all tables, each with what its table says of all, and what is missing."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    rows = []
    for table in stored["tables"]:
        shared = {name: table[name] for name in ("paper", "table", "protocol")}
        shared["programs"] = tuple(table["programs"])
        for row in table["rows"]:
            reproduced = tuple(row.pop("reproduced", ()))
            rows.append(PaperRow(**shared, **row, reproduced=reproduced))
    return tuple(rows), stored["missing"]


ROWS, MISSING = _read(Path(__file__).with_suffix(".json"))
"""Every figure of the papers' tables that can be had; and what cannot, by paper and table."""
