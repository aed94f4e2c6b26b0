"""The folder of an edited image: the whole map, the edits since, and what a damaged disk left.

`picture.bin` holds the whole map as one journal entry, `edits.journal` the edits since. Once that
is long, the whole is written again and both stay as `picture.previous` and `edits.previous`: they
hold the steps that undo goes back to, and replace a whole that was damaged.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segdemo.datatypes import InputError, Labels
from segdemo.editing import journal
from segdemo.editing.patches import Patch, pack, unpack_labels

LONGEST_JOURNAL = 16 * 2**20  # bytes; then the whole map is written again
IMAGE_CLOSED = "This image is gone: open it again."
START, WHOLE, EDITS = "start.u16.gz", "picture.bin", "edits.journal"
PREVIOUS_WHOLE, PREVIOUS_EDITS, DAMAGE = "picture.previous", "edits.previous", "damage.txt"


@dataclass(frozen=True)
class Instance:
    """What is known of an instance beside its pixels.

    category: a class's number or None. hidden, locked: how the page treats it. score, crowd: as
    they were read, see `InstanceMasks`.
    """

    category: int | None = None
    hidden: bool = False
    locked: bool = False
    score: float = 1.0
    crowd: bool = False


@dataclass(frozen=True)
class Summary:
    """What a list of images shows.

    count: of instances. damage: what was lost, in a sentence, or "". See `EditedImage` for the
    others.
    """

    count: int
    revision: int
    checked: bool
    damage: str = ""


@dataclass
class State:
    """An image as its folder holds it; see `EditedImage`. serial: number of the last entry."""

    name: str
    labels: Labels
    revision: int = 0
    serial: int = 0
    known: dict[int, Instance] = field(default_factory=dict)
    checked: bool = False
    edges: tuple[str, str] | None = None

    def facts(self, instances: Mapping[int, Instance], count: int) -> dict[str, Any]:
        """Return what every entry tells. instances: those to tell of. count: those with pixels."""
        return {
            "revision": self.revision,
            "serial": self.serial,
            "count": count,
            "instances": {str(number): asdict(known) for number, known in instances.items()},
            "checked": self.checked,
            "edges": self.edges,
        }

    def note(self, header: Mapping[str, Any]) -> None:
        """Take over what an entry tells."""
        self.revision, self.serial = int(header["revision"]), int(header["serial"])
        self.known |= {int(k): Instance(**v) for k, v in header["instances"].items()}
        self.checked = bool(header["checked"])
        edges = header["edges"]
        self.edges = (edges[0], edges[1]) if edges else None


@dataclass(frozen=True, eq=False)
class Step:
    """An edit that can be undone. before, after: the same rectangle, the smallest that changed."""

    what: str
    before: Patch
    after: Patch


def load(folder: Path) -> State:
    """Read an image as its last edit left it, or as much of it as the disk still has.

    What was lost is told by `damage` from then on, and the damaged files are kept beside the image
    under other names. Raises InputError where nothing can be saved.
    """
    try:
        state, lost = _read_whole(folder)
        intact = _replay(folder, state)
    except OSError as error:
        raise InputError(f"This image cannot be read: {error.strerror}.") from error
    if lost or not intact:
        edits = "1 edit" if state.revision == 1 else f"{state.revision} edits"
        sentence = (
            f"{state.name}: its file on the server is damaged. Recovered: the masks after {edits}; "
            "check them."
        )
        _save_recovered(folder, state, lost, intact)
        with journal.durable_write(folder / DAMAGE) as stream:
            stream.write(sentence.encode())
    return state


def damage(folder: Path) -> str:
    """Return what was lost of an image, in a sentence, or ""."""
    try:
        return (folder / DAMAGE).read_text(errors="replace")
    except OSError:
        return ""


def forget_damage(folder: Path) -> None:
    """No longer tell of what was lost: somebody has looked at it."""
    (folder / DAMAGE).unlink(missing_ok=True)


def summary(folder: Path, name: str) -> Summary:
    """Summarise an image without reading its pixels; it never fails, see `Summary.damage`."""
    lost = Summary(0, 0, False, f"{name}: its file on the server is damaged or gone.")
    try:
        headers = [journal.last_header(folder / file) for file in (WHOLE, PREVIOUS_EDITS, EDITS)]
        known = [header for header in headers if header is not None]
        if headers[0] is None:
            return lost
        last = max(known, key=lambda header: int(header["serial"]))
        said = int(last["count"]), int(last["revision"]), bool(last["checked"])
        return Summary(*said, damage(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return lost


def create(folder: Path, state: State, count: int) -> None:
    """Write a new image's folder; raises OSError."""
    folder.mkdir(parents=True)
    with journal.durable_write(folder / START) as stream:
        stream.write(pack(state.labels))
    for file in (PREVIOUS_WHOLE, WHOLE):
        _write_whole(folder / file, state, count)
    journal.sync_folder(folder.parent)


