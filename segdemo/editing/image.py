"""One image being edited: its label map on disk, every edit journaled."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segdemo.datatypes import MAX_INSTANCES, FloatMap, InputError, Labels
from segdemo.editing import journal
from segdemo.editing.patches import Patch, difference, pack, unpack_labels
from segdemo.editing.proposals import Proposals, accept, propose
from segdemo.files import atomic_write
from segdemo.rip.settings import ROBUST, RIPSettings

LONGEST_JOURNAL = 16 * 2**20  # bytes; then the whole map is written again
REVISION_CONFLICT = "The page and the server hold different edits."
IMAGE_CLOSED = "This image is gone: open it again."
WHOLE, EDITS, EDGES, LEASE = "picture.bin", "edits.journal", "edge.u8", "lease"


class RevisionConflictError(InputError):
    """An edit does not follow the last one that arrived: the whole map is needed."""


class EditLockLostError(InputError):
    """The image is no longer this editor's to change: trying again does not help."""


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


@dataclass(frozen=True, eq=False)
class Change:
    """What an edit did: the pixels it changed, or None, and the instances that are new."""

    what: str
    revision: int
    patch: Patch | None
    instances: Mapping[int, Instance]


@dataclass(frozen=True)
class Summary:
    """What a list of images shows. count: of instances; see `EditedImage` for the others."""

    count: int
    revision: int
    checked: bool


