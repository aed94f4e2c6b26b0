"""What stage 1 of DiffEGG reports about a run: settings, problems, a summary."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segdemo.datatypes import InputError, PseudoEdge
from segdemo.files import write_json
from training.loop.settings import check_resumed
from training.stored_edges import StoredEdge

SETTINGS, PROBLEMS, SUMMARY = "settings.json", "problems.csv", "summary.json"


@dataclass
class ProcessSummary:
    """What one process has done of its images, those of earlier runs included."""

    made: int = 0
    skipped: int = 0
    left_out: int = 0
    complete: bool = True
    seconds: float = 0.0
    timesteps: Counter[int] = field(default_factory=Counter)
    peaks: Counter[int] = field(default_factory=Counter)
    flat: int = 0
    guarded: int = 0
    edge_share: float = 0.0
    interior_share: float = 0.0
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def results(self) -> int:
        """Images that have a result."""
        return self.made + self.skipped

    def add(self, edge: StoredEdge) -> None:
        """Count a result, but not whether it is new."""
        self.timesteps[edge.timestep] += 1
        if edge.gaps:
            self.peaks[edge.peak_timestep] += 1
            self.flat += edge.flat
        self.guarded += edge.guarded
        labels = edge.pseudo_edge
        self.edge_share += labels.share(PseudoEdge.EDGE)
        self.interior_share += labels.share(PseudoEdge.INTERIOR)


def summarise(parts: Sequence[ProcessSummary]) -> dict[str, Any]:
    """Combine the processes' parts to what `summary.json` says; shares are means over images."""
    count = sum(part.results for part in parts)
    seconds = max(part.seconds for part in parts)
    made = sum(part.made for part in parts)

    def histogram(name: str) -> dict[str, int]:
        joined: Counter[int] = sum((getattr(part, name) for part in parts), Counter())
        return {str(timestep): joined[timestep] for timestep in sorted(joined, reverse=True)}

    def mean(name: str) -> float:
        return round(sum(getattr(part, name) for part in parts) / max(1, count), 4)

    return {
        "complete": all(part.complete for part in parts),
        "pictures": count,
        "made": made,
        "passed_over": count - made,
        "problems": sum(len(part.problems) for part in parts),
        "left_out": parts[0].left_out,  # every process reads all archives
        "timesteps": histogram("timesteps"),
        "peaks": histogram("peaks"),
        "flat": sum(part.flat for part in parts),
        "guarded": sum(part.guarded for part in parts),
        "guarded_share": mean("guarded"),
        "edge_share": mean("edge_share"),
        "interior_share": mean("interior_share"),
        "seconds": round(seconds, 1),
        "pictures_per_second": round(made / max(seconds, 1e-9), 3),
        "processes": len(parts),
    }


def start_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Create the output folder with its settings; raises InputError where it cannot be written.

    Reports of an earlier run are removed: this one visits all images again and writes its own.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / SETTINGS).exists():
            write_json(settings, folder / SETTINGS)
        for report in (PROBLEMS, SUMMARY):
            (folder / report).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"--output_dir {folder} cannot be written ({error.strerror}): choose another folder."
        ) from error


def check_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Raise InputError where a folder was started with other settings, naming them."""
    try:
        earlier = dict(json.loads((folder / SETTINGS).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder / SETTINGS} cannot be read: choose another --output_dir."
        ) from error
    now = json.loads(json.dumps(settings))  # tuples become lists
    try:
        check_resumed(earlier, now, str(folder))
    except InputError as error:
        if earlier.get("pictures") == now["pictures"]:
            raise
        hint = f"If the same images were moved, change their path in {SETTINGS}."
        raise InputError(f"{error} {hint}") from error


def note_problem(folder: Path, name: str, reason: str) -> None:
    """Append a line to the list of problems; `write_problems` sorts it at the end."""
    new = not (folder / PROBLEMS).exists()
    with (folder / PROBLEMS).open("a", newline="") as stream:
        csv.writer(stream).writerows([("picture", "problem")] * new + [(name, reason)])


def write_problems(folder: Path, parts: Sequence[ProcessSummary]) -> None:
    """Write all processes' problems; without any there is no file."""
    rows = sorted(row for part in parts for row in part.problems)
    (folder / PROBLEMS).unlink(missing_ok=True)
    for name, reason in rows:
        note_problem(folder, name, reason)
