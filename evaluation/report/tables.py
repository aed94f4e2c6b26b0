"""One form for the results of every measuring program: JSON, Markdown, CSV, one row per sample.

Figures are named "section/row/metric", "row/metric" or "metric". A section is a data set; papers'
rows on the same data set stand above ours.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.report.panels import WorstPanels, save_worst
from evaluation.report.paper_tables import PaperRow
from evaluation.report.plots import Figure, save_figure
from evaluation.report.provenance import list_digest, versions
from segdemo.files import write_text

DIGITS = 6
SHOWN = 3  # digits in tables, as the papers print


@dataclass(frozen=True)
class Report:
    """What a program measured.

    figures: see the module; NaN where a figure is not defined. per_image: one row per sample, under
    `name`; values that are not numbers or words stay out of the CSV. counts: images, objects ...
    papers: rows to print above ours, on the scale of `figures`. plots: by file name. worst: the
    panels to draw.
    """

    program: str
    protocol: str
    figures: dict[str, float]
    per_image: list[dict[str, Any]]
    counts: dict[str, int]
    notes: Sequence[str]
    papers: Sequence[PaperRow] = ()
    plots: Mapping[str, Figure] = field(default_factory=dict)
    worst: WorstPanels | None = None


def write_report(report: Report, output_dir: Path, inputs: Iterable[Path], panels: int = 0) -> None:
    """Write results.json, .md, .csv, per_image.csv, plots and panels, and print the tables.

    inputs: every file that was read; their names, sizes and number are hashed. panels: how many
    images to draw, those of lowest value.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    for name, figure in report.plots.items():
        save_figure(figure, output_dir / "plots" / f"{name}.png")
    if report.worst is not None:
        names = [row["name"] for row in report.per_image]
        save_worst(output_dir / "worst", names, report.worst, panels)
    values = {name: _rounded(value) for name, value in report.figures.items()}
    results = {
        "program": report.program,
        "protocol": report.protocol,
        "figures": values,
        "counts": report.counts,
        "notes": report.notes,
        "versions": versions(),
        "command": shlex.join(["python", "-m", f"evaluation.{report.program}", *sys.argv[1:]]),
        "inputs": list_digest(inputs),
    }
    content = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    write_text(content, output_dir / "results.json")
    table = tables(report)
    write_text(table, output_dir / "results.md")
    write_text(_figures_csv(values), output_dir / "results.csv")
    write_text(_rows_csv(report.per_image), output_dir / "per_image.csv")
    print(table, end="")


def tables(report: Report) -> str:
    """Lay out a Markdown table a section, papers' rows above ours, then counts and notes."""
    lines = [f"# evaluation.{report.program}: {report.protocol}", ""]
    for section, rows in _sections(report.figures).items():
        papers = [row for row in report.papers if not section or row.dataset == section]
        columns = list(dict.fromkeys(metric for row in rows.values() for metric in row))
        papers = [row for row in papers if set(columns) & set(row.figures)]
        head = section or "row"
        body = [_paper_cells(row, columns) for row in papers]
        body += [[f"**{name}**", *_cells(row, columns)] for name, row in rows.items()]
        lines += [_line([head, *columns]), _line(["---"] * (len(columns) + 1))]
        lines += [*map(_line, body), ""]
        lines += [f"\\* {row.label}: {row.doubt}" for row in papers if row.doubt]
        lines += [""] if any(row.doubt for row in papers) else []
    if report.counts:
        lines += [", ".join(f"{name} {value}" for name, value in report.counts.items()), ""]
    lines += [f"- {note}" for note in report.notes]
    return "\n".join(lines).rstrip("\n") + "\n"


def _sections(figures: Mapping[str, float]) -> dict[str, dict[str, dict[str, float]]]:
    """Sort figures by section, row and metric; a name without a row gets the row "ours"."""
    sorted_: dict[str, dict[str, dict[str, float]]] = {}
    for name, value in figures.items():
        *places, metric = name.split("/")
        section = places[0] if len(places) > 1 else ""
        row = "/".join(places[1:] if section else places) or "ours"
        sorted_.setdefault(section, {}).setdefault(row, {})[metric] = value
    return sorted_


def _paper_cells(row: PaperRow, columns: Sequence[str]) -> list[str]:
    mark = " \\*" if row.doubt else ""
    return [f"{row.label}{mark}", *_cells(row.figures, columns)]


def _cells(values: Mapping[str, float], columns: Sequence[str]) -> list[str]:
    return [_shown(values[name]) if name in values else "-" for name in columns]


def _shown(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:.{SHOWN}f}" if math.isfinite(value) else "undefined"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rounded(value: float) -> float | None:
    """Round for JSON, which has no NaN."""
    return round(float(value), DIGITS) if math.isfinite(value) else None


def _figures_csv(values: Mapping[str, float | None]) -> str:
    rows = [{"figure": name, "value": value} for name, value in values.items()]
    return _rows_csv(rows)


def _rows_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    plain = [{name: _cell(value) for name, value in row.items() if _is_cell(value)} for row in rows]
    names = list(dict.fromkeys(name for row in plain for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
    return text.getvalue()


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _cell(value: Any) -> Any:
    return f"{value:.{DIGITS}f}" if isinstance(value, float) else value
