"""Photos that are done, kept one by one beside the output until all are.

A run that was stopped leaves them behind, and the next one goes on from there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from segdemo.annotations import rle
from segdemo.annotations.coco import MALFORMED
from segdemo.datatypes import InputError, InstanceMasks
from segdemo.files import write_json


class KeptPhotos:
    """A folder with a JSON for each photo that is done: its instances to the pixel, all of them.

    Each comes with a fingerprint of all that it was made of, and the folder with the settings. To
    be used in a `with`; a folder in which no photo was kept goes at its end.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Look for an earlier run; raises InputError where it had other settings.

        settings: values that JSON holds, under what the user calls them.
        """
        self.folder = folder
        self._photos = folder / "photos"
        self._settings_file = folder / "settings.json"
        self._settings = dict(settings)
        if os.path.lexists(folder):
            self._compare(self._earlier_settings())

    def __enter__(self) -> Self:
        """Make the folder; raises InputError."""
        try:
            self._photos.mkdir(parents=True, exist_ok=True)
            write_json(self._settings, self._settings_file)
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be made ({error.strerror}): choose another --output."
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the folder if it holds no photo."""
        if self.is_empty:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def is_empty(self) -> bool:
        """Whether no photo is kept."""
        return not any(self._photos.rglob("*.json"))

    def keep(self, stem: str, fingerprint: str, masks: InstanceMasks) -> None:
        """Keep what came out for a photo, whole or not at all; raises OSError."""
        content = {
            "fingerprint": fingerprint,
            "size": masks.size,
            "runs": [rle.encode(mask)["counts"] for mask in masks.masks],
            "scores": masks.scores.tolist(),
            "category_ids": _listed(masks.category_ids),
            "names": {str(number): name for number, name in masks.names.items()},
            "crowd": _listed(masks.crowd),
        }
        write_json(content, self._file(stem))

    def fingerprint(self, stem: str) -> str | None:
        """Return the fingerprint of a photo that is kept, None where it is not or is damaged."""
        try:
            return str(json.loads(self._file(stem).read_bytes())["fingerprint"])
        except (OSError, *MALFORMED):
            return None

    def read(self, stem: str) -> InstanceMasks:
        """Return what was kept for a photo; raises InputError where it is damaged."""
        file = self._file(stem)
        try:
            content = json.loads(file.read_bytes())
            size, runs = content["size"], content["runs"]
            masks = np.empty((len(runs), *size), np.bool_)
            for mask, counts in zip(masks, runs, strict=True):
                mask[:] = rle.decode({"size": size, "counts": counts})
            return InstanceMasks(
                masks,
                np.array(content["scores"], np.float32),
                _array(content["category_ids"], np.int64),
                {int(number): name for number, name in content["names"].items()},
                _array(content["crowd"], np.bool_),
            )
        except (OSError, *MALFORMED) as error:
            raise InputError(
                f"{file} is damaged: delete it and give the same command again."
            ) from error

    @contextmanager
    def replaced_by(self, output: Path) -> Iterator[Path]:
        """Give a path to write all results to; then they take `output`'s place.

        What is written beside that path comes along, folders first; then this folder goes. Raises
        InputError where something is in the way.
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
            f"{self.folder} exists and holds no earlier run that could be gone on with: move it "
            "away, or choose another --output."
        )

    def _compare(self, earlier: Mapping[str, Any]) -> None:
        if self.is_empty:
            return
        for name in {**earlier, **self._settings}:
            before, now = earlier.get(name), self._settings.get(name)
            if before != now:
                other = f"other {name}"
                if not isinstance(before, list) and not isinstance(now, list):
                    other = f"{name} {_said(before)}, not {_said(now)}"
                raise InputError(
                    f"{self.folder} holds a run with {other}: give its settings to go on, choose "
                    "another --output, or delete that folder to begin anew."
                )


class MasksAsKept(Mapping[str, InstanceMasks]):
    """Photos' masks by name, read one by one when asked for: all together may exceed memory."""

    def __init__(self, kept: KeptPhotos, stems: Mapping[str, str]) -> None:
        """Hold the photos of these names, in this order, kept under these stems."""
        self._kept = kept
        self._stems = stems

    def __getitem__(self, name: str) -> InstanceMasks:
        """Read a photo's masks; raises InputError."""
        return self._kept.read(self._stems[name])

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._stems)

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self._stems)


def _listed(values: Any) -> list[Any] | None:
    return None if values is None else values.tolist()


def _array(values: list[Any] | None, dtype: Any) -> Any:
    return None if values is None else np.array(values, dtype)


def _said(value: Any) -> str:
    return "unset" if value is None else str(value)
