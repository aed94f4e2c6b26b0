"""How far a folder that is filled chunk by chunk has come; a killed run goes on from there."""

from __future__ import annotations

import json
from pathlib import Path

NAME = "progress.json"


def items_done(folder: Path) -> int:
    """Return how many items are there; 0 for a folder that was not begun."""
    file = folder / NAME
    return int(json.loads(file.read_text())["done"]) if file.exists() else 0


def is_complete(folder: Path) -> bool:
    """Return whether all items are there."""
    file = folder / NAME
    return file.exists() and bool(json.loads(file.read_text())["complete"])


def note_progress(folder: Path, done: int, count: int) -> None:
    """Note that `done` of `count` items are there."""
    (folder / NAME).write_text(json.dumps({"done": done, "complete": done == count}))
