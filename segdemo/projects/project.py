"""A project: a folder of images, opened; everything about it goes through here."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from segdemo.annotations import InstanceRuns, Instances
from segdemo.datatypes import FloatMap, InputError, Labels
from segdemo.editing.image import EditedImage
from segdemo.editing.masks import to_runs
from segdemo.editing.proposals import Proposals
from segdemo.editing.storage import Instance
from segdemo.files import write_text
from segdemo.images import image_size, thumbnail
from segdemo.projects.board import STATES, Board, ImageRecord, State
from segdemo.projects.classes import ProjectClasses
from segdemo.projects.database import Database
from segdemo.projects.edited import EditedImages
from segdemo.projects.found import FoundMasks
from segdemo.projects.layout import OWN, result_names, scan
from segdemo.projects.leases import Annotators, Leases
from segdemo.projects.prepared import Prepared
from segdemo.projects.results import ResultFormat, Results
from segdemo.projects.tasks import Tasks

logger = logging.getLogger(__name__)

THUMBNAIL_SIDE = 160  # pixels
FORM = "format"  # the file that keeps the form of results


class Project:
    """A folder of images with masks beside them; methods may be called from any thread.

    Several processes may open the same folder. board: images and their states. leases: who has
    which open. classes: of instances. tasks: what programs shall prepare. notes: what was left out
    of masks found beside the images, in sentences.
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
            self.classes = ProjectClasses(self.results, self.database)
            self.annotators, self.tasks = Annotators(self.database), Tasks(self.database)
            self.edited = EditedImages(
                own / "images",
                self.board,
                self.leases,
                self.results,
                self._start,
                self._size,
                lambda: self.classes.known.names,
            )
            self.notes = self.rescan()
        except OSError as error:
            raise InputError(f"{self.root} cannot be used ({error}).") from error

    @property
    def name(self) -> str:
        """What the project is called: its folder's name."""
        return self.root.name

    def rescan(self) -> list[str]:
        """Look for images and masks that came or went; returns what to tell. Raises InputError."""
        layout = scan(self.root)
        if not layout.images:
            raise InputError(f"{self.root} holds no images: put PNG, JPEG or WebP files into it.")
        fresh = {record.name: record for record in self.board.register(result_names(layout.images))}
        self.found = FoundMasks(self.root, self.database, layout.own)
        self._recall(fresh)
        said = self.found.take_in(layout.shared, self.board)
        self.save_abandoned()
        return said

    def save_abandoned(self) -> None:
        """Write the results of edits that a process could not write before it was killed."""
        for record in self.board.unsaved():
            if self.leases.holder(record.id) is None:
                self.edited.saver.request(record.id)

    def path(self, record: ImageRecord) -> Path:
        """Return an image's file."""
        return self.root / record.name

    def image(self, image: int) -> EditedImage:
        """Open an image for editing; whoever edits it must hold its lease. Raises InputError."""
        return self.edited.open(self.board.get(image))

    def prepared(self, record: ImageRecord) -> Prepared:
        """Return what programs have prepared for an image."""
        return Prepared(self.root / OWN / "prepared" / self.edited.place(record.name).name)

    def open_prepared(self, image: int) -> Proposals | None:
        """Give an image that its annotator opens what was prepared for it; returns proposals.

        Masks become an edit that can be undone, where the image has none. Proposals that no longer
        fit the masks are dropped. Raises InputError.
        """
        record = self.board.get(image)
        prepared = self.prepared(record)
        if not prepared:
            return None
        picture = self.image(image)
        edges = prepared.edges()
        if edges is not None and edges.scores.shape == picture.size and picture.edges is None:
            picture.set_edges(edges.scores, edges.source, edges.label)
        masks = prepared.masks()
        if masks is not None and masks.size == picture.size and not picture.count:
            labels, known, _ = self.classes.flatten(masks)
            revision = picture.revision
            picture.replace_all(labels, revision + 1, known, follows=revision, what="Proposed")
        proposals = prepared.proposals()
        prepared.clear()
        self.tasks.seen(image)
        if proposals is None or not np.array_equal(proposals.labels, picture.labels):
            return None
        picture.offer(proposals)
        return proposals

    def labels_with_edges(
        self, record: ImageRecord
    ) -> tuple[Labels, Mapping[int, Instance], FloatMap | None]:
        """Return the label map that an image's annotator will see, its instances and edges.

        Nobody may have it open meanwhile. Raises InputError.
        """
        prepared = self.prepared(record)
        edges = prepared.edges()
        edge = None if edges is None else edges.scores
        if self.edited.place(record.name).is_dir():
            picture = self.image(record.id)
            labels, known = picture.snapshot()
            kept = picture.edge_map()
            edge = edge if kept is None else kept
        else:
            start, known_at_start = self._start(record)
            labels, known = start, dict(known_at_start)
        masks = prepared.masks()
        if masks is not None and not known:
            labels, known, _ = self.classes.flatten(masks)
        return labels, known, edge

    def masks(self, record: ImageRecord) -> InstanceRuns:
        """Return an image's instances as they are now, under the project's classes.

        Raises InputError where they cannot be read.
        """
        if record.unsaved and self.leases.holder(record.id) is None:
            return to_runs(self.edited.open(record), self.classes.known.names)
        found, _ = self._beside(record)
        if found is None:
            size = self._size(record)
            return InstanceRuns.unscored(size, ())
        return self.classes.renumbered(found)

    def set_masks(self, record: ImageRecord, masks: Instances, who: str) -> list[str]:
        """Give an image these instances in place of its own, and save them.

        An image that is edited gets them as an edit that can be undone. Returns what was left out,
        in sentences. Raises InputError, and OSError where they cannot be written.
        """
        labels, known, losses = self.classes.flatten(masks)
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
            names = self.classes.known.names
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

    def close(self) -> None:
        """Wait until results are written, free what is open here, and close the database."""
        self.edited.settle()
        self.leases.release_all()
        self.database.close()

    def _recall(self, fresh: Mapping[str, ImageRecord]) -> None:
        """Set the states of images that the database does not know, by what the disk tells."""
        journals = self.edited.summaries(fresh)
        results = self.results.names() if fresh else set()
        counts = self.found.counts(list(fresh))
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

    def _size(self, record: ImageRecord) -> tuple[int, int]:
        """Return an image file's (height, width); raises InputError."""
        return image_size(self.path(record), record.name)

    def _beside(self, record: ImageRecord) -> tuple[InstanceRuns | None, str]:
        """Return an image's result, else what was found beside it; and what to tell of it."""
        result = self.results.latest(record.result)
        if result is not None:
            size = self._size(record)
            found = self.results.read(record.name, record.result, size)
            if found is not None:
                return found, ""
        return self.found.runs(record, result)

    def _start(self, record: ImageRecord) -> tuple[Labels, Mapping[int, Instance]]:
        """Return what an image is edited from; see `edited.Start`."""
        found, said = self._beside(record)
        if said:
            logger.warning("%s", said)
        if found is None:
            size = self._size(record)
            return np.zeros(size, np.uint16), {}
        labels, known, _ = self.classes.flatten(found)
        return labels, known


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
