"""What the compact models' runs and their measurements left behind, for model cards."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import yaml

from segdemo.datatypes import InputError
from training.loop.settings import SETTINGS_FILE
from training.small.export import DATA

MATERIAL = DATA | {
    "608 more photos of people, Clothing Co-Parsing": "Apache-2.0; the photos are third parties'",
    "127 more photos of COCO": "annotations CC BY 4.0; each photo under its own Flickr licence",
    "4,247 photos whose subjects U2NetP cut out: Caltech-101, clothing, TrashNet, groceries": (
        "as their collections say"
    ),
}
"""What the compact models learn from, and its licences."""

PLACES = ("data_dir", "output_dir")
"""Settings that name folders of one machine."""


def best_validation(run: Path, metric: str) -> str:
    """Return the best row of a run's validation as text, empty where there is none."""
    try:
        rows = list(csv.DictReader((run / "validation.csv").read_text().splitlines()))
        best = max(rows, key=lambda row: float(row[metric]))
    except (OSError, ValueError, KeyError):
        return ""
    return ", ".join(f"{name} {float(value):.4g}" for name, value in best.items())


def run_settings(run: Path) -> dict[str, Any]:
    """Return the settings that a run was started with, but for places; empty where unknown."""
    try:
        content = yaml.safe_load((run / SETTINGS_FILE).read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return {name: value for name, value in dict(content).items() if name not in PLACES}


def measured(folder: Path, program: str) -> dict[str, Any]:
    """Return `results.json` of an evaluation; raises InputError, which names the program."""
    file = folder / "results.json"
    try:
        content = json.loads(file.read_bytes())
        return {name: content[name] for name in ("figures", "command")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} holds no results: run {program} first.") from error
