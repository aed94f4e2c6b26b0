"""What the compact models' runs and their measurements left behind, for model cards."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from segdemo.datatypes import InputError


def best_validation(run: Path, metric: str) -> str:
    """Return the best row of a run's validation as text, empty where there is none."""
    try:
        rows = list(csv.DictReader((run / "validation.csv").read_text().splitlines()))
        best = max(rows, key=lambda row: float(row[metric]))
    except (OSError, ValueError, KeyError):
        return ""
    return ", ".join(f"{name} {float(value):.4g}" for name, value in best.items())


def measured(folder: Path, program: str) -> dict[str, Any]:
    """Return `results.json` of an evaluation; raises InputError, which names the program."""
    file = folder / "results.json"
    try:
        content = json.loads(file.read_bytes())
        return {name: content[name] for name in ("figures", "command")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} holds no results: run {program} first.") from error
