"""The images of a project that were opened: label map, undo journal and result of each."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

from segdemo.datatypes import InputError, Labels
from segdemo.editing import journal, storage
from segdemo.editing.image import EditedImage
from segdemo.editing.storage import Instance, Summary
from segdemo.projects.board import Board, ImageRecord, State
from segdemo.projects.leases import Leases
from segdemo.projects.results import Results
from segdemo.projects.saving import Saver

KEPT_OPEN = 8  # images in memory
SAVED = "saved"  # stamp of the result that holds the journal's last state
NOBODY = ""

Start = Callable[[ImageRecord], tuple[Labels, Mapping[int, Instance]]]
"""Returns the label map that an image begins with, and what is known of its instances."""


@dataclass(eq=False)
class _Open:
    """An image in memory. stamp: of its files as this process left them. edits: counts them."""

    picture: EditedImage
    stamp: tuple[object, ...]
    edges: tuple[str, str] | None
    edits: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class EditedImages:
    """Opens images for editing, and writes their results behind the edits."""

    def __init__(
        self,
        folder: Path,
        board: Board,
        leases: Leases,
        results: Results,
        start: Start,
        size: Callable[[ImageRecord], tuple[int, int]],
        class_names: Callable[[], Mapping[int, str]],
    ) -> None:
        """Keep journals below a folder.

        size: returns an image file's (height, width). class_names: of the project, by number.
        """
        self._folder, self._board, self._leases, self._results = folder, board, leases, results
        self._start, self._size, self._class_names = start, size, class_names
        self._lock = threading.RLock()
        # one object an image, so that its lock counts: the last few, and all that are in use
        self._recent: OrderedDict[int, _Open] = OrderedDict()
        self._in_use: WeakValueDictionary[int, _Open] = WeakValueDictionary()
        self.saver = Saver(self._save)

    def place(self, name: str) -> Path:
        """Return the folder of an image's journal; it stays the same without the database."""
        return (
            self._folder / hashlib.blake2b(name.encode(errors="surrogateescape")).hexdigest()[:24]
        )

    def summaries(self, names: Mapping[str, ImageRecord]) -> dict[str, Summary]:
        """Summarise those of some images that have a journal."""
        there = set(os.listdir(self._folder)) if self._folder.is_dir() else set()
        places = {name: self.place(name) for name in names}
        return {
            name: storage.summary(place, name)
            for name, place in places.items()
            if place.name in there
        }

    def open(self, record: ImageRecord) -> EditedImage:
        """Return an image as its last edit left it, whichever process made that.

        The first time it is made of the masks beside it. A result that another program has changed
        since is taken over, as an edit that can be undone. Raises InputError.
        """
        place = self.place(record.name)
        with self._lock:
            entry = self._in_use.get(record.id)
            if entry is None or entry.stamp != _stamp(place):
                entry = self._in_use[record.id] = self._load(record, place)
            self._recent[record.id] = entry
            self._recent.move_to_end(record.id)
            while len(self._recent) > KEPT_OPEN:
                self._recent.popitem(last=False)
        if record.unsaved:
            self.saver.request(record.id)
        return entry.picture

    def settle(self, image: int | None = None) -> None:
        """Wait until results are written; see `Saver.settle`."""
        self.saver.settle(image)

    def _load(self, record: ImageRecord, place: Path) -> _Open:
        if not (place / storage.WHOLE).exists():
            labels, known = self._start(record)
            self._folder.mkdir(parents=True, exist_ok=True)
            if place.exists():  # it was being made when a process was killed
                place.rename(place.with_name(f"{place.name}.{time.time_ns()}"))
            EditedImage.create(place, record.name, labels, known)
            self._write_stamp(record, place)
            self._board.set(record.id, count=int(np.count_nonzero(np.unique(labels))))
        picture = EditedImage(place)
        height, width = self._size(record)
        if picture.size != (height, width):
            raise InputError(
                f"{record.name} is {width} x {height} now, its masks {picture.size[1]} x "
                f"{picture.size[0]}: put the earlier file back, or give the other one its own name."
            )
        entry = _Open(picture, _stamp(place), picture.edges)
        picture.written = functools.partial(self._changed, record.id, entry)
        if not record.unsaved and self._result_stamp(record) != _read(place / SAVED):
            self._take_over(record, picture, place)
        if picture.checked and record.state != "checked":  # a reviewer sent it back
            picture.describe(checked=False)
        return entry

    def _take_over(self, record: ImageRecord, picture: EditedImage, place: Path) -> None:
        """Take the result over that another program has written, or write it where it is gone."""
        if self._results.latest(record.result) is None:
            self.saver.request(record.id)
            return
        labels, known = self._start(record)
        if labels.shape == picture.size and not _same(labels, picture.labels):
            first = picture.highest
            shifted = np.where(labels > 0, labels.astype(np.int64) + first, 0)
            if shifted.max(initial=0) > np.iinfo(np.uint16).max:
                raise InputError(
                    f"{record.name}: its result was changed by another program and has too many "
                    "instances to take it over: move it away, open the image and import it."
                )
            own = {number + first: one for number, one in known.items()}
            revision = picture.revision + 1
            words = "Changed by another program"
            picture.replace_all(shifted.astype(np.uint16), revision, own, what=words)
            return  # its new numbers are written by the saver
        self._write_stamp(record, place)

    def _changed(self, image: int, entry: _Open) -> None:
        """Note an edit that is on the disk, and let the result follow."""
        picture = entry.picture
        record = self._board.get(image)
        entry.stamp = _stamp(self.place(record.name))
        if picture.edges != entry.edges:  # they are no part of the result
            entry.edges = picture.edges
            return
        with entry.lock:
            entry.edits += 1
        holder = self._leases.holder(image)
        who = holder.who if holder else NOBODY
        unchecked: State = "rejected" if record.state == "rejected" else "in work"
        state = "checked" if picture.checked else unchecked
        self._board.set(
            image,
            state=state,
            count=picture.count,
            who=who or record.who,
            changed=time.time(),
            unsaved=1,
        )
        if state == "checked" != record.state:
            self._board.log(who, "checked", image)
        else:
            self._board.log_edit(who, image)
        self.saver.request(image)

    def _save(self, image: int) -> None:
        """Write an image's result; raises OSError."""
        record = self._board.get(image)
        place = self.place(record.name)
        with self._lock:
            entry = self._in_use.get(image)
        if entry is None or entry.stamp != _stamp(place):
            if self._leases.holder(image) is not None:
                return  # another process has it, and saves it
            entry = _Open(EditedImage(place), _stamp(place), None)
        with entry.lock:
            edits = entry.edits
        labels, known = entry.picture.snapshot()
        self._results.write(record.name, record.result, labels, known, self._class_names())
        self._write_stamp(record, place)
        with entry.lock:
            if entry.edits == edits:
                self._board.set(image, unsaved=0, count=len(known))

    def _write_stamp(self, record: ImageRecord, place: Path) -> None:
        with journal.durable_write(place / SAVED) as stream:
            stream.write(self._result_stamp(record).encode())

    def _result_stamp(self, record: ImageRecord) -> str:
        file = self._results.latest(record.result)
        if file is None:
            return "none"
        stat = file.stat()
        return f"{file.suffix} {stat.st_mtime_ns} {stat.st_size}"


def _stamp(place: Path) -> tuple[object, ...]:
    """Return what changes with every edit of an image."""
    told: list[object] = []
    for name in (storage.WHOLE, storage.EDITS):
        try:
            stat = (place / name).stat()
            told += [stat.st_ino, stat.st_size, stat.st_mtime_ns]
        except OSError:
            told.append(None)
    return tuple(told)


def _same(one: Labels, other: Labels) -> bool:
    """Whether two label maps hold the same instances in the same order of their numbers."""
    first, second = (np.unique(labels, return_inverse=True)[1] for labels in (one, other))
    return np.array_equal(first.ravel(), second.ravel())


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return "none"
