"""A project: a folder of images, opened; everything about it goes through here."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from segdemo.annotations import InstanceRuns, Instances
from segdemo.annotations.class_file import Classes
from segdemo.annotations.label_png import UNLABELLED
from segdemo.datatypes import InputError, Labels
from segdemo.editing.image import EditedImage
from segdemo.editing.masks import flatten_masks, to_runs
from segdemo.editing.sessions import renumber_classes
from segdemo.editing.storage import Instance
from segdemo.files import write_text
from segdemo.images import thumbnail
from segdemo.projects.board import STATES, Board, ImageRecord, State
from segdemo.projects.database import Database
from segdemo.projects.edited import EditedImages
from segdemo.projects.found import FoundMasks
from segdemo.projects.layout import OWN, LazySizes, result_names, scan
from segdemo.projects.leases import Annotators, Leases
from segdemo.projects.results import ResultFormat, Results

logger = logging.getLogger(__name__)

THUMBNAIL_SIDE = 160  # pixels
FORM = "format"  # the file that keeps the form of results


class Project:
    """A folder of images with masks beside them; methods may be called from any thread.

    Several processes may open the same folder. board: images and their states. leases: who has
    which open. notes: what was left out of masks found beside the images, in sentences.
    """

    def __init__(self, root: Path, form: ResultFormat | None = None) -> None:
        """Open a folder; raises InputError for one that is none, or cannot be written.

        form: of results; by default that of the last time, at first "labels".
        """
        if not root.is_dir():
            raise InputError(f"{root} is not a folder: a project is a folder of images.")
        self.root = root.resolve()
        own = self.root / OWN
        self.database = Database(own)
        self.results = Results(self.root, form or _kept_form(own / FORM))
        try:
            if form is not None:
                write_text(form, own / FORM)
            self.board, self.leases = Board(self.database), Leases(self.database)
            self.annotators = Annotators(self.database)
            self.edited = EditedImages(
                own / "images",
                self.board,
                self.leases,
                self.results,
                self._start,
                lambda: self.classes.names,
            )
            self.notes = self.rescan()
        except OSError as error:
            raise InputError(f"{self.root} cannot be used ({error}).") from error

    @property
    def name(self) -> str:
        """What the project is called: its folder's name."""
        return self.root.name

    @property
    def classes(self) -> Classes:
        """The classes of its instances; raises InputError where their file is damaged."""
        return self.results.read_classes()

    def rescan(self) -> list[str]:
        """Look for images and masks that came or went; returns what to tell. Raises InputError."""
        layout = scan(self.root)
        if not layout.images:
            raise InputError(f"{self.root} holds no images: put PNG, JPEG or WebP files into it.")
        fresh = {record.name: record for record in self.board.register(result_names(layout.images))}
        self._found = FoundMasks(self.root, self.database, layout.own)
        self._recall(fresh)
        said = self._found.take_in(layout.shared, self.board)
        for record in self.board.unsaved():  # edits of a process that was killed
            if self.leases.holder(record.id) is None:
                self.edited.saver.request(record.id)
        return said

    def path(self, record: ImageRecord) -> Path:
        """Return an image's file."""
        return self.root / record.name

    def image(self, image: int) -> EditedImage:
        """Open an image for editing; whoever edits it must hold its lease. Raises InputError."""
        record = self.board.get(image)
        picture = self.edited.open(record)
        height, width = LazySizes(self.root, [record.name])[record.name]
        if picture.size != (height, width):
            raise InputError(
                f"{record.name} is {width} x {height} now, its masks {picture.size[1]} x "
                f"{picture.size[0]}: put the earlier file back, or give the other one its own name."
            )
        return picture

    def masks(self, record: ImageRecord) -> InstanceRuns:
        """Return an image's instances as they are now, under the project's classes.

        Raises InputError where they cannot be read.
        """
        if record.unsaved and self.leases.holder(record.id) is None:
            return to_runs(self.edited.open(record), self.classes.names)
        found, _ = self._beside(record)
        if found is None:
            size = LazySizes(self.root, [record.name])[record.name]
            return InstanceRuns.unscored(size, ())
        names = dict(self._add_classes(found).names)
        names[max(names, default=0) + 1] = UNLABELLED  # the same number in all images
        ids = renumber_classes(names, found).category_ids
        if ids is None:
            return found
        used = set(ids.tolist())
        names = {k: v for k, v in names.items() if v != UNLABELLED or k in used}
        return replace(found, category_ids=ids, names=names)

    def set_masks(self, record: ImageRecord, masks: Instances, who: str) -> list[str]:
        """Give an image these instances in place of its own, and save them.

        An image that is edited gets them as an edit that can be undone. Returns what was left out,
        in sentences. Raises InputError, and OSError where they cannot be written.
        """
        labels, known, losses = self._flatten(masks)
        journal = self.edited.place(record.name)
        if journal.is_dir():
            picture = self.image(record.id)
            first = picture.highest
            numbers = np.where(labels > 0, labels.astype(np.int64) + first, 0)
            if numbers.max(initial=0) > np.iinfo(np.uint16).max:
                raise InputError(f"{record.name} had too many instances to replace them.")
            own = {number + first: one for number, one in known.items()}
            picture.replace_all(numbers.astype(np.uint16), picture.revision + 1, own, what="Import")
            self.edited.settle(record.id)
        else:
            names = self.classes.names
            self.results.write(record.name, record.result, labels, known, names)
            self.board.set(record.id, count=len(known), state="in work")
        self.board.log(who, "imported masks", record.id)
        return losses

    def set_state(self, image: int, state: State, who: str, note: str = "") -> None:
        """Mark an image; a note goes with "rejected". Raises InputError while somebody edits it."""
        if state not in STATES:
            raise InputError(f"State {state!r}: choose one of {', '.join(STATES)}.")
        with self.database.writing():
            holder = self.leases.holder(image)
            if holder is not None and holder.who != who:
                raise InputError(f"{holder.who} has this image open: wait until it is closed.")
            self.board.set(image, state=state, note=note)
            self.board.log(who, f"{state}: {note}" if note else state, image)

    def thumbnail(self, record: ImageRecord) -> bytes:
        """Return an image as a small JPEG, made when first asked for; raises InputError."""
        try:
            stat = self.path(record).stat()
        except OSError as error:
            raise InputError(f"{record.name} cannot be read ({error.strerror}).") from error
        stamp = f"{stat.st_mtime_ns} {stat.st_size}"
        row = self.database.row("SELECT * FROM thumbnails WHERE image = ?", (record.id,))
        if row is not None and row["stamp"] == stamp:
            return bytes(row["jpeg"])
        packed = io.BytesIO()
        thumbnail(self.path(record), THUMBNAIL_SIDE).save(packed, "JPEG", quality=80)
        with self.database.writing() as write:
            write.execute(
                "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?)",
                (record.id, stamp, packed.getvalue()),
            )
        return packed.getvalue()

    def name_classes(self, names: Mapping[int, str], stuff: Iterable[int] = ()) -> None:
        """Add classes or give them other names; raises OSError."""
        with self.database.writing():  # alone among all processes
            before = self.classes
            after = Classes({**before.names, **names}, before.stuff | frozenset(stuff))
            if after != before:
                self.results.write_classes(after)

    def close(self) -> None:
        """Wait until results are written, and close the database."""
        self.edited.settle()
        self.database.close()

    def _recall(self, fresh: Mapping[str, ImageRecord]) -> None:
        """Set the states of images that the database does not know, by what the disk tells."""
        journals = self.edited.summaries(fresh)
        results = self.results.names() if fresh else set()
        counts = self._found.counts(list(fresh))
        with self.database.writing():
            for name, record in fresh.items():
                summary = journals.get(name)
                if summary is not None and (summary.revision or summary.checked):
                    state: State = "checked" if summary.checked else "in work"
                    # the result may be behind: a process was killed before the database was lost
                    self.board.set(record.id, state=state, count=summary.count, unsaved=1)
                elif record.result in results:
                    self.board.set(record.id, state="in work", count=-1)
                elif name in counts:
                    self.board.set(record.id, count=counts[name])

    def _beside(self, record: ImageRecord) -> tuple[InstanceRuns | None, str]:
        """Return an image's result, else what was found beside it; and what to tell of it."""
        result = self.results.latest(record.result)
        if result is not None:
            size = LazySizes(self.root, [record.name])[record.name]
            found = self.results.read(record.name, record.result, size)
            if found is not None:
                return found, ""
        return self._found.runs(record, result)

    def _start(self, record: ImageRecord) -> tuple[Labels, Mapping[int, Instance]]:
        """Return what an image is edited from; see `edited.Start`."""
        found, said = self._beside(record)
        if said:
            logger.warning("%s", said)
        if found is None:
            size = LazySizes(self.root, [record.name])[record.name]
            return np.zeros(size, np.uint16), {}
        labels, known, _ = self._flatten(found)
        return labels, known

    def _flatten(self, masks: Instances) -> tuple[Labels, dict[int, Instance], list[str]]:
        """Flatten instances under the project's classes, to which theirs are added."""
        classes = self._add_classes(masks)
        names = dict(classes.names)
        labels, known, losses = flatten_masks(renumber_classes(names, masks))
        known = {
            number: replace(one, category=None)
            if one.category is not None and names.get(one.category) == UNLABELLED
            else one
            for number, one in known.items()
        }
        return labels, known, losses

    def _add_classes(self, masks: Instances) -> Classes:
        """Add the classes of instances to the project's, and return them."""
        if masks.category_ids is None:
            return self.classes
        with self.database.writing():
            before = self.classes
            names = dict(before.names)
            renumber_classes(names, masks)
            added = {k: v for k, v in names.items() if k not in before.names and v != UNLABELLED}
            if added:
                self.results.write_classes(Classes({**before.names, **added}, before.stuff))
        return self.classes


class ProjectMasks(Mapping[str, InstanceRuns]):
    """The instances of some of a project's images by name, read on access."""

    def __init__(self, project: Project, records: Iterable[ImageRecord]) -> None:
        """Read nothing yet."""
        self._project = project
        self._records = {record.name: record for record in records}

    def __getitem__(self, name: str) -> InstanceRuns:
        """Read an image's instances; raises InputError."""
        return self._project.masks(self._records[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._records)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._records)


def _kept_form(file: Path) -> ResultFormat:
    try:
        kept = file.read_text().strip()
    except OSError:
        return "labels"
    return "labelme" if kept == "labelme" else "labels"