class EditedImage:
    """A label map with instances, in a folder of its own; methods may be called from any thread.

    name: the photo's file name. size: (height, width). labels: (H, W) uint16, what edits made of
    `start`; read only. revision: the number of edits. checked: whether a person is done with it.
    edges: (source, label) of its edge map, or None.
    """

    def __init__(self, folder: Path) -> None:
        """Open an image as the last edit left it; raises InputError when it is gone."""
        self._folder = folder
        self._lock = threading.RLock()
        self._proposals: Proposals | None = None
        self._known: dict[int, Instance] = {}
        self.checked = False
        self.edges: tuple[str, str] | None = None
        try:
            (whole,) = journal.entries(folder / WHOLE)
            meta = whole.header
            self.name: str = meta["name"]
            self.size: tuple[int, int] = (meta["height"], meta["width"])
            self.labels = unpack_labels(whole.payload, *self.size)
            self.revision: int = meta["revision"]
            self._serial: int = meta["serial"]  # grows with every entry of the journal
            self._note(meta)
            replayed = self._replay()
        except (OSError, ValueError, KeyError) as error:
            raise InputError(IMAGE_CLOSED) from error
        self._areas = np.bincount(self.labels.ravel(), minlength=MAX_INSTANCES + 1)
        if replayed:
            self._write_whole()  # also cuts off an entry that a crash left unfinished

    @classmethod
    def create(
        cls, folder: Path, name: str, labels: Labels, instances: Mapping[int, Instance]
    ) -> EditedImage:
        """Write a new image's folder and open it."""
        folder.mkdir(parents=True)
        meta = {
            "name": name,
            "height": labels.shape[0],
            "width": labels.shape[1],
            "revision": 0,
            "serial": 0,
            "count": len(instances),
            **_facts(instances, False, None),
        }
        packed = pack(labels)
        (folder / "start.u16.gz").write_bytes(packed)
        with atomic_write(folder / WHOLE) as stream:
            journal.write(stream, journal.Entry(meta, packed))
        return cls(folder)

    @staticmethod
    def summary(folder: Path) -> Summary:
        """Summarise an image without reading its pixels; raises InputError when gone."""
        last = journal.last_header(folder / WHOLE)
        if last is None:
            raise InputError(IMAGE_CLOSED)
        edit = journal.last_header(folder / EDITS)
        if edit is not None and edit["serial"] > last["serial"]:
            last = edit
        return Summary(last["count"], last["revision"], last["checked"])

    @property
    def instances(self) -> dict[int, Instance]:
        """What is known of the instances that have pixels, by rising number."""
        present = np.flatnonzero(self._areas[1:]) + 1
        return {int(n): self._known.get(int(n), Instance()) for n in present}

    @property
    def count(self) -> int:
        """The number of instances."""
        return int(np.count_nonzero(self._areas[1:]))

    @property
    def highest(self) -> int:
        """The highest number that an instance ever had here."""
        return max([*self._known, int(self.labels.max(initial=0))])

    @property
    def start(self) -> Labels:
        """The label map as it was opened."""
        return unpack_labels((self._folder / "start.u16.gz").read_bytes(), *self.size)

    def snapshot(self) -> tuple[Labels, dict[int, Instance]]:
        """Return a copy of the labels, and their instances, of one moment."""
        with self._lock:
            return self.labels.copy(), self.instances

    def take_lease(self) -> str:
        """Let one editor change the image from now on; returns what it must show for it."""
        lease = secrets.token_hex(8)
        (self._folder / LEASE).write_text(lease)
        return lease

    def check_lease(self, lease: object) -> None:
        """Raise EditLockLostError where another editor has opened the image since."""
        kept = self._folder / LEASE
        if kept.exists() and kept.read_text() != lease:
            raise EditLockLostError("This image was opened in another tab: reload to go on here.")

    def apply(
        self, patch: Patch, revision: int, instances: Mapping[int, Instance], what: str
    ) -> None:
        """Apply an edit that was made elsewhere. revision: what the image has after it.

        instances: what is new of them. Raises RevisionConflictError for another revision than the
        next, and InputError for a patch that does not fit.
        """
        with self._lock:
            if revision != self.revision + 1:
                raise RevisionConflictError(REVISION_CONFLICT)
            self._put(patch, instances, what)

    def replace_all(
        self,
        labels: Labels,
        revision: int,
        instances: Mapping[int, Instance],
        follows: int | None = None,
    ) -> None:
        """Replace the whole label map.

        follows: the revision that it was made from; None: whatever the edits before were. Raises
        RevisionConflictError where there were others since, InputError for another size.
        """
        with self._lock:
            if follows is not None and follows != self.revision:
                raise RevisionConflictError(REVISION_CONFLICT)
            if labels.shape != self.size:
                raise InputError("The label map has another size than its image.")
            self.labels = labels.copy()
            self._areas = np.bincount(labels.ravel(), minlength=MAX_INSTANCES + 1)
            self._known |= instances
            self.revision = revision
            self._write_whole()

    def edit(
        self,
        operation: Callable[[Labels], Labels],
        what: str,
        revision: int | None = None,
        origin: Mapping[int, int] | None = None,
    ) -> Change:
        """Run an operation on the label map, as one edit.

        revision: what the image must have before it; None for any. origin: for new instances,
        whose class they inherit; by default that of an instance whose place they take. Raises
        RevisionConflictError, and what the operation raises.
        """
        with self._lock:
            if revision is not None and revision != self.revision:
                raise RevisionConflictError(REVISION_CONFLICT)
            patch = difference(self.labels, operation(self.labels))
            if patch is None:
                return Change(what, self.revision, None, {})
            fresh = self._inherited(patch, origin or {})
            self._put(patch, fresh, what)
            return Change(what, self.revision, patch, fresh)

    def preview(self, settings: RIPSettings = ROBUST) -> Proposals:
        """Ask RIP for proposals, by the image's edges; crowds and locked instances stay.

        They are kept for `accept`. Raises InputError without edges.
        """
        edge = self.edge_map()
        if edge is None:
            raise InputError("Find edges first: RIP splits and merges along them.")
        labels, instances = self.snapshot()
        proposals = propose(
            labels,
            edge,
            settings,
            {number: instance.category for number, instance in instances.items()},
            [n for n, instance in instances.items() if instance.crowd or instance.locked],
        )
        with self._lock:
            self._proposals = proposals
        return proposals

    def accept(self, chosen: Sequence[int], revision: int | None = None) -> Change:
        """Carry out proposals of the last `preview` as one edit; see `proposals.accept`."""
        with self._lock:
            if self._proposals is None:
                raise InputError("There are no proposals: press Preview first.")
            after, origin = accept(self.labels, self._proposals, chosen, self.highest)
            words = "; ".join(self._proposals.changes[index].text for index in chosen)
            return self.edit(lambda _: after, f"RIP: {words}", revision, origin)

    def describe(
        self, instances: Mapping[int, Instance] | None = None, checked: bool | None = None
    ) -> None:
        """Change what is known of instances, or whether a person is done with the image."""
        with self._lock:
            self._known |= instances or {}
            self.checked = self.checked if checked is None else checked
            self._append({}, b"", instances or {})

    def set_edges(self, edge: FloatMap, source: str, label: str) -> None:
        """Keep an edge map (H, W) in [0, 1] in steps of 1/255. source, label: where it is from."""
        if edge.shape != self.size:
            raise InputError(
                f"The edge map is {edge.shape[1]} x {edge.shape[0]}, {self.name} "
                f"{self.size[1]} x {self.size[0]}: give one of the photo's size."
            )
        with self._lock:
            with atomic_write(self._folder / EDGES) as stream:
                stream.write(np.rint(edge * 255).astype(np.uint8).tobytes())
            self.edges = (source, label)
            self._append({}, b"", {})

    def edge_map(self) -> FloatMap | None:
        """Return the edge map (H, W) in [0, 1], or None."""
        if self.edges is None:
            return None
        grey = np.fromfile(self._folder / EDGES, np.uint8).reshape(self.size)
        return grey.astype(np.float32) / np.float32(255)

    def _put(self, patch: Patch, instances: Mapping[int, Instance], what: str) -> None:
        """Change the pixels, count, and write it down."""
        height, width = patch.labels.shape
        window = self.labels[patch.y : patch.y + height, patch.x : patch.x + width].copy()
        patch.put_on(self.labels)
        self._areas += np.bincount(patch.labels.ravel(), minlength=len(self._areas))
        self._areas -= np.bincount(window.ravel(), minlength=len(self._areas))
        self._known |= instances
        self.revision += 1
        box = {"what": what, "box": [patch.x, patch.y, width, height]}
        self._append(box, pack(patch.labels), instances)

    def _inherited(self, patch: Patch, origin: Mapping[int, int]) -> dict[int, Instance]:
        """Return entries for the numbers that a patch brings onto the map."""
        height, width = patch.labels.shape
        window = self.labels[patch.y : patch.y + height, patch.x : patch.x + width]
        changed = window != patch.labels
        known = self.instances
        replaced = [int(n) for n in np.unique(window[changed]) if n in known]
        fresh = {}
        for number in map(int, np.unique(patch.labels[changed])):
            if number and number not in known:
                parent = origin.get(number, replaced[0] if replaced else 0)
                inherited = known.get(parent, Instance())
                fresh[number] = replace(inherited, hidden=False, locked=False)
        return fresh

    def _append(
        self, entry: dict[str, Any], payload: bytes, instances: Mapping[int, Instance]
    ) -> None:
        self._serial += 1
        numbers = {"revision": self.revision, "serial": self._serial, "count": self.count}
        header = {**entry, **numbers, **_facts(instances, self.checked, self.edges)}
        journal.append(self._journal, journal.Entry(header, payload))
        if self._journal.stat().st_size > LONGEST_JOURNAL:
            self._write_whole()

    def _replay(self) -> bool:
        """Carry out what the journal holds; returns whether there is one."""
        for entry in journal.entries(self._journal):
            if entry.header["serial"] <= self._serial:
                continue  # a crash came between writing the whole and emptying the journal
            if "box" in entry.header:
                x, y, width, height = entry.header["box"]
                Patch(x, y, unpack_labels(entry.payload, height, width)).put_on(self.labels)
            self.revision, self._serial = entry.header["revision"], entry.header["serial"]
            self._note(entry.header)
        return self._journal.exists()

    def _note(self, header: Mapping[str, Any]) -> None:
        self._known |= {int(k): Instance(**v) for k, v in header["instances"].items()}
        self.checked = header["checked"]
        edges = header["edges"]
        self.edges = (edges[0], edges[1]) if edges else None

    def _write_whole(self) -> None:
        """Write everything again, which counts once complete, then empty the journal."""
        meta = {
            "name": self.name,
            "height": self.size[0],
            "width": self.size[1],
            "revision": self.revision,
            "serial": self._serial,
            "count": self.count,
            **_facts(self._known, self.checked, self.edges),
        }
        with atomic_write(self._folder / WHOLE) as stream:
            journal.write(stream, journal.Entry(meta, pack(self.labels)))
        self._journal.unlink(missing_ok=True)

    @property
    def _journal(self) -> Path:
        return self._folder / EDITS


def _facts(
    instances: Mapping[int, Instance], checked: bool, edges: tuple[str, str] | None
) -> dict[str, Any]:
    known = {str(number): asdict(instance) for number, instance in instances.items()}
    return {"instances": known, "checked": checked, "edges": edges}
