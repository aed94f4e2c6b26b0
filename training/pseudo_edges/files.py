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
from segdemo.files import atomic_write
from training.stored_edges import StoredEdge

SETTINGS, PROBLEMS, SUMMARY = "settings.json", "problems.csv", "summary.json"


@dataclass
class Tally:
    """What one process has seen of its pictures, those done in an earlier run included."""

    made: int = 0
    passed_over: int = 0
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
        """Pictures that have a result."""
        return self.made + self.passed_over

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


def summarise(tallies: Sequence[Tally]) -> dict[str, Any]:
    """Join the processes' tallies to what `summary.json` says; shares are means over pictures."""
    count = sum(tally.results for tally in tallies)
    seconds = max(tally.seconds for tally in tallies)
    made = sum(tally.made for tally in tallies)

    def histogram(name: str) -> dict[str, int]:
        joined: Counter[int] = sum((getattr(tally, name) for tally in tallies), Counter())
        return {str(timestep): joined[timestep] for timestep in sorted(joined, reverse=True)}

    def mean(name: str) -> float:
        return round(sum(getattr(tally, name) for tally in tallies) / max(1, count), 4)

    return {
        "complete": all(tally.complete for tally in tallies),
        "pictures": count,
        "made": made,
        "passed_over": count - made,
        "problems": sum(len(tally.problems) for tally in tallies),
        "left_out": tallies[0].left_out,  # every process goes through all archives
        "timesteps": histogram("timesteps"),
        "peaks": histogram("peaks"),
        "flat": sum(tally.flat for tally in tallies),
        "guarded": sum(tally.guarded for tally in tallies),
        "guarded_share": mean("guarded"),
        "edge_share": mean("edge_share"),
        "interior_share": mean("interior_share"),
        "seconds": round(seconds, 1),
        "pictures_per_second": round(made / max(seconds, 1e-9), 3),
        "processes": len(tallies),
    }


def begin_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Make the output folder with its settings; raises InputError where it cannot be written.

    The reports of an earlier run go: this one goes through all pictures again and writes its own.
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


def check_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Raise InputError where a folder was begun with other settings, naming them."""
    try:
        kept = json.loads((folder / SETTINGS).read_text())
        names = dict.fromkeys([*kept, *settings])
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder / SETTINGS} cannot be read: choose another --output_dir."
        ) from error
    wanted = json.loads(json.dumps(settings))  # tuples become lists
    differing = [
        f"{name} {json.dumps(kept.get(name))}, now {json.dumps(wanted.get(name))}"
        for name in names
        if kept.get(name) != wanted.get(name)
    ]
    if differing:
        way_out = "give the same, or another --output_dir"
        if "pictures" in names and kept.get("pictures") != wanted.get("pictures"):
            way_out += f"; if the same pictures have moved, write so into {SETTINGS}"
        raise InputError(
            f"{folder} was begun with other settings ({'; '.join(differing)}): {way_out}."
        )


def note_problem(folder: Path, name: str, reason: str) -> None:
    """Add a line to the problems as they come; `write_problems` orders them at the end."""
    new = not (folder / PROBLEMS).exists()
    with (folder / PROBLEMS).open("a", newline="") as stream:
        csv.writer(stream).writerows([("picture", "problem")] * new + [(name, reason)])


def write_problems(folder: Path, tallies: Sequence[Tally]) -> None:
    """Write all processes' problems; without any there is no such file."""
    rows = sorted(row for tally in tallies for row in tally.problems)
    (folder / PROBLEMS).unlink(missing_ok=True)
    for name, reason in rows:
        note_problem(folder, name, reason)


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write values as JSON, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write((json.dumps(values, indent=1) + "\n").encode())
