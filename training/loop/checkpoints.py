"""The files of a run: its last checkpoints, the best one, and its logs."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import torch

from segdemo.files import atomic_write, write_text

CHECKPOINT = re.compile(r"step_(\d+)\.pt")
BEST = "best.pt"
ROW = re.compile(r'(?:\{"step": )?(\d+),')
"""The start of a row in either log."""


class RunFiles:
    """A run's folder. keep: how many of the last checkpoints stay."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        """Use a folder, created when needed."""
        self.folder, self._keep = folder, keep
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def latest(self) -> Path | None:
        """The last checkpoint."""
        return next(reversed(self.checkpoints()), None)

    @property
    def best(self) -> Path | None:
        """The checkpoint with the best validation so far."""
        path = self.folder / BEST
        return path if path.exists() else None

    def save(self, state: dict[str, Any], step: int, best: bool = False) -> Path:
        """Write a checkpoint, complete or not at all, and remove older ones."""
        path = self.folder / f"step_{step:07d}.pt"
        for target in (*([self.folder / BEST] if best else []), path):
            with atomic_write(target) as stream:
                torch.save(state, stream)
        for old in self.checkpoints()[: -self._keep]:
            old.unlink()
        return path

    def log(self, row: dict[str, float], name: str = "log") -> None:
        """Add a row to `<name>.csv`, in the columns that it began with, and to `<name>.jsonl`."""
        file = self.folder / f"{name}.csv"
        with file.open("a+", newline="") as handle:
            handle.seek(0)
            columns = next(csv.reader(handle), None)  # of an earlier version, perhaps fewer
            writer = csv.DictWriter(handle, columns or row.keys(), extrasaction="ignore")
            if columns is None:
                writer.writeheader()
            writer.writerow(row)
        with (self.folder / f"{name}.jsonl").open("a") as handle:
            handle.write(json.dumps(row) + "\n")

    def rewind(self, step: int) -> None:
        """Remove rows of later steps from the logs: a run that was killed repeats these steps."""
        for name in [file.stem for file in self.folder.glob("*.jsonl")]:
            for file in (self.folder / f"{name}.jsonl", self.folder / f"{name}.csv"):
                lines = file.read_text().splitlines(keepends=True)
                kept = [line for line in lines if _step_of(line) <= step]
                if len(kept) < len(lines):
                    write_text("".join(kept), file)

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints that are kept, in order."""
        found = [path for path in self.folder.iterdir() if CHECKPOINT.fullmatch(path.name)]
        return sorted(found, key=_step)


def read_rows(run_dir: Path, log: str = "validation") -> list[dict[str, float]]:
    """Read the rows of a run's validations, or of its other log, in order."""
    file = run_dir / f"{log}.csv"
    if not file.exists():
        return []
    with file.open() as handle:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(handle)]


def _step(path: Path) -> int:
    found = CHECKPOINT.fullmatch(path.name)
    return int(found[1]) if found else -1


def _step_of(line: str) -> int:
    """Return the step of a row in a log; -1 for the header."""
    found = ROW.match(line)
    return int(found[1]) if found else -1
