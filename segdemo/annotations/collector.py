"""What has been read so far, and for which images more is wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping

from segdemo.annotations.file_names import name_forms, without_hash, without_suffix
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.notes import ReadingNotes
from segdemo.datatypes import MAX_INSTANCES, InputError
from segdemo.images import MAX_PIXELS

MAX_RUN_BYTES = 1_000_000_000  # of all masks together


class MaskCollector:
    """Collects the masks of several images, each under the name its image is known by.

    sizes: (height, width) of the images masks are wanted for, by file name; None takes all there
    are, under the names their files give.
    """

    def __init__(self, sizes: Mapping[str, tuple[int, int]] | None) -> None:
        """Start with nothing found."""
        self.found: dict[str, InstanceRuns] = {}
        self.notes = ReadingNotes()
        self.stuff: set[str] = set()  # names of classes whose masks are no instances
        self._sizes = sizes
        self._labels: dict[str, int] = {}
        self._bytes = 0
        # by how much a name was shortened and what is left of it
        self._alike: dict[tuple[int, str], list[str]] = {}
        for name in sizes or ():
            forms = name_forms(name)
            for form in enumerate((*forms, without_hash(forms[-1]))):
                self._alike.setdefault(form, []).append(name)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The images wanted; None for all."""
        return None if self._sizes is None else tuple(self._sizes)

    def key(self, name: str, file: str) -> str | None:
        """Return what the image `name` is called here, None where it is not wanted.

        Names are compared form by form, see `file_names.name_forms`, at last without the hash that
        a tool has put before one of the two. Raises InputError where several images fit.
        """
        if self._sizes is None:
            return name
        alike: list[str] = []
        forms = name_forms(name)
        plain, last = forms[-1], len(forms) - 1
        for form in (*enumerate(forms), (last, without_hash(plain)), (last + 1, plain)):
            now = self._alike.get(form, [])
            if len(now) == 1:
                return now[0]
            alike = now or alike
        if alike:
            raise InputError(
                f"{file} has masks for {name}, which could be {alike[0]} or {alike[1]}: rename one."
            )
        return None

    def key_by_number(self, number: int, file: str) -> str | None:
        """Return the image whose name ends in an image id, as COCO's do; None without one.

        Raises InputError where several end in it.
        """
        if self._sizes is None:
            return str(number)
        digits = {name: re.search(r"(\d+)$", without_suffix(name)) for name in self._sizes}
        alike = [name for name, found in digits.items() if found and int(found[1]) == number]
        if len(alike) > 1:
            raise InputError(
                f"{file} has masks for image {number}, which could be {alike[0]} or {alike[1]}: "
                "give a JSON with its images."
            )
        return alike[0] if alike else None

    def wanted_size(self, key: str) -> tuple[int, int] | None:
        """Return an image's (height, width) where it is known beforehand."""
        return None if self._sizes is None else self._sizes[key]

    def size(self, key: str, file: str) -> tuple[int, int]:
        """Return an image's (height, width), for formats that do not hold it."""
        if self._sizes is None:
            raise InputError(f"{file} does not say how large its image is: give the image as well.")
        return self._sizes[key]

    def make_room(self, key: str, size: tuple[int, int], count: int, file: str) -> None:
        """Raise InputError unless `count` masks of that (height, width) fit the image.

        To be called before the masks are decoded.
        """
        height, width = size
        if height < 1 or width < 1 or height * width > MAX_PIXELS:
            raise InputError(
                f"{file}: {key} has {width} x {height} pixels, which is none or more than "
                f"{MAX_PIXELS // 1_000_000} million: reduce image and masks."
            )
        wanted = size if self._sizes is None else self._sizes[key]
        if tuple(wanted) != tuple(size):
            raise InputError(
                f"{file}: the masks of {key} are {width} x {height}, the image {wanted[1]} x "
                f"{wanted[0]}: export the masks at the image's size."
            )
        if count > MAX_INSTANCES:
            raise InputError(f"{file}: {key} has {count} masks, {MAX_INSTANCES} are the most.")

    def category(self, label: str) -> int:
        """Return a number for a class that files know by name only, the same in all of them."""
        return self._labels.setdefault(label, len(self._labels) + 1)

    def add(self, key: str, masks: InstanceRuns, file: str) -> None:
        """Keep an image's masks; those of a second file are left out and noted.

        Raises InputError where all together take too much memory.
        """
        if key in self.found:
            self.notes.leave_out(
                file, key, "it has masks from another file or entry already: give one"
            )
            return
        self._bytes += sum(map(len, masks.counts))
        if self._bytes > MAX_RUN_BYTES:
            raise InputError(
                f"{file} holds masks of more than {MAX_RUN_BYTES / 1e9:g} GB of run lengths: name "
                "the images you want, or split it."
            )
        self.found[key] = masks
