"""What a run keeps on disk: the last checkpoints, the best one, and its log."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from segdemo.files import atomic_write, write_text

CHECKPOINT = re.compile(r"step_(\d+)\.pt")
BEST = "best.pt"
ROW = re.compile(r'(?:\{"step": )?(\d+),')
"""How a row of either log begins."""


class RunFiles:
    """A run's folder. keep: how many of the last checkpoints stay."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        """Use a folder, which is made when needed."""
        self.folder, self._keep = folder, keep
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def latest(self) -> Path | None:
        """The last checkpoint that was written whole."""
        return max(self._checkpoints(), key=_step, default=None)

    @property
    def best(self) -> Path | None:
        """The checkpoint with the best validation so far."""
        path = self.folder / BEST
        return path if path.exists() else None

    def save(self, state: dict[str, Any], step: int, best: bool = False) -> Path:
        """Write a checkpoint; it has its name only once it is complete, and then older ones go."""
        path = self.folder / f"step_{step:07d}.pt"
        with atomic_write(path) as stream:
            torch.save(state, stream)
        if best:
            with path.open("rb") as saved, atomic_write(self.folder / BEST) as stream:
                shutil.copyfileobj(saved, stream)
        for old in sorted(self._checkpoints(), key=_step)[: -self._keep]:
            old.unlink()
        return path

    def log(self, row: dict[str, float], name: str = "log") -> None:
        """Add a row to `<name>.csv` and `<name>.jsonl`."""
        file = self.folder / f"{name}.csv"
        new = not file.exists()
        with file.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, row.keys(), extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow(row)
        with (self.folder / f"{name}.jsonl").open("a") as handle:
            handle.write(json.dumps(row) + "\n")

    def rewind(self, step: int) -> None:
        """Take rows of later steps out of the logs: a run that was killed makes them again."""
        for name in [file.stem for file in self.folder.glob("*.jsonl")]:
            for file in (self.folder / f"{name}.jsonl", self.folder / f"{name}.csv"):
                lines = file.read_text().splitlines(keepends=True)
                kept = [line for line in lines if _step_of(line) <= step]
                if len(kept) < len(lines):
                    write_text("".join(kept), file)

    def _checkpoints(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if CHECKPOINT.fullmatch(path.name)]


def read_rows(run_dir: Path, log: str = "validation") -> list[dict[str, float]]:
    """Read the figures of a run's validations, or its other log, in their order."""
    file = run_dir / f"{log}.csv"
    if not file.exists():
        return []
    with file.open() as handle:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(handle)]


def _step(path: Path) -> int:
    found = CHECKPOINT.fullmatch(path.name)
    return int(found[1]) if found else -1


def _step_of(line: str) -> int:
    """Return the step of a row in a log; -1 for a table's head."""
    found = ROW.match(line)
    return int(found[1]) if found else -1
