"""The project's classes, one list for all images, which grows with the masks taken in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from segdemo.annotations import InstanceRuns, Instances
from segdemo.annotations.class_file import Classes
from segdemo.annotations.label_png import UNLABELLED
from segdemo.datatypes import Labels
from segdemo.editing.masks import flatten_masks
from segdemo.editing.sessions import renumber_classes
from segdemo.editing.storage import Instance
from segdemo.projects.database import Database
from segdemo.projects.results import Results


class ProjectClasses:
    """Reads and writes `classes.json`; alone among all processes while it writes."""

    def __init__(self, results: Results, database: Database) -> None:
        """database: whose transactions keep other processes out."""
        self._results, self._database = results, database

    @property
    def known(self) -> Classes:
        """The classes now; raises InputError where their file is damaged."""
        return self._results.read_classes()

    def name(self, names: Mapping[int, str], stuff: Iterable[int] = ()) -> None:
        """Add classes or give them other names; raises OSError. stuff: without instances."""
        with self._database.writing():
            before = self.known
            after = Classes({**before.names, **names}, before.stuff | frozenset(stuff))
            if after != before:
                self._results.write_classes(after)

    def add(self, masks: Instances) -> Classes:
        """Add the classes of instances, and return all."""
        if masks.category_ids is None:
            return self.known
        with self._database.writing():
            before = self.known
            names = dict(before.names)
            renumber_classes(names, masks)
            added = {k: v for k, v in names.items() if k not in before.names and v != UNLABELLED}
            if added:
                self._results.write_classes(Classes({**before.names, **added}, before.stuff))
        return self.known

    def renumbered(self, found: InstanceRuns) -> InstanceRuns:
        """Return instances under the project's numbers of their classes, which are added."""
        names = dict(self.add(found).names)
        names[max(names, default=0) + 1] = UNLABELLED  # the same number in all images
        ids = renumber_classes(names, found).category_ids
        if ids is None:
            return found
        used = set(ids.tolist())
        names = {k: v for k, v in names.items() if v != UNLABELLED or k in used}
        return replace(found, category_ids=ids, names=names)

    def flatten(self, masks: Instances) -> tuple[Labels, dict[int, Instance], list[str]]:
        """Flatten instances, see `flatten_masks`, under the project's classes."""
        names = dict(self.add(masks).names)
        labels, known, losses = flatten_masks(renumber_classes(names, masks))
        known = {
            number: replace(one, category=None)
            if one.category is not None and names.get(one.category) == UNLABELLED
            else one
            for number, one in known.items()
        }
        return labels, known, losses
