"""A run that makes masks of each photo, stores them one by one, and writes all in one format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from segdemo.annotations import MaskFormat, write_masks
from segdemo.annotations.cutouts import ImagesByName
from segdemo.annotations.stored_runs import to_json
from segdemo.commands.resumable_run import ResumableRun, StoredMasks
from segdemo.commands.stored_run import MakeResult, StoredRun
from segdemo.commands.workers import Engine
from segdemo.datatypes import InstanceMasks, RGBImage
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
        """Make and write masks of all images, see `StoredRun.execute`; returns the exit code.

        What the format could not hold is printed. stuff: names of classes without instances.
        """

        def write(images: Sequence[ImageFile]) -> None:
            masks = StoredMasks(self.run.store, {one.name: one.stem for one in images})
            photos = ImagesByName({one.name: one.path for one in images})
            with self.run.publish(output) as draft:
                sentences = write_masks(masks, draft, mask_format, photos, stuff=stuff)
            for sentence in sentences:
                print(printable(sentence))

        stored = StoredRun(self.image_files, MasksAsJSON(self.work), self.run)
        return stored.execute(output, engine, write)


@dataclass(frozen=True)
class MasksAsJSON:
    """Masks as results that are stored; see `stored_run.ImageWork`."""

    work: MaskWork

    def fingerprint(self, image_file: ImageFile) -> str:
        """See `MaskWork`."""
        return self.work.fingerprint(image_file)

    def load(self) -> MakeResult:
        """Load models, once a worker; raises InputError."""
        make = self.work.load()

        def result(image_file: ImageFile, image: RGBImage) -> tuple[dict[str, Any], str]:
            found, sentence = make(image_file, image)
            return to_json(found), sentence

        return result
