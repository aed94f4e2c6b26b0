"""What `refine` does with its photos, between its flags and what it prints."""

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
from segdemo.annotations.coco import write_json
from segdemo.batch import FileStatus, Handle, PictureFile, work_through
from segdemo.commands.kept import KeptPhotos, MasksAsKept
from segdemo.commands.refine_sources import EdgeSource, MaskSource, file_digest
from segdemo.datatypes import InputError, RGBImage
from segdemo.images import load_rgb
from segdemo.rip.settings import RIPSettings


@dataclass(frozen=True)
class Refining:
    """Photos, where their masks and edges come from, and where what is done is kept.

    done: stems of the photos whose results are kept and hold.
    """

    pictures: Sequence[PictureFile]
    masks: MaskSource
    edges: EdgeSource
    settings: RIPSettings
    kept: KeptPhotos
    done: set[str] = field(default_factory=set)

    def taken_over(self) -> tuple[list[PictureFile], list[PictureFile]]:
        """Return the photos an earlier run has done, and those that changed since."""
        same: list[PictureFile] = []
        changed: list[PictureFile] = []
        for picture in self.pictures:
            earlier = self.kept.fingerprint(picture.stem)
            if earlier is None:
                continue
            with suppress(InputError):  # reported with the others, when its turn comes
                now = self._fingerprint(picture)
                (same if now == earlier else changed).append(picture)
        return same, changed

    def statuses(self, taken: Sequence[PictureFile]) -> Iterator[FileStatus]:
        """Refine and keep all photos but those taken over, and yield how each went.

        Raises InputError where the edges' model cannot be loaded.
        """
        self.done.update(picture.stem for picture in taken)
        rest = [picture for picture in self.pictures if picture.stem not in self.done]
        over = (FileStatus(picture.name, True, "taken over", 0, ()) for picture in taken)
        return chain(over, work_through(rest, self._handle()) if rest else ())

    def write(self, output: Path, mask_format: MaskFormat, stuff: Collection[int]) -> list[str]:
        """Write all photos that are done in one go, and remove what was kept.

        stuff: classes whose segments are no instances. Returns what the format could not hold.
        Raises InputError, and leaves what was kept as it is then.
        """
        done = [picture for picture in self.pictures if picture.stem in self.done]
        masks = MasksAsKept(self.kept, {picture.name: picture.stem for picture in done})
        pixels = PixelsAsRead(done) if mask_format == "cutouts" else None
        try:
            with self.kept.replaced_by(output) as draft:
                sentences = write_masks(masks, draft, mask_format, pixels)
                if mask_format == "panoptic":
                    _mark_stuff(draft, stuff)
        except OSError as error:
            raise InputError(
                f"{output} cannot be written ({error.strerror}): make room and give the same "
                f"command again; {self.kept.folder} keeps what is done."
            ) from error
        return sentences

    def _handle(self) -> Handle:
        find_edges = self.edges.finder()

        def handle(picture: PictureFile, image: RGBImage) -> tuple[Iterable[Path], str]:
            fingerprint = self._fingerprint(picture)
            edge = find_edges(picture, image)
            found, sentence = self.masks.refine(picture.name, edge, self.settings)
            self.kept.keep(picture.stem, fingerprint, found)
            self.done.add(picture.stem)
            return (), sentence

        return handle

    def _fingerprint(self, picture: PictureFile) -> str:
        """Return a number that changes with the photo, its masks and its edges."""
        parts = (
            file_digest(picture.path),
            self.masks.digest(picture.name),
            self.edges.digest(picture),
        )
        return hashlib.blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()


class PixelsAsRead(Mapping[str, RGBImage]):
    """Photos by name, read when asked for; the last one is remembered."""

    def __init__(self, pictures: Iterable[PictureFile]) -> None:
        """Read nothing yet."""
        self._pictures = {picture.name: picture for picture in pictures}
        self._read = lru_cache(maxsize=1)(load_rgb)

    def __getitem__(self, name: str) -> RGBImage:
        """Return a photo's pixels; raises InputError."""
        return self._read(self._pictures[name].path, name)

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._pictures)

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self._pictures)


def _mark_stuff(path: Path, stuff: Collection[int]) -> None:
    """Say in a panoptic JSON which classes have no instances."""
    content = json.loads(path.read_bytes())
    for category in content["categories"]:
        category["isthing"] = int(category["id"] not in stuff)
    write_json(content, path)
