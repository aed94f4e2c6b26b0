"""A run that writes each photo's files into one folder, and resumes an earlier one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from segdemo.batch import FileStatus, Handler
from segdemo.commands.digests import file_digest
from segdemo.commands.progress import report_progress
from segdemo.commands.resumable_run import LOCK, ResultStore, ResumableRun, delete_unfinished
from segdemo.commands.workers import Engine, Load
from segdemo.datatypes import InputError, RGBImage
from segdemo.files import ImageFile
from segdemo.terminal import printable

RECORDS = ".segdemo"
"""Folder in --output_dir: which photos are finished, by the verb, with which settings."""


def run_in_folder(
    verb: str,
    settings: Mapping[str, Any],
    image_files: Sequence[ImageFile],
    output_dir: Path,
    load: Load,
    engine: Engine,
) -> int:
    """Process all images that an earlier run has not finished; returns the exit code.

    settings: all that results depend on beside the images, see `ResumableRun`. Raises InputError
    for other settings than the earlier run's, while another run writes to the folder, and as
    `load` does.
    """
    records = output_dir / RECORDS
    run = ResumableRun(records / verb, settings, "--output_dir", records / LOCK)
    with run:
        delete_unfinished(output_dir)
        finished = [one for one in image_files if _is_finished(one, run.store, output_dir)]
        if finished:
            print(
                printable(
                    f"{len(finished)} of {len(image_files)} photos are finished in {output_dir} "
                    "with these settings, they are not done again."
                )
            )
        done = {one.stem for one in finished}
        rest = [one for one in image_files if one.stem not in done]
        earlier = (FileStatus(one.name, True, "finished before", 0, ()) for one in finished)
        statuses: Iterator[FileStatus] = chain(
            earlier, engine.map_images(rest, Recording(load, run.store, output_dir))
        )
        return report_progress(statuses, len(image_files), output_dir)


@dataclass(frozen=True)
class Recording:
    """A `Load` whose handler records each image once its files are written."""

    load: Load
    store: ResultStore
    output_dir: Path

    def __call__(self) -> Handler:
        """Load what the handler needs; raises InputError."""
        handle = self.load()

        def recorded(image_file: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
            fingerprint = file_digest(image_file.path)
            files, message = handle(image_file, image)
            names = [os.path.relpath(file, self.output_dir) for file in files]
            self.store.store(image_file.stem, fingerprint, {"files": names})
            return files, message

        return recorded


def _is_finished(image_file: ImageFile, store: ResultStore, output_dir: Path) -> bool:
    content = store.content(image_file.stem)
    files = content.get("files")
    if not isinstance(files, list) or not all((output_dir / str(one)).is_file() for one in files):
        return False
    try:
        return content.get("fingerprint") == file_digest(image_file.path)
    except InputError:  # reported with the others, when its turn comes
        return False
