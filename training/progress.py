"""How much of a folder that is written chunk by chunk is done; a killed run resumes there."""

from __future__ import annotations

import json
from pathlib import Path

NAME = "progress.json"


def items_done(folder: Path) -> int:
    """Return how many items are written; 0 for a folder that was not started."""
    file = folder / NAME
    return int(json.loads(file.read_text())["done"]) if file.exists() else 0


def is_complete(folder: Path) -> bool:
    """Return whether all items are written."""
    file = folder / NAME
    return file.exists() and bool(json.loads(file.read_text())["complete"])


def note_progress(folder: Path, done: int, count: int) -> None:
    """Record that `done` of `count` items are there."""
    (folder / NAME).write_text(json.dumps({"done": done, "complete": done == count}))
