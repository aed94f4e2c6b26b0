"""Results beside the images: one file an image below `annotations`, and `classes.json`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np

from segdemo.annotations import InstanceRuns, read_masks
from segdemo.annotations.class_file import CLASS_FILE, Classes, read_classes, write_classes
from segdemo.annotations.label_png import InstanceFacts, write_label_png
from segdemo.annotations.labelme import write_labelme
from segdemo.annotations.omissions import Omissions
from segdemo.datatypes import InputError, Labels
from segdemo.editing.storage import Instance
from segdemo.projects.layout import RESULTS

ResultFormat = Literal["labels", "labelme"]
"""labels: a PNG of ids whose text chunk tells their classes. labelme: a JSON of polygons."""
ENDINGS: Mapping[ResultFormat, str] = {"labels": ".png", "labelme": ".json"}


class Results:
    """The files of a project's results. result: an image's own, a path without ending."""

    def __init__(self, root: Path, form: ResultFormat) -> None:
        """Write below a project's folder in a form; raises InputError for another."""
        if form not in ENDINGS:
            raise InputError(f"Format {form!r}: choose one of {', '.join(get_args(ResultFormat))}.")
        self._root, self._form = root, form
        self.folder = root / RESULTS

    def file(self, result: str) -> Path:
        """Return where an image's result is written."""
        return self.folder / (result + ENDINGS[self._form])

    def latest(self, result: str) -> Path | None:
        """Return an image's result in whatever form was written last, or None."""
        found: list[tuple[int, Path]] = []
        for ending in ENDINGS.values():
            file = self.folder / (result + ending)
            with suppress(OSError):
                found.append((file.stat().st_mtime_ns, file))
        return max(found)[1] if found else None

    def names(self) -> set[str]:
        """Return the results that there are."""
        return {
            path.relative_to(self.folder).as_posix()[: -len(path.suffix)]
            for path in self.folder.rglob("*")
            if path.suffix in ENDINGS.values()
        }

    def read(self, name: str, result: str, size: tuple[int, int]) -> InstanceRuns | None:
        """Read an image's result, None without one; raises InputError where it is damaged."""
        file = self.latest(result)
        return None if file is None else read_own(file, name, size)

    def write(
        self,
        name: str,
        result: str,
        labels: Labels,
        known: Mapping[int, Instance],
        classes: Mapping[int, str],
    ) -> Path:
        """Write an image's instances; returns the file. Raises OSError.

        labels: (H, W) ids. known: by id. classes: names by number.
        """
        file = self.file(result)
        file.parent.mkdir(parents=True, exist_ok=True)
        if self._form == "labels":
            facts = {number: _facts(one, classes) for number, one in known.items()}
            write_label_png(labels, facts, name, file)
            return file
        runs = InstanceRuns.from_label_map(labels)
        numbers = [int(number) for number in np.unique(labels) if number]
        own = [_facts(known.get(number, Instance()), classes) for number in numbers]
        names = {0: "object"} | dict(enumerate(sorted({one.label for one in own if one.label}), 1))
        number_of = {label: number for number, label in names.items() if number}
        ids = np.array([number_of.get(one.label or "", 0) for one in own], np.int64)
        found = InstanceRuns.unscored(runs.size, runs.counts, ids, names)
        image = result + ".png"  # any ending of an image: it is replaced
        write_labelme({image: found}, self.folder, Omissions(), {image: self._root / name})
        return file

    def read_classes(self) -> Classes:
        """Read the project's classes; raises InputError where their file is damaged."""
        return read_classes(self.folder / CLASS_FILE)

    def write_classes(self, classes: Classes) -> None:
        """Write the project's classes; raises OSError."""
        self.folder.mkdir(exist_ok=True)
        write_classes(classes, self.folder / CLASS_FILE)


def read_own(file: Path, name: str, size: tuple[int, int]) -> InstanceRuns | None:
    """Read a file that holds masks of one image alone, whatever it is called.

    Returns None where it holds none; raises InputError where it cannot be used.
    """
    called = PurePosixPath(name).stem + file.suffix
    return read_masks(file, {name: size}, None, called).runs.get(name)


def _facts(one: Instance, classes: Mapping[int, str]) -> InstanceFacts:
    label = None if one.category is None else classes.get(one.category, f"class {one.category}")
    return InstanceFacts(label, one.score, one.crowd)
