"""The classes of a class map, and which of them have instances."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from segdemo.annotations.classes import CLASS_NAMES, STUFF, VOID, ClassSet, class_names
from segdemo.annotations.label_map_file import Colour, is_label_map, read_label_map
from segdemo.datatypes import InputError
from segdemo.regular_files import read_regular

BACKGROUND = "background"
_LARGEST = 65_535  # what 16 bits hold
_KEY = re.compile(r"\s*\tkey [1-9]$")


@dataclass(frozen=True)
class ClassList:
    """The classes of a class map.

    names: of all but void, by number. things: classes with instances, the others are stuff. void:
    numbers of unlabelled pixels. colours: (red, green, blue) by number, void among them, where the
    list has them.
    """

    names: Mapping[int, str]
    things: frozenset[int]
    void: frozenset[int]
    colours: Mapping[int, Colour] = field(default_factory=dict)

    @classmethod
    def of(cls, given: str, stuff: Iterable[str]) -> ClassList:
        """Return the classes of a known set or a file; raises InputError.

        given: voc, coco, coco-ids, coco-panoptic, or a file, see `read_class_names`, or CVAT's
        `labelmap.txt`, whose classes are numbered like names alone. stuff: names or numbers of the
        classes without instances, beside those of the set itself. Number 0 is the background unless
        the file calls it something else, and void unless `stuff` holds it; 255 is void unless the
        file names it.
        """
        colours: Mapping[int, Colour] = {}
        if given in CLASS_NAMES:
            names = dict(class_names(cast(ClassSet, given)))
        elif Path(given).is_file() and is_label_map(Path(given)):
            label_map = read_label_map(Path(given))
            first = 0 if next(iter(label_map), BACKGROUND).casefold() == BACKGROUND else 1
            names = dict(enumerate(label_map, first))
            colours = dict(enumerate(label_map.values(), first))
        elif Path(given).is_file():
            names = read_class_names(Path(given))
        else:
            known = ", ".join(CLASS_NAMES)
            raise InputError(
                f"--semantic {given} is not a file of class names: give one, or {known}."
            )
        return cls._with_stuff(names, stuff, given, colours)

    @classmethod
    def of_text(cls, text: str, stuff: Iterable[str]) -> ClassList:
        """Return the classes of a known set or of a list; raises InputError.

        text: voc, coco, coco-ids, coco-panoptic, or names as `parse_class_names` reads them.
        stuff: see `of`.
        """
        known = text.strip()
        if known in CLASS_NAMES:
            return cls._with_stuff(dict(class_names(cast(ClassSet, known))), stuff, known, {})
        source = "the list of classes"
        return cls._with_stuff(parse_class_names(text, source), stuff, source, {})

    @classmethod
    def _with_stuff(
        cls,
        names: dict[int, str],
        stuff: Iterable[str],
        given: str,
        colours: Mapping[int, Colour],
    ) -> ClassList:
        names.setdefault(0, BACKGROUND)
        without_instances = {_number(label, names, given) for label in stuff}
        without_instances |= STUFF.get(given, frozenset())
        void = {VOID} - set(names)
        if names[0].casefold() == BACKGROUND and 0 not in without_instances:
            void.add(0)
            del names[0]
        return cls(
            dict(sorted(names.items())),
            frozenset(names) - without_instances,
            frozenset(void),
            colours,
        )

    @property
    def stuff(self) -> list[int]:
        """The numbers of the classes without instances, in ascending order."""
        return sorted(set(self.names) - self.things)

    def check(self, class_map: npt.NDArray[np.integer], file: str) -> None:
        """Raise InputError if a class map holds other numbers."""
        found = set(np.unique(class_map).tolist())
        if unknown := found - set(self.names) - self.void:
            raise InputError(
                f"{file} holds {min(unknown)}, which is not one of its classes: save the numbers "
                "of the classes, not their colours or greys."
            )


def read_class_names(path: Path) -> dict[int, str]:
    """Read one class a line: `number: name` in all lines, or names alone, which count from 1.

    Names alone count from 0 where the first is `background`. The keys that the mask editor writes
    behind names are left out. Raises InputError.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: save it as UTF-8.") from error
    return parse_class_names(text, str(path))


def parse_class_names(text: str, source: str) -> dict[int, str]:
    """Parse what `read_class_names` reads; source: what messages call it."""
    lines = [_KEY.sub("", line.strip()) for line in text.strip().splitlines()]
    numbered = [re.fullmatch(r"(\d{1,5})\s*:\s*(.+)", line) for line in lines]
    if any(numbered):
        bad = [i for i, found in enumerate(numbered, 1) if not found]
        pairs = [(int(found[1]), found[2]) for found in numbered if found]
    else:
        bad = [i for i, line in enumerate(lines, 1) if not line]
        pairs = list(enumerate(lines, 0 if lines[:1] == [BACKGROUND] else 1))
    if bad:
        raise InputError(
            f"{source}: line {bad[0]} is not a class; write `number: name`, or only names."
        )
    names = dict(pairs)
    if not names or max(names) > _LARGEST:
        raise InputError(f"{source}: name 1 to {_LARGEST} classes, one a line.")
    if len(names) < len(pairs) or len({name.casefold() for name in names.values()}) < len(pairs):
        raise InputError(f"{source} has a number or a name twice: give each class one line.")
    return names


def _number(label: str, names: Mapping[int, str], given: str) -> int:
    for number, name in names.items():
        if label.casefold() == name.casefold() or label == str(number):
            return number
    raise InputError(f"Stuff {label} is not a class of {given}: check the spelling.")
