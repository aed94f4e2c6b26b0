"""Masks that lie beside a project's images: read when an image needs them, or once for many."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segdemo.annotations import InstanceRuns, read_masks
from segdemo.annotations.folders import LABEL_SUFFIXES
from segdemo.annotations.stored_runs import from_json, to_json
from segdemo.datatypes import InputError
from segdemo.projects.board import MASKS_UNCOUNTED, Board, ImageRecord
from segdemo.projects.coco_index import Box, boxes_of, masks_of, take_apart
from segdemo.projects.database import Database, Row
from segdemo.projects.json_items import decode_json
from segdemo.projects.layout import LazySizes
from segdemo.projects.results import read_own
from segdemo.regular_files import read_regular

COCO, RUNS = "coco", "runs"  # what is kept of a file: an image's part of it, or its masks


class FoundMasks:
    """The masks of other tools in a project's folder; nothing of them is ever changed."""

    def __init__(self, root: Path, database: Database, own: Mapping[str, Sequence[Path]]) -> None:
        """own: files with masks of one image, by its name; see `layout.Layout`."""
        self._root, self._database, self._own = root, database, own

    def take_in(self, shared: Sequence[Path], board: Board) -> list[str]:
        """Read files with masks of many images, once for each change; returns what to tell.

        board: its images without work get the number of instances found.
        """
        said: list[str] = []
        names = [record.name for record in board.all()]
        for file in shared:
            stat, path = file.stat(), file.relative_to(self._root).as_posix()
            stamp = f"{stat.st_mtime_ns} {stat.st_size}"
            known = self._database.row("SELECT * FROM sources WHERE path = ?", (path,))
            if known is None or known["stamp"] != stamp:
                source = self._read(file, path, names)
                self._keep(path, stamp, source, board)
                said += source.said
            else:
                said += known["said"].splitlines()
        return said

    def counts(self, names: Sequence[str]) -> dict[str, int]:
        """Return `MASKS_UNCOUNTED` for the images that files of their own have masks of."""
        return {name: MASKS_UNCOUNTED for name in names if self._own.get(name)}

    def runs(self, record: ImageRecord, result: Path | None) -> tuple[InstanceRuns | None, str]:
        """Return the masks found of an image, None for none, and what to tell of their files.

        result: a file that is the image's result, not found beside it.
        """
        size = LazySizes(self._root, [record.name])[record.name]
        said: list[str] = []
        parts: list[InstanceRuns] = []
        for file in self._own.get(record.name, ()):
            if file == result:
                continue
            picture = file.suffix.lower() in LABEL_SUFFIXES
            if parts and not picture:
                break
            try:
                found = read_own(file, record.name, size)
            except InputError as error:
                said.append(str(error))
                continue
            if found is None:
                continue
            parts.append(found)
            if not picture:  # a JSON has them all; of pictures each may hold one
                break
        if parts:
            return _joined(parts), " ".join(said)
        taken, more = self._taken(record, size)
        return taken, " ".join([*said, *more])

    def boxes(self, record: ImageRecord) -> list[tuple[Box, str | None]]:
        """Return the boxes that were found of an image without masks, with names of classes."""
        row = self._row(record)
        if row is None or row["kind"] != COCO:
            return []
        return boxes_of(_unpacked(row["content"]), json.loads(row["shared"]))

    def with_boxes(self) -> set[int]:
        """Return the images that boxes without masks were found of."""
        rows = self._database.rows("SELECT image FROM taken WHERE boxes > 0")
        return {int(row["image"]) for row in rows}

    def _row(self, record: ImageRecord) -> Row | None:
        return self._database.row(
            "SELECT taken.*, sources.shared FROM taken JOIN sources ON sources.path = taken.source "
            "WHERE image = ?",
            (record.id,),
        )

    def _taken(
        self, record: ImageRecord, size: tuple[int, int]
    ) -> tuple[InstanceRuns | None, list[str]]:
        """Return what `take_in` has kept of an image."""
        row = self._row(record)
        if row is None:
            return None, []
        content = _unpacked(row["content"])
        if row["kind"] == COCO:
            try:
                categories = json.loads(row["shared"])
                return masks_of(content, categories, record.name, size, row["source"])
            except InputError as error:
                return None, [str(error)]
        taken = from_json(content)
        if taken.size != size:
            return None, [f"{record.name} has changed since its masks were read: they do not fit."]
        return taken, []

    def _read(self, file: Path, path: str, names: Sequence[str]) -> _Source:
        """Read a file with masks of many images: COCO's is only taken apart."""
        try:
            index = take_apart(decode_json(read_regular(file)), names, path)
            if index is not None:
                parts = {
                    name: _Part(COCO, _packed(part.text), part.masks, part.boxes)
                    for name, part in index.parts()
                }
                return _Source(parts, index.said, index.categories)
            masks = read_masks(file, LazySizes(self._root, names), None, path)
        except InputError as error:
            return _Source({}, [str(error)])
        except (OSError, ValueError, RecursionError):
            return _Source({}, [f"{path} is damaged or not JSON: export it again."])
        runs = {
            name: _Part(RUNS, _packed(json.dumps(to_json(own))), len(own), 0)
            for name, own in masks.runs.items()
        }
        return _Source(runs, masks.sentences())

    def _keep(self, path: str, stamp: str, source: _Source, board: Board) -> None:
        known = {record.name: record for record in board.all()}
        with self._database.writing() as write:
            write.execute("DELETE FROM taken WHERE source = ?", (path,))
            write.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)",
                (path, stamp, "\n".join(source.said), json.dumps(source.shared)),
            )
            write.executemany(
                "INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?, ?)",
                (
                    (known[name].id, path, part.kind, part.content, part.boxes)
                    for name, part in source.parts.items()
                ),
            )
            for name, part in source.parts.items():
                if known[name].state == "new" and known[name].count == 0:
                    board.set(known[name].id, count=part.masks)


@dataclass(frozen=True)
class _Part:
    """One image's masks. content: JSON, compressed. boxes: how many are without a mask."""

    kind: str
    content: bytes
    masks: int
    boxes: int


@dataclass(frozen=True)
class _Source:
    """A file's masks by image. shared: by all of its images."""

    parts: Mapping[str, _Part]
    said: Sequence[str]
    shared: Any = None


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode(errors="surrogatepass"), 1)


def _unpacked(content: bytes) -> Any:
    return json.loads(zlib.decompress(content))


def _joined(parts: Sequence[InstanceRuns]) -> InstanceRuns:
    """Put the instances of several files of one image together."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    counts = tuple(counts for part in parts for counts in part.counts)
    scores = np.concatenate([part.scores for part in parts])
    return replace(first, counts=counts, scores=scores, category_ids=None, names={}, crowd=None)
