"""Kill a server's process while edits are saved; every edit that was acknowledged must be there.

    python -m benchmarks.killed_edits --cycles 60

Each cycle starts a process that edits an image of one session, as the page's save requests do, and
prints every revision once it is saved; kills it (SIGKILL) after a random time; then opens the
session as a new server does. A fault is a label map that is not the one of the last revision
printed, or of the one after it, or an image that is reported as damaged. Exit status 1 if there is
any.
"""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from segdemo.datatypes import InstanceMasks, Labels
from segdemo.editing.patches import Patch
from segdemo.editing.sessions import SessionStore

SIDE = 256
LARGEST_PATCH = 24
LONGEST = 0.4  # seconds between the first saved edit and the kill
LABELS = 60


def patch_of(revision: int) -> Patch:
    """Return the edit that makes a revision: a square of one label, a function of its number."""
    rng = np.random.default_rng(revision)
    side = int(rng.integers(1, LARGEST_PATCH))
    x, y = (int(value) for value in rng.integers(0, SIDE - side, 2))
    return Patch(x, y, np.full((side, side), rng.integers(0, LABELS), np.uint16))


def replay(labels: Labels, first: int, last: int) -> Labels:
    """Return a label map after the revisions from `first` to `last`."""
    labels = labels.copy()
    for revision in range(first, last + 1):
        patch_of(revision).put_on(labels)
    return labels


def edit_for_ever(root: Path, token: str) -> None:
    """Edit the session's image until killed; print each revision that is saved."""
    picture = SessionStore(root).open(token).image(0)
    for revision in itertools.count(picture.revision + 1):
        picture.apply(patch_of(revision), revision, {}, "Edit")
        print(revision, flush=True)


def run_and_kill(root: Path, token: str, seconds: float) -> int:
    """Let a process edit for some seconds after its first edit; returns the last one it saved."""
    command = [sys.executable, "-m", "benchmarks.killed_edits", "--edit", str(root), token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        saved = [int(process.stdout.readline())]
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        saved += [int(line) for line in process.stdout if line.endswith("\n")]
    return saved[-1]


def main() -> int:
    """Run the cycles and print how many edits were saved, and what was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=60)
    parser.add_argument("--edit", nargs=2, metavar=("ROOT", "TOKEN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.edit:
        edit_for_ever(Path(arguments.edit[0]), arguments.edit[1])
    chance = random.Random(0)
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        root, photo = Path(name) / "sessions", Path(name) / "photo.png"
        Image.new("RGB", (SIDE, SIDE)).save(photo)
        session = SessionStore(root).create()
        empty = InstanceMasks.unscored(np.zeros((0, SIDE, SIDE), bool))
        session.add("photo.png", empty, {"photo": photo})
        token, revision = session.token, 0
        labels: Labels = np.zeros((SIDE, SIDE), np.uint16)
        start = time.monotonic()
        for cycle in range(1, arguments.cycles + 1):
            saved = run_and_kill(root, token, chance.uniform(0, LONGEST))
            picture = SessionStore(root).open(token).image(0)
            if not saved <= picture.revision <= saved + 1:
                faults.append(f"cycle {cycle}: saved {saved}, found {picture.revision}")
            if picture.damage:
                faults.append(f"cycle {cycle}: {picture.damage}")
            labels = replay(labels, revision + 1, picture.revision)
            revision = picture.revision
            if not np.array_equal(labels, picture.labels):
                faults.append(f"cycle {cycle}: another label map than that of revision {revision}")
        print(*faults, sep="\n")
        seconds = time.monotonic() - start
        print(
            f"{arguments.cycles} kills, {revision} edits saved, {len(faults)} faults, "
            f"{seconds:.0f} s"
        )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
