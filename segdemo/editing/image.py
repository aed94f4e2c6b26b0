"""One image being edited: its label map on disk, every edit journaled."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import MAX_INSTANCES, FloatMap, InputError, Labels
from segdemo.editing import journal, storage
from segdemo.editing.patches import Patch, difference, unpack_labels
from segdemo.editing.proposals import Proposals, accept, propose
from segdemo.editing.storage import History, Instance, State, Step
from segdemo.rip.settings import ROBUST, RIPSettings

logger = logging.getLogger(__name__)

REVISION_CONFLICT = "The page and the server hold different edits."
EDGES, LEASE = "edge.u8", "lease"


class RevisionConflictError(InputError):
    """An edit does not follow the last one that arrived: the whole map is needed."""


class EditLockLostError(InputError):
    """The image is no longer this editor's to change: trying again does not help."""


@dataclass(frozen=True, eq=False)
class Change:
    """What an edit did: the pixels it changed, or None, and the instances that are new."""

    what: str
    revision: int
    patch: Patch | None
    instances: Mapping[int, Instance]


class EditedImage:
    """A label map with instances, in a folder of its own; methods may be called from any thread.

    An edit counts once it is on the disk: where writing fails (OSError), the image is as before.
    written: called after each, in the same thread.
    """

    def __init__(self, folder: Path) -> None:
        """Open an image as the last edit left it; raises InputError when it is gone."""
        self._folder = folder
        self.written: Callable[[], None] | None = None
        self._lock = threading.RLock()
        self._proposals: Proposals | None = None
        self._state = storage.load(folder)
        self._areas = _areas(self.labels)

    @classmethod
    def create(
        cls, folder: Path, name: str, labels: Labels, instances: Mapping[int, Instance]
    ) -> EditedImage:
        """Write a new image's folder and open it."""
        storage.create(folder, State(name, labels, known=dict(instances)), len(instances))
        return cls(folder)

    @property
    def name(self) -> str:
        """The photo's file name."""
        return self._state.name

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self._state.labels.shape
        return height, width

    @property
    def labels(self) -> Labels:
        """(H, W) uint16; read only."""
        return self._state.labels

    @property
    def revision(self) -> int:
        """The number of edits."""
        return self._state.revision

    @property
    def checked(self) -> bool:
        """Whether a person is done with it."""
        return self._state.checked

    @property
    def edges(self) -> tuple[str, str] | None:
        """(source, label) of its edge map, or None."""
        return self._state.edges

    @property
    def damage(self) -> str:
        """What a damaged disk lost of it, in a sentence, or ""."""
        return storage.damage(self._folder)

    @property
    def known(self) -> dict[int, Instance]:
        """What is known of all instances that there ever were, as undo may bring them back."""
        return dict(self._state.known)

    def history(self) -> History:
        """Return the edits that can be undone and redone, also those from before a restart."""
        with self._lock:
            return storage.history(self._folder)

    @property
    def instances(self) -> dict[int, Instance]:
        """What is known of the instances that have pixels, by rising number."""
        present = np.flatnonzero(self._areas[1:]) + 1
        return {int(n): self._state.known.get(int(n), Instance()) for n in present}

    @property
    def count(self) -> int:
        """The number of instances."""
        return int(np.count_nonzero(self._areas[1:]))

    @property
    def highest(self) -> int:
        """The highest number that an instance ever had here."""
        return max([*self._state.known, int(self.labels.max(initial=0))])

    @property
    def start(self) -> Labels:
        """The label map as it was opened."""
        return unpack_labels((self._folder / storage.START).read_bytes(), *self.size)

    def snapshot(self) -> tuple[Labels, dict[int, Instance]]:
        """Return a copy of the labels, and their instances, of one moment."""
        with self._lock:
            return self.labels.copy(), self.instances

    def take_lease(self) -> str:
        """Let one editor change the image from now on; returns what it must show for it."""
        lease = secrets.token_hex(8)
        with journal.durable_write(self._folder / LEASE) as stream:
            stream.write(lease.encode())
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
            self._put(patch, revision, instances, what)

    def replace_all(
        self,
        labels: Labels,
        revision: int,
        instances: Mapping[int, Instance],
        follows: int | None = None,
        what: str = "Edits",
    ) -> None:
        """Replace the whole label map, as one edit.

        follows: the revision that it was made from; None: whatever the edits before were. Raises
        RevisionConflictError where there were others since, InputError for another size.
        """
        with self._lock:
            if follows is not None and follows != self.revision:
                raise RevisionConflictError(REVISION_CONFLICT)
            if labels.shape != self.size:
                raise InputError("The label map has another size than its image.")
            patch = difference(self.labels, labels) or Patch(0, 0, labels[:0, :0])
            self._put(patch, revision, instances, what)

    def edit(
        self,
        operation: Callable[[Labels], Labels],
        what: str,
        revision: int | None = None,
        origin: Mapping[int, int] | None = None,
        instances: Mapping[int, Instance] | None = None,
    ) -> Change:
        """Run an operation on the label map, as one edit.

        revision: what the image must have before it; None for any. origin: for new instances,
        whose class they inherit; by default that of an instance whose place they take. instances:
        what is known of new ones otherwise. Raises
        RevisionConflictError, and what the operation raises.
        """
        with self._lock:
            if revision is not None and revision != self.revision:
                raise RevisionConflictError(REVISION_CONFLICT)
            patch = difference(self.labels, operation(self.labels))
            if patch is None:
                return Change(what, self.revision, None, {})
            fresh = self._inherited(patch, origin or {}) | dict(instances or {})
            self._put(patch, self.revision + 1, fresh, what)
            return Change(what, self.revision, patch, fresh)

    def preview(self, settings: RIPSettings = ROBUST, stuff: Collection[int] = ()) -> Proposals:
        """Ask RIP for proposals, by the image's edges; crowds and locked instances stay.

        stuff: classes whose masks stay as well. The proposals are kept for `accept`. Raises
        InputError without edges.
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
            [n for n, i in instances.items() if i.crowd or i.locked or i.category in stuff],
        )
        with self._lock:
            self._proposals = proposals
        return proposals

    def offer(self, proposals: Proposals) -> None:
        """Keep proposals that were made elsewhere for `accept`."""
        with self._lock:
            self._proposals = proposals

    def accept(self, chosen: Sequence[int], revision: int | None = None) -> Change:
        """Carry out proposals of the last `preview` as one edit; see `proposals.accept`."""
        with self._lock:
            if self._proposals is None:
                raise InputError("There are no proposals: press Preview first.")
            after, origin = accept(self.labels, self._proposals, chosen, self.highest)
            words = "; ".join(self._proposals.changes[index].text for index in chosen)
            return self.edit(lambda _: after, f"Accepted: {words}", revision, origin)

    def describe(
        self, instances: Mapping[int, Instance] | None = None, checked: bool | None = None
    ) -> None:
        """Change what is known of instances, or whether a person is done with the image."""
        with self._lock:
            checked = self.checked if checked is None else checked
            self._write(self._next(instances or {}, checked=checked), instances or {}, self.count)
            if checked:
                storage.forget_damage(self._folder)

    def set_edges(self, edge: FloatMap, source: str, label: str) -> None:
        """Keep an edge map (H, W) in [0, 1] in steps of 1/255. source, label: where it is from."""
        if edge.shape != self.size:
            raise InputError(
                f"The edge map is {edge.shape[1]} x {edge.shape[0]}, {self.name} "
                f"{self.size[1]} x {self.size[0]}: give one of the photo's size."
            )
        with self._lock:
            with journal.durable_write(self._folder / EDGES) as stream:
                stream.write(np.rint(edge * 255).astype(np.uint8).tobytes())
            self._write(self._next({}, edges=(source, label)), {}, self.count)

    def edge_map(self) -> FloatMap | None:
        """Return the edge map (H, W) in [0, 1], or None."""
        if self.edges is None:
            return None
        grey = np.fromfile(self._folder / EDGES, np.uint8).reshape(self.size)
        return grey.astype(np.float32) / np.float32(255)

    def _put(
        self, patch: Patch, revision: int, instances: Mapping[int, Instance], what: str
    ) -> None:
        """Write an edit down, then change the pixels and their counts."""
        window = patch.window_of(self.labels).copy()
        step, areas = None, self._areas
        change = difference(window, patch.labels)
        if change is not None:  # the smallest rectangle, so that undo knows its own step again
            after = Patch(patch.x + change.x, patch.y + change.y, change.labels)
            before = Patch(after.x, after.y, after.window_of(self.labels).copy())
            step = Step(what, before, after)
            areas = areas + _areas(after.labels) - _areas(before.labels)
        count = int(np.count_nonzero(areas[1:]))
        self._write(self._next(instances, revision=revision), instances, count, step)
        self._areas = areas

    def _inherited(self, patch: Patch, origin: Mapping[int, int]) -> dict[int, Instance]:
        """Return entries for the numbers that a patch brings onto the map."""
        window = patch.window_of(self.labels)
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

    def _next(self, instances: Mapping[int, Instance], **changes: Any) -> State:
        """Return the state after an edit; its labels are those of now."""
        known = self._state.known | dict(instances)
        return replace(self._state, serial=self._state.serial + 1, known=known, **changes)

    def _write(
        self, state: State, instances: Mapping[int, Instance], count: int, step: Step | None = None
    ) -> None:
        """Make a state the image's, once it is on the disk; raises OSError."""
        storage.append(self._folder, state, instances, count, step)
        if step is not None:
            step.after.put_on(state.labels)
        self._state = state
        if storage.is_long(self._folder):
            try:
                storage.compact(self._folder, state)
            except OSError as error:  # the journal has the edit: it is only longer than wanted
                logger.warning("%s was not written again: %s", self.name, error.strerror)
        if self.written is not None:
            self.written()


def _areas(labels: Labels) -> npt.NDArray[np.int64]:
    """Count the pixels of each number."""
    return np.bincount(labels.ravel(), minlength=MAX_INSTANCES + 1)
