"""A run over many images that can be resumed: results are stored one by one until all are there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from segdemo.annotations import InstanceRuns, Instances, rle
from segdemo.annotations.notes import MALFORMED
from segdemo.datatypes import InputError
from segdemo.files import write_json


class ResumableRun:
    """A folder with a JSON for each finished image: its instances, exact to the pixel.

    Each has a fingerprint of all its inputs, and the folder has the settings. A context manager; a
    folder without finished images is removed at its end.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Look for an earlier run; raises InputError where its settings differ.

        settings: JSON values by the names that the user knows.
        """
        self.folder = folder
        self._photos = folder / "photos"
        self._settings_file = folder / "settings.json"
        self._settings = dict(settings)
        if os.path.lexists(folder):
            self._compare(self._earlier_settings())

    def __enter__(self) -> Self:
        """Create the folder; raises InputError."""
        try:
            self._photos.mkdir(parents=True, exist_ok=True)
            write_json(self._settings, self._settings_file)
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be created ({error.strerror}): choose another --output."
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the folder if no image is finished."""
        if self.is_empty:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def is_empty(self) -> bool:
        """Whether no image is finished."""
        return not any(self._photos.rglob("*.json"))

    def store(self, stem: str, fingerprint: str, found: Instances) -> None:
        """Store the result of an image atomically; raises OSError."""
        masks = found if isinstance(found, InstanceRuns) else InstanceRuns.of(found)
        content = {
            "fingerprint": fingerprint,
            "size": masks.size,
            "runs": [counts.decode("ascii") for counts in masks.counts],
            "scores": masks.scores.tolist(),
            "category_ids": _to_list(masks.category_ids),
            "names": {str(number): name for number, name in masks.names.items()},
            "crowd": _to_list(masks.crowd),
        }
        write_json(content, self._file(stem))

    def fingerprint(self, stem: str) -> str | None:
        """Return the fingerprint of a finished image, None where it is missing or damaged."""
        try:
            return str(json.loads(self._file(stem).read_bytes())["fingerprint"])
        except (OSError, *MALFORMED):
            return None

    def read(self, stem: str) -> InstanceRuns:
        """Return the result of a finished image; raises InputError where it is damaged."""
        file = self._file(stem)
        try:
            content = json.loads(file.read_bytes())
            size = content["size"]
            return InstanceRuns(
                rle.runs_size(content),
                tuple(rle.checked_counts({"size": size, "counts": c}) for c in content["runs"]),
                np.array(content["scores"], np.float32),
                _to_array(content["category_ids"], np.int64),
                {int(number): name for number, name in content["names"].items()},
                _to_array(content["crowd"], np.bool_),
            )
        except (OSError, *MALFORMED) as error:
            raise InputError(
                f"{file} is damaged: delete it and give the same command again."
            ) from error

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
        shutil.rmtree(self.folder)

    def _file(self, stem: str) -> Path:
        return self._photos / f"{stem}.json"

    def _earlier_settings(self) -> Mapping[str, Any]:
        try:
            earlier = json.loads(self._settings_file.read_bytes())
            if isinstance(earlier, dict):
                return earlier
        except (OSError, ValueError):
            pass
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            return self._settings
        raise InputError(
            f"{self.folder} exists and holds no earlier run that could be resumed: move it away, "
            "or choose another --output."
        )

    def _compare(self, earlier: Mapping[str, Any]) -> None:
        if self.is_empty:
            return
        for name in {**earlier, **self._settings}:
            before, now = earlier.get(name), self._settings.get(name)
            if before != now:
                other = f"other {name}"
                if not isinstance(before, list) and not isinstance(now, list):
                    other = f"{name} {_text(before)}, not {_text(now)}"
                raise InputError(
                    f"{self.folder} holds a run with {other}: give its settings to resume it, "
                    "choose another --output, or delete that folder to start again."
                )


class StoredMasks(Mapping[str, InstanceRuns]):
    """The finished images' masks by name, read on access: all together may exceed memory."""

    def __init__(self, run: ResumableRun, stems: Mapping[str, str]) -> None:
        """Take the images' names, in this order, and the stems of their results."""
        self._run = run
        self._stems = stems

    def __getitem__(self, name: str) -> InstanceRuns:
        """Read an image's masks; raises InputError."""
        return self._run.read(self._stems[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._stems)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._stems)


def _to_list(values: Any) -> list[Any] | None:
    return None if values is None else values.tolist()


def _to_array(values: list[Any] | None, dtype: Any) -> Any:
    return None if values is None else np.array(values, dtype)


def _text(value: Any) -> str:
    return "unset" if value is None else str(value)
