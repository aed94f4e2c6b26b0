"""A run over many images that can be resumed: results are stored one by one until all are there."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from segdemo.annotations import InstanceRuns
from segdemo.annotations.stored_runs import from_json
from segdemo.datatypes import InputError
from segdemo.files import write_json

LOCK = "lock"
_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.part")  # see `files.atomic_write`


@dataclass(frozen=True)
class ResultStore:
    """A folder with a JSON for each finished image; processes may write to it side by side.

    Each has a fingerprint of all that its image's result was made from.
    """

    folder: Path

    @property
    def is_empty(self) -> bool:
        """Whether no image is finished."""
        return not any((self.folder / "photos").rglob("*.json"))

    def store(self, stem: str, fingerprint: str, content: Mapping[str, Any]) -> None:
        """Store the result of an image atomically; raises OSError. content: as JSON holds it."""
        write_json({"fingerprint": fingerprint, **content}, self.file(stem))

    def content(self, stem: str) -> Mapping[str, Any]:
        """Return the result of a finished image, {} where it is missing or damaged."""
        with suppress(OSError, ValueError):
            content = json.loads(self.file(stem).read_bytes())
            if isinstance(content, dict):
                return content
        return {}

    def fingerprint(self, stem: str) -> str | None:
        """Return the fingerprint of a finished image, None where it is missing or damaged."""
        found = self.content(stem).get("fingerprint")
        return None if found is None else str(found)

    def masks(self, stem: str) -> InstanceRuns:
        """Return the instances of a finished image; raises InputError where it is damaged."""
        try:
            return from_json(self.content(stem))
        except InputError as error:
            raise self.damaged(stem) from error

    def damaged(self, stem: str) -> InputError:
        """Return the error to raise where the result of a finished image cannot be used."""
        return InputError(
            f"{self.file(stem)} is damaged: delete it and give the same command again."
        )

    def file(self, stem: str) -> Path:
        """Return the path of an image's result."""
        return self.folder / "photos" / f"{stem}.json"


class ResumableRun:
    """The one run that uses a `ResultStore`, and its settings beside the results.

    A context manager: inside, no other process can run in the same folder, and what an earlier one
    was writing when it was killed is gone. A folder without finished images is removed at its end.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        flag: str = "--output",
        lock: Path | None = None,
    ) -> None:
        """Look for an earlier run; raises InputError where its settings differ.

        settings: JSON values by the names that the user knows. flag: what chose the folder.
        lock: the file that tells runs apart, by default one in the folder.
        """
        self.folder = folder
        self.store = ResultStore(folder)
        self._settings_file = folder / "settings.json"
        self._settings = json.loads(json.dumps(dict(settings)))  # lists, where tuples are given
        self._flag = flag
        self._lock = FileLock(lock or folder / LOCK)
        if os.path.lexists(folder):
            self._compare(self._earlier_settings())

    def __enter__(self) -> Self:
        """Create the folder; raises InputError, also where another run uses it."""
        try:
            (self.folder / "photos").mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"Another run is writing to {self.folder} now: wait until it has ended, or choose "
                f"another {self._flag}."
            ) from error
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be created ({error.strerror}): choose another {self._flag}."
            ) from error
        try:
            if self.folder.exists():  # changed by another run since
                self._compare(self._earlier_settings())
            write_json(self._settings, self._settings_file)
            delete_unfinished(self.folder)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the folder if no image is finished."""
        if self.store.is_empty:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()

    @contextmanager
    def publish(self, output: Path) -> Iterator[Path]:
        """Yield a path to write all results to; then move them to `output`.

        What is written beside that path is moved too, folders first; then this folder is removed.
        Raises InputError where something exists there.
        """
        draft = self.folder / "draft"  # on the same disk: moving takes no time
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        yield draft / output.name
        for entry in sorted(draft.iterdir(), key=Path.is_file):
            place = output.with_name(entry.name)
            if os.path.lexists(place):
                raise InputError(f"{place} exists by now: move it away and run again.")
            entry.rename(place)
        self.discard()

    def discard(self) -> None:
        """Remove this folder: all results are where they belong."""
        shutil.rmtree(self.folder)

    def _earlier_settings(self) -> Mapping[str, Any]:
        try:
            earlier = json.loads(self._settings_file.read_bytes())
            if isinstance(earlier, dict):
                return earlier
        except (OSError, ValueError):
            pass
        own = {LOCK, "photos"}  # of a run that was killed as it began
        if self.folder.is_dir() and {entry.name for entry in self.folder.iterdir()} <= own:
            return self._settings
        raise InputError(
            f"{self.folder} exists and holds no earlier run that could be resumed: move it away, "
            f"or choose another {self._flag}."
        )

    def _compare(self, earlier: Mapping[str, Any]) -> None:
        if self.store.is_empty:
            return
        for name in {**earlier, **self._settings}:
            before, now = earlier.get(name), self._settings.get(name)
            if before != now:
                other = f"other {name}"
                if not isinstance(before, list) and not isinstance(now, list):
                    other = f"{name} {_text(before)}, not {_text(now)}"
                raise InputError(
                    f"{self.folder} holds a run with {other}: give its settings to resume it, "
                    f"choose another {self._flag}, or delete that folder to start again."
                )


class StoredMasks(Mapping[str, InstanceRuns]):
    """The finished images' masks by name, read on access: all together may exceed memory."""

    def __init__(self, store: ResultStore, stems: Mapping[str, str]) -> None:
        """Take the images' names, in this order, and the stems of their results."""
        self._store = store
        self._stems = stems

    def __getitem__(self, name: str) -> InstanceRuns:
        """Read an image's masks; raises InputError."""
        return self._store.masks(self._stems[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._stems)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._stems)


def delete_unfinished(folder: Path) -> None:
    """Delete what a run was writing below a folder when it was killed."""
    for place, _, names in os.walk(folder):
        for name in filter(_UNFINISHED.fullmatch, names):
            with suppress(OSError):
                (Path(place) / name).unlink()


def _text(value: Any) -> str:
    return "unset" if value is None else str(value)
