"""One run of `refine`: refine each image, store its result, write all in one format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from segdemo.annotations import MaskFormat, write_masks
from segdemo.annotations.cutouts import ImagesByName
from segdemo.batch import FileStatus, Handler, process_images
from segdemo.commands.refine_sources import EdgeProvider, MaskSource, file_digest
from segdemo.commands.resumable_run import ResumableRun, StoredMasks
from segdemo.datatypes import InputError, RGBImage
from segdemo.files import ImageFile, write_json
from segdemo.rip.settings import RIPSettings


@dataclass(frozen=True)
class RefineRun:
    """Images, the sources of their masks and edges, and the store of finished results.

    finished: stems of the images whose results are stored and up to date.
    """

    image_files: Sequence[ImageFile]
    masks: MaskSource
    edges: EdgeProvider
    settings: RIPSettings
    store: ResumableRun
    finished: set[str] = field(default_factory=set)

    def find_finished(self) -> tuple[list[ImageFile], list[ImageFile]]:
        """Return the images that an earlier run has finished, and those that changed since."""
        same: list[ImageFile] = []
        changed: list[ImageFile] = []
        for image_file in self.image_files:
            earlier = self.store.fingerprint(image_file.stem)
            if earlier is None:
                continue
            with suppress(InputError):  # reported with the others, when its turn comes
                now = self._fingerprint(image_file)
                (same if now == earlier else changed).append(image_file)
        return same, changed

    def process(self, resumed: Sequence[ImageFile]) -> Iterator[FileStatus]:
        """Refine and store all images but those resumed, and yield the outcome of each.

        Raises InputError where the edges' model cannot be loaded.
        """
        self.finished.update(file.stem for file in resumed)
        rest = [
            image_file for image_file in self.image_files if image_file.stem not in self.finished
        ]
        earlier = (FileStatus(file.name, True, "resumed", 0, ()) for file in resumed)
        return chain(earlier, process_images(rest, self._handle()) if rest else ())

    def write(self, output: Path, mask_format: MaskFormat, stuff: Collection[int]) -> list[str]:
        """Write all finished images at once, and remove the store.

        stuff: classes whose segments are no instances. Returns what the format could not hold.
        Raises InputError, and leaves the store as it is then.
        """
        finished = [
            image_file for image_file in self.image_files if image_file.stem in self.finished
        ]
        masks = StoredMasks(self.store, {file.name: file.stem for file in finished})
        photos = ImagesByName({file.name: file.path for file in finished})
        try:
            with self.store.publish(output) as draft:
                sentences = write_masks(masks, draft, mask_format, photos)
                if mask_format == "panoptic":
                    _mark_stuff(draft, stuff)
        except OSError as error:
            raise InputError(
                f"{output} cannot be written ({error.strerror}): make room and give the same "
                f"command again; {self.store.folder} keeps what is finished."
            ) from error
        return sentences

    def _handle(self) -> Handler:
        find_edges = self.edges.finder()

        def handle(image_file: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
            fingerprint = self._fingerprint(image_file)
            edge = find_edges(image_file, image)
            found, sentence = self.masks.refine(image_file.name, edge, self.settings)
            self.store.store(image_file.stem, fingerprint, found)
            self.finished.add(image_file.stem)
            return (), sentence

        return handle

    def _fingerprint(self, image_file: ImageFile) -> str:
        """Return a hash of the photo, its masks and its edges."""
        parts = (
            file_digest(image_file.path),
            self.masks.digest(image_file.name),
            self.edges.digest(image_file),
        )
        return hashlib.blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()


def _mark_stuff(path: Path, stuff: Collection[int]) -> None:
    """Mark in a panoptic JSON the classes without instances."""
    content = json.loads(path.read_bytes())
    for category in content["categories"]:
        category["isthing"] = int(category["id"] not in stuff)
    write_json(content, path)
