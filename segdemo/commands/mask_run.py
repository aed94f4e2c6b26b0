"""A run that makes masks of each photo, stores them one by one, and writes all in one format."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

from segdemo.annotations import MaskFormat, write_masks
from segdemo.annotations.cutouts import ImagesByName
from segdemo.batch import FileStatus, Handler
from segdemo.commands.progress import report_progress
from segdemo.commands.resumable_run import ResultStore, ResumableRun, StoredMasks
from segdemo.commands.workers import Engine
from segdemo.datatypes import InputError, InstanceMasks, RGBImage
from segdemo.files import ImageFile
from segdemo.terminal import printable

MakeMasks = Callable[[ImageFile, RGBImage], tuple[InstanceMasks, str]]
"""Returns an image's masks and a sentence that tells of them; raises InputError."""


class MaskWork(Protocol):
    """How an image's masks are made. It must survive pickling: each worker gets a copy."""

    def fingerprint(self, image_file: ImageFile) -> str:
        """Return a hash of all that an image's masks are made from; raises InputError."""

    def load(self) -> MakeMasks:
        """Load models, once a worker; raises InputError."""


@dataclass(frozen=True)
class MaskRun:
    """Images, what makes their masks, and the run that keeps finished ones."""

    image_files: Sequence[ImageFile]
    work: MaskWork
    run: ResumableRun

    def execute(
        self,
        output: Path,
        mask_format: MaskFormat,
        engine: Engine,
        stuff: Collection[str] = (),
    ) -> int:
        """Make and write masks of all images; returns the exit code.

        Those that an earlier run has finished are not made again, which is printed, as is what the
        format could not hold. stuff: names of classes without instances. Raises InputError where
        nothing can be loaded or written, and while another run writes there; finished masks are
        kept then.
        """
        with self.run:
            resumed = self._find_finished()
            finished: set[str] = set()
            try:
                statuses = self._process(resumed, engine, finished)
                status = report_progress(statuses, len(self.image_files), output)
                if finished:
                    self._write(finished, output, mask_format, stuff)
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
        """Yield the outcomes of all images; adds the stems of those with masks to `finished`."""
        stems = {one.stem for one in resumed}
        rest = [one for one in self.image_files if one.stem not in stems]
        earlier = (FileStatus(one.name, True, "resumed", 0, ()) for one in resumed)
        now = engine.map_images(rest, Storing(self.work, self.run.store))
        for image_file, status in zip([*resumed, *rest], chain(earlier, now), strict=True):
            if status.succeeded:
                finished.add(image_file.stem)
            yield status

    def _write(
        self,
        finished: set[str],
        output: Path,
        mask_format: MaskFormat,
        stuff: Collection[str],
    ) -> None:
        """Write all finished masks at once, and remove the run's folder."""
        images = [one for one in self.image_files if one.stem in finished]
        masks = StoredMasks(self.run.store, {one.name: one.stem for one in images})
        photos = ImagesByName({one.name: one.path for one in images})
        try:
            with self.run.publish(output) as draft:
                sentences = write_masks(masks, draft, mask_format, photos, stuff=stuff)
        except OSError as error:
            raise InputError(
                f"{output} cannot be written ({error.strerror}): make room and give the same "
                f"command again; {self.run.folder} keeps what is finished."
            ) from error
        for sentence in sentences:
            print(printable(sentence))


@dataclass(frozen=True)
class Storing:
    """Makes masks of one image and stores them; a `Load`, see `workers`."""

    work: MaskWork
    store: ResultStore

    def __call__(self) -> Handler:
        """Load models; raises InputError."""
        make = self.work.load()

        def handle(image_file: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
            fingerprint = self.work.fingerprint(image_file)
            found, sentence = make(image_file, image)
            self.store.store_masks(image_file.stem, fingerprint, found)
            return (), sentence

        return handle


def part_folder(output: Path) -> Path:
    """Return the folder that keeps what is finished until all is."""
    return output.with_name(output.name + ".part")
