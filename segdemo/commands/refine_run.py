"""One run of `refine`: refine each image, store its result, write all in one format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from pathlib import Path

from segdemo.annotations import MaskFormat, write_masks
from segdemo.batch import FileStatus, Handler, process_images
from segdemo.commands.refine_sources import EdgeProvider, MaskSource, file_digest
from segdemo.commands.resumable_run import ResumableRun, StoredMasks
from segdemo.datatypes import InputError, RGBImage
from segdemo.files import ImageFile, write_json
from segdemo.images import load_rgb
from segdemo.rip.settings import RIPSettings


@dataclass(frozen=True)
class RefineRun:
    """Images, the sources of their masks and edges, and the store of finished results.

    finished: stems of the images whose results are stored and up to date.
    """

    pictures: Sequence[ImageFile]
    masks: MaskSource
    edges: EdgeProvider
    settings: RIPSettings
    store: ResumableRun
    finished: set[str] = field(default_factory=set)

    def find_finished(self) -> tuple[list[ImageFile], list[ImageFile]]:
        """Return the images that an earlier run has finished, and those that changed since."""
        same: list[ImageFile] = []
        changed: list[ImageFile] = []
        for picture in self.pictures:
            earlier = self.store.fingerprint(picture.stem)
            if earlier is None:
                continue
            with suppress(InputError):  # reported with the others, when its turn comes
                now = self._fingerprint(picture)
                (same if now == earlier else changed).append(picture)
        return same, changed

    def process(self, resumed: Sequence[ImageFile]) -> Iterator[FileStatus]:
        """Refine and store all images but those resumed, and yield the outcome of each.

        Raises InputError where the edges' model cannot be loaded.
        """
        self.finished.update(picture.stem for picture in resumed)
        rest = [picture for picture in self.pictures if picture.stem not in self.finished]
        earlier = (FileStatus(picture.name, True, "resumed", 0, ()) for picture in resumed)
        return chain(earlier, process_images(rest, self._handle()) if rest else ())

    def write(self, output: Path, mask_format: MaskFormat, stuff: Collection[int]) -> list[str]:
        """Write all finished images at once, and remove the store.

        stuff: classes whose segments are no instances. Returns what the format could not hold.
        Raises InputError, and leaves the store as it is then.
        """
        finished = [picture for picture in self.pictures if picture.stem in self.finished]
        masks = StoredMasks(self.store, {picture.name: picture.stem for picture in finished})
        pixels = LazyImages(finished) if mask_format == "cutouts" else None
        try:
            with self.store.publish(output) as draft:
                sentences = write_masks(masks, draft, mask_format, pixels)
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

        def handle(picture: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
            fingerprint = self._fingerprint(picture)
            edge = find_edges(picture, image)
            found, sentence = self.masks.refine(picture.name, edge, self.settings)
            self.store.store(picture.stem, fingerprint, found)
            self.finished.add(picture.stem)
            return (), sentence

        return handle

    def _fingerprint(self, picture: ImageFile) -> str:
        """Return a hash of the photo, its masks and its edges."""
        parts = (
            file_digest(picture.path),
            self.masks.digest(picture.name),
            self.edges.digest(picture),
        )
        return hashlib.blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()


class LazyImages(Mapping[str, RGBImage]):
    """Images by name, read on access; the last one is cached."""

    def __init__(self, pictures: Iterable[ImageFile]) -> None:
        """Read nothing yet."""
        self._pictures = {picture.name: picture for picture in pictures}
        self._read = lru_cache(maxsize=1)(load_rgb)

    def __getitem__(self, name: str) -> RGBImage:
        """Return an image's pixels; raises InputError."""
        return self._read(self._pictures[name].path, name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._pictures)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._pictures)


def _mark_stuff(path: Path, stuff: Collection[int]) -> None:
    """Mark in a panoptic JSON the classes without instances."""
    content = json.loads(path.read_bytes())
    for category in content["categories"]:
        category["isthing"] = int(category["id"] not in stuff)
    write_json(content, path)