def append(
    folder: Path, state: State, instances: Mapping[int, Instance], count: int, step: Step | None
) -> None:
    """Write down an edit, whose outcome is `state`; its labels are not looked at.

    instances: what is new of them. Raises OSError, and then nothing was written.
    """
    header, payload = state.facts(instances, count), b""
    if step is not None:
        patch, after, before = step.after, pack(step.after.labels), pack(step.before.labels)
        height, width = patch.labels.shape
        box = {"box": [patch.x, patch.y, width, height], "after": len(after)}
        header, payload = {"what": step.what, **box, **header}, after + before
    journal.append(folder / EDITS, journal.Entry(header, payload))


def is_long(folder: Path) -> bool:
    """Tell whether it is time to write the whole again."""
    edits = folder / EDITS
    return edits.exists() and edits.stat().st_size > LONGEST_JOURNAL


def compact(folder: Path, state: State) -> None:
    """Write the whole again; a crash on the way loses nothing. Raises OSError."""
    if (folder / WHOLE).exists():
        with journal.durable_write(folder / PREVIOUS_WHOLE) as stream:
            stream.write((folder / WHOLE).read_bytes())
    if (folder / EDITS).exists():
        (folder / EDITS).replace(folder / PREVIOUS_EDITS)
    _write_whole(folder / WHOLE, state, count_instances(state.labels))


@dataclass(frozen=True)
class History:
    """Steps to undo and steps to redo; the next of each is the last."""

    undo: list[Step]
    redo: list[Step]


def history(folder: Path) -> History:
    """Return the steps that the journals hold."""
    undo: list[Step] = []
    redo: list[Step] = []
    for entry in _edits(folder):
        if "box" not in entry.header:
            continue
        after, before = _patches(entry)
        if before is None:  # an older file
            undo, redo = [], []
            continue
        step = Step(str(entry.header["what"]), before, after)
        if step.what.startswith("Undo") and undo and _same(undo[-1].before, after):
            redo.append(undo.pop())
        elif step.what.startswith("Redo") and redo and _same(redo[-1].after, after):
            undo.append(redo.pop())
        else:
            undo, redo = [*undo, step], []
    return History(undo, redo)


def _same(one: Patch, other: Patch) -> bool:
    place = (one.x, one.y) == (other.x, other.y)
    return place and np.array_equal(one.labels, other.labels)


def _patches(entry: journal.Entry) -> tuple[Patch, Patch | None]:
    """Return what an entry wrote, and what was there before where the entry has it."""
    x, y, width, height = entry.header["box"]
    length = entry.header.get("after", len(entry.payload))
    after = Patch(x, y, unpack_labels(entry.payload[:length], height, width))
    rest = entry.payload[length:]
    return after, Patch(x, y, unpack_labels(rest, height, width)) if rest else None


def _edits(folder: Path) -> Iterator[journal.Entry]:
    for file in (PREVIOUS_EDITS, EDITS):
        yield from journal.read(folder / file).entries


def _read_whole(folder: Path) -> tuple[State, bool]:
    """Read the whole map, or the one before it.

    Returns whether a file was damaged. Raises InputError where neither can be read.
    """
    for file in (WHOLE, PREVIOUS_WHOLE):
        state = _whole(folder / file)
        if state is not None:
            return state, file != WHOLE
    raise InputError(IMAGE_CLOSED)


def _whole(file: Path) -> State | None:
    try:
        (whole,) = journal.read(file).entries
        meta = whole.header
        labels = unpack_labels(whole.payload, meta["height"], meta["width"])
        state = State(str(meta["name"]), labels)
        state.note(meta)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return state


def _replay(folder: Path, state: State) -> bool:
    """Carry out the edits since the whole; returns whether all could be."""
    for file in (PREVIOUS_EDITS, EDITS):
        contents = journal.read(folder / file)
        for entry in contents.entries:
            try:
                serial = int(entry.header["serial"])
                if serial <= state.serial:
                    continue  # the whole has it
                if entry.checked and serial != state.serial + 1:
                    return False  # one before it is missing
                if "box" in entry.header:
                    _patches(entry)[0].put_on(state.labels)
                state.note(entry.header)
            except (ValueError, KeyError, TypeError, AttributeError):
                return False
        if not contents.intact:
            return False
    return True


def _save_recovered(folder: Path, state: State, whole: bool, edits: bool) -> None:
    """Write what was recovered; damaged files stay under other names, for who looks into them.

    whole, edits: whether the whole map was damaged, and whether the journals are intact.
    """
    mark = f"damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    damaged = [WHOLE] * whole + [PREVIOUS_EDITS, EDITS] * (not edits)
    for file in damaged:
        if (folder / file).exists():
            shutil.copyfile(folder / file, folder / f"{mark}-{file}")
    _write_whole(folder / WHOLE, state, count_instances(state.labels))
    for file in damaged[whole:]:
        (folder / file).unlink(missing_ok=True)


def _write_whole(file: Path, state: State, count: int) -> None:
    height, width = state.labels.shape
    meta = {"name": state.name, "height": height, "width": width}
    header = meta | state.facts(state.known, count)
    with journal.durable_write(file) as stream:
        stream.write(journal.encoded(journal.Entry(header, pack(state.labels))))


def count_instances(labels: Labels) -> int:
    """Count the numbers that have pixels."""
    return int(np.count_nonzero(np.bincount(labels.ravel())[1:]))
