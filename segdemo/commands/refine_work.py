"""What `refine` does to one image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from segdemo.commands.digests import file_digest
from segdemo.commands.mask_run import MakeMasks
from segdemo.commands.refine_sources import EdgeProvider, MaskSource
from segdemo.datatypes import InstanceMasks, RGBImage
from segdemo.files import ImageFile, write_json
from segdemo.rip.settings import RIPSettings


@dataclass(frozen=True)
class RefineWork:
    """Refines an image's masks by its edges; see `mask_run.MaskWork`."""

    masks: MaskSource
    edges: EdgeProvider
    settings: RIPSettings

    def fingerprint(self, image_file: ImageFile) -> str:
        """Return a hash of the photo, its masks and its edges; raises InputError."""
        parts = (
            file_digest(image_file.path),
            self.masks.digest(image_file.name),
            self.edges.digest(image_file),
        )
        return hashlib.blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()

    def load(self) -> MakeMasks:
        """Load what edges need; raises InputError."""
        find_edges = self.edges.finder()

        def refine(image_file: ImageFile, image: RGBImage) -> tuple[InstanceMasks, str]:
            edge = find_edges(image_file, image)
            return self.masks.refine(image_file.name, edge, self.settings)

        return refine


def mark_stuff(path: Path, stuff: Collection[int]) -> None:
    """Mark in a panoptic JSON the classes without instances."""
    content = json.loads(path.read_bytes())
    for category in content["categories"]:
        category["isthing"] = int(category["id"] not in stuff)
    write_json(content, path)
