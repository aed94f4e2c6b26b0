"""A run that stores a result of each photo, one by one, and writes one output when all are made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from segdemo.batch import FileStatus, Handler
from segdemo.commands.progress import report_progress
from segdemo.commands.resumable_run import ResultStore, ResumableRun
from segdemo.commands.workers import Engine
from segdemo.datatypes import InputError, RGBImage
from segdemo.files import ImageFile
from segdemo.terminal import printable

MakeResult = Callable[[ImageFile, RGBImage], tuple[Mapping[str, Any], str]]
"""Returns an image's result, as JSON holds it, and a sentence about it; raises InputError."""


class ImageWork(Protocol):
    """How an image's result is made. It must survive pickling: each worker gets a copy."""

    def fingerprint(self, image_file: ImageFile) -> str:
        """Return a hash of all that an image's result is made from; raises InputError."""

    def load(self) -> MakeResult:
        """Load models, once a worker; raises InputError."""


@dataclass(frozen=True)
class StoredRun:
    """Images, what makes their results, and the run that keeps finished ones."""

    image_files: Sequence[ImageFile]
    work: ImageWork
    run: ResumableRun

    def execute(
        self, output: Path, engine: Engine, write: Callable[[Sequence[ImageFile]], None]
    ) -> int:
        """Make the results of all images and write them to `output`; returns the exit code.

        Those that an earlier run has finished are not made again, which is printed. write: called
        with the images that have a result, if there are any. Raises InputError where nothing can be
        loaded or written, and while another run writes there; finished results are kept then.
        """
        with self.run:
            resumed = self._find_finished()
            finished: set[str] = set()
            try:
                statuses = self._process(resumed, engine, finished)
                status = report_progress(statuses, len(self.image_files), output)
                if finished:
                    self._write(finished, output, write)
            except KeyboardInterrupt:
                if not self.run.store.is_empty:
                    print(
                        f"Finished photos are kept in {self.run.folder}: the same command "
                        "resumes from there.",
                        file=sys.stderr,
                    )
                raise
        return status

    def _find_finished(self) -> list[ImageFile]:
        """Return the images that an earlier run has finished and that have not changed since."""
        same: list[ImageFile] = []
        changed = 0
        for image_file in self.image_files:
            earlier = self.run.store.fingerprint(image_file.stem)
            if earlier is None:
                continue
            with suppress(InputError):  # reported with the others, when its turn comes
                if self.work.fingerprint(image_file) == earlier:
                    same.append(image_file)
                else:
                    changed += 1
        if same or changed:
            sentence = (
                f"{len(same)} of {len(self.image_files)} photos are resumed from {self.run.folder}"
            )
            if changed:
                verb = "is" if changed == 1 else "are"
                sentence += f", {changed} changed since and {verb} done again"
            print(printable(f"{sentence}."))
        return same

    def _process(
        self, resumed: Sequence[ImageFile], engine: Engine, finished: set[str]
    ) -> Iterator[FileStatus]:
        """Yield the outcomes of all images; adds the stems of those with results to `finished`."""
        stems = {one.stem for one in resumed}
        rest = [one for one in self.image_files if one.stem not in stems]
        earlier = (FileStatus(one.name, True, "resumed", 0, ()) for one in resumed)
        now = engine.map_images(rest, Storing(self.work, self.run.store))
        for image_file, status in zip([*resumed, *rest], chain(earlier, now), strict=True):
            if status.succeeded:
                finished.add(image_file.stem)
            yield status

    def _write(
        self, finished: set[str], output: Path, write: Callable[[Sequence[ImageFile]], None]
    ) -> None:
        try:
            write([one for one in self.image_files if one.stem in finished])
        except OSError as error:
            raise InputError(
                f"{output} cannot be written ({error.strerror}): make room and give the same "
                f"command again; {self.run.folder} keeps what is finished."
            ) from error


@dataclass(frozen=True)
class Storing:
    """Makes the result of one image and stores it; a `Load`, see `workers`."""

    work: ImageWork
    store: ResultStore

    def __call__(self) -> Handler:
        """Load models; raises InputError."""
        make = self.work.load()

        def handle(image_file: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
            fingerprint = self.work.fingerprint(image_file)
            result, sentence = make(image_file, image)
            self.store.store(image_file.stem, fingerprint, result)
            return (), sentence

        return handle


def part_folder(output: Path) -> Path:
    """Return the folder that keeps what is finished until all is."""
    return output.with_name(output.name + ".part")
