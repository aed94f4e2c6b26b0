"""Tasks carried out behind the annotators: edges, first masks, masks of boxes and RIP for all."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from segdemo.annotations import InstanceRuns, rle
from segdemo.batch import process_images
from segdemo.datatypes import InputError, InstanceMasks, RGBImage
from segdemo.editing.proposals import propose
from segdemo.files import ImageFile
from segdemo.projects.board import ImageRecord
from segdemo.projects.prepared import Edges
from segdemo.projects.project import Project
from segdemo.projects.tasks import FAILED, Task, TaskKind
from segdemo.prompting.interface import PromptedMask
from segdemo.prompting.prompts import Prompt
from segdemo.rip.settings import PRESETS

logger = logging.getLogger(__name__)

PAUSE = 2.0  # seconds until it is looked again whether there is work
LATER = 60.0  # seconds that a task waits while an annotator has its image


@dataclass(frozen=True)
class Models:
    """What tasks need models for; each raises InputError.

    edges: of an image by the name of a source. propose: first masks by the name of a method.
    prompt: see `AnnotationAssistant.prompt`.
    """

    edges: Callable[[RGBImage, str], Edges]
    propose: Callable[[RGBImage, str], InstanceMasks]
    prompt: Callable[[RGBImage, Sequence[Prompt]], Sequence[PromptedMask]]


class Worker:
    """Carries out a project's tasks, one after the other, in a thread of its own.

    Several processes may each have one: the database shares the tasks out.
    """

    def __init__(self, project: Project, models: Models) -> None:
        """Do nothing before `start`."""
        self._project, self._models = project, models
        self._name = f"{os.getpid()} {secrets.token_hex(4)}"
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin, also with what an earlier process left."""
        self._thread.start()

    def wake(self) -> None:
        """Look for work at once."""
        self._wake.set()

    def stop(self) -> None:
        """End after the task under way."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def add_for_all(self, kind: TaskKind, settings: str = "") -> int:
        """Ask for something of all images that it is good for; returns how many.

        Checked images are left out; first masks are for images that have none.
        """
        project = self._project
        records = project.board.all(["new", "in work", "rejected"])
        if kind in ("propose", "boxes"):
            records = [record for record in records if record.count == 0]
        if kind == "boxes":
            with_boxes = project.found.with_boxes()
            records = [record for record in records if record.id in with_boxes]
            if not records:
                raise InputError("No image without masks has boxes: put COCO's JSON with bbox in.")
        added = project.tasks.add(kind, [record.id for record in records], settings)
        self.wake()
        return added

    def work_off(self) -> int:
        """Carry out what waits, in this thread; returns how many tasks that were."""
        done = 0
        while (task := self._project.tasks.claim(self._name)) is not None:
            self._do(task)
            done += 1
            if self._ended.is_set():
                break
        return done

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.clear()
            try:
                self.work_off()
                self._project.save_abandoned()
            except Exception:
                logger.exception("the project's tasks could not be looked through")
            self._wake.wait(PAUSE)

    def _do(self, task: Task) -> None:
        """Carry out a task; one that fails is told of and does not stop the others."""
        project = self._project
        record = project.board.get(task.image)
        if project.leases.holder(task.image) is not None:
            project.tasks.postpone(task, LATER)
            return
        file = ImageFile(project.path(record), record.name, record.result)

        def handle(_: ImageFile, image: RGBImage) -> tuple[tuple[()], str]:
            return (), self._done(task, record, image)

        (status,) = process_images([file], handle)
        if status.succeeded:
            project.tasks.finish(task, status.message)
        else:
            logger.warning("%s", status.message)
            project.tasks.finish(task, status.message, FAILED)

    def _done(self, task: Task, record: ImageRecord, image: RGBImage) -> str:
        match task.kind:
            case "edges":
                self._find_edges(record, image, task.settings)
                return "edges found"
            case "propose":
                found = self._models.propose(image, task.settings or "diffdis")
                return self._offer(record, InstanceRuns.of(found))
            case "boxes":
                return self._offer(record, self._answer_boxes(record, image))
            case "rip":
                return self._propose_changes(record, image, task.settings)

    def _find_edges(self, record: ImageRecord, image: RGBImage, source: str) -> Edges:
        found = self._models.edges(image, source or "diffegg")
        self._project.prepared(record).set_edges(found)
        return found

    def _offer(self, record: ImageRecord, masks: InstanceRuns) -> str:
        if len(masks):
            self._project.prepared(record).set_masks(masks)
        return f"{len(masks)} proposed"

    def _answer_boxes(self, record: ImageRecord, image: RGBImage) -> InstanceRuns:
        """Return the masks of the objects in an image's boxes, with the boxes' classes."""
        boxes = self._project.found.boxes(record)
        labels = sorted({label for _, label in boxes if label is not None})
        number_of = {label: number for number, label in enumerate(labels, 1)}
        counts: list[bytes] = []
        scores: list[float] = []
        categories: list[int] = []
        for box, label in boxes:
            (found,) = self._models.prompt(image, [Prompt(np.array(box))])
            mask = found.mask > 0.5
            if mask.any():
                counts.append(rle.encode_counts(mask))
                scores.append(float(found.score))
                categories.append(0 if label is None else number_of[label])
        size = (image.shape[0], image.shape[1])
        names = {number: label for label, number in number_of.items()}
        if 0 in categories:
            names[0] = "object"
        return InstanceRuns(
            size,
            tuple(counts),
            np.array(scores, np.float32),
            np.array(categories, np.int64),
            names,
        )

    def _propose_changes(self, record: ImageRecord, image: RGBImage, settings: str) -> str:
        """Let RIP propose splits and merges of an image's masks. settings: preset, edge source."""
        preset, _, source = settings.partition(" ")
        project = self._project
        labels, known, edge = project.labels_with_edges(record)
        if not known:
            return "no masks to split or merge"
        if edge is None:
            edge = self._find_edges(record, image, source).scores
        changes = propose(
            labels,
            edge,
            PRESETS[preset or "careful"],
            {number: one.category for number, one in known.items()},
            [n for n, one in known.items() if one.crowd or one.locked],
        )
        if changes.changes:
            project.prepared(record).set_proposals(changes)
        return f"{len(changes.changes)} changes proposed"
