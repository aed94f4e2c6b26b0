"""What readers left out or changed: one type through all formats, reported in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.datatypes import InputError, InstanceMasks

# What walking through a parsed JSON of an unexpected shape raises
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)

_NAMED_ENTRIES = 5  # of one reason; more are counted
_LONGEST = 80  # characters of what a file says, in a message
_LONGEST_REASON = 400


class ForeignFileError(InputError):
    """A file is well-formed, but none of masks."""


@dataclass(frozen=True)
class ReadingNote:
    """One thing a reader did not take as it was.

    file: what messages call it. entry: which part of it (`annotation 7`, `row 2`), "" for all of
    it. reason: why. left_out: it is missing from what was read; else it was read with a change.
    """

    file: str
    entry: str
    reason: str
    left_out: bool = True


class ReadingNotes(list[ReadingNote]):
    """The notes of one reading, in order."""

    def leave_out(self, file: str, entry: str, reason: str) -> None:
        """Note that an entry, or all of a file, is missing from what was read."""
        self.append(_note(file, entry, reason, left_out=True))

    def change(self, file: str, entry: str, reason: str) -> None:
        """Note that an entry was read otherwise than it is written."""
        self.append(_note(file, entry, reason, left_out=False))

    def change_once(self, file: str, reason: str) -> None:
        """Note what holds for many files, once."""
        note = _note(file, "", reason, left_out=False)
        if note not in self:
            self.append(note)

    @contextmanager
    def guarding(self, file: str, entry: str = "") -> Iterator[None]:
        """Leave an entry out where reading it fails; what follows it is read."""
        try:
            yield
        except InputError as error:
            self.leave_out(file, entry, str(error))
        except MALFORMED:
            self.leave_out(file, entry, "it is incomplete or damaged: export it again")


@dataclass(frozen=True, eq=False)
class MasksRead(Mapping[str, InstanceMasks]):
    """Masks by the names of their images, and what the reader left out or changed.

    runs: the masks as they are kept; as a mapping, it decodes one image's on access. stuff: names
    of the classes whose masks are no instances, such as sky.
    """

    runs: Mapping[str, InstanceRuns]
    notes: Sequence[ReadingNote] = ()
    stuff: frozenset[str] = frozenset()

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out."""
        return not any(note.left_out for note in self.notes)

    def sentences(self) -> list[str]:
        """Return the notes in sentences, like ones together."""
        return sentences(self.notes)

    def __getitem__(self, name: str) -> InstanceMasks:
        """Decode an image's masks; raises InputError where they take too much memory."""
        return self.runs[name].decoded()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the images' names."""
        return iter(self.runs)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.runs)


def sentences(notes: Sequence[ReadingNote]) -> list[str]:
    """Return notes in sentences; entries of one file with one reason share one."""
    groups: dict[tuple[str, str, bool], list[str]] = {}
    for note in notes:
        entries = groups.setdefault((note.file, note.reason, note.left_out), [])
        if note.entry:
            entries.append(note.entry)
    return [
        _sentence(file, entries, reason, left_out)
        for (file, reason, left_out), entries in groups.items()
    ]


def _sentence(file: str, entries: list[str], reason: str, left_out: bool) -> str:
    if not entries:
        if left_out and file in reason:
            return f"{reason}."
        return f"{file} was left out: {reason}." if left_out else f"{file}: {reason}."
    reason = reason.removeprefix(f"{file}: ")
    listed = ", ".join(entries[:_NAMED_ENTRIES])
    if more := len(entries) - _NAMED_ENTRIES:
        listed += f" and {more} more" if more > 0 else ""
    if left_out:
        listed += f" {'was' if len(entries) == 1 else 'were'} left out"
    return f"{file}: {listed}: {reason}."


def _note(file: str, entry: str, reason: str, left_out: bool) -> ReadingNote:
    """Return a note whose texts can be shown: what a file says may be long, or control a screen."""
    said = _shown(reason, _LONGEST_REASON).rstrip(".")
    return ReadingNote(_shown(file, _LONGEST_REASON), _shown(entry, _LONGEST), said, left_out)


def _shown(text: str, longest: int) -> str:
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(mark if mark.isprintable() else "?" for mark in cut)
