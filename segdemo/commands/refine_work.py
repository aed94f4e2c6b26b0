"""What `refine` does to one image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from segdemo.commands.digests import file_digest
from segdemo.commands.mask_run import MakeMasks
from segdemo.commands.refine_sources import EdgeProvider, MaskSource
from segdemo.datatypes import InputError, InstanceMasks, Points, RGBImage
from segdemo.files import ImageFile
from segdemo.rip.settings import RIPSettings


@dataclass(frozen=True)
class RefineWork:
    """Refines an image's masks by its edges; see `mask_run.MaskWork`.

    points: by the image's name, one on each object; None: there are no point annotations.
    """

    masks: MaskSource
    edges: EdgeProvider
    settings: RIPSettings
    points: Mapping[str, Points] | None = None

    def fingerprint(self, image_file: ImageFile) -> str:
        """Return a hash of the photo, its masks, edges and points; raises InputError."""
        points = self._points_of(image_file.name)
        parts = (
            file_digest(image_file.path),
            self.masks.digest(image_file.name),
            self.edges.digest(image_file),
            *([] if points is None else [points.tobytes().hex()]),
        )
        return hashlib.blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()

    def load(self) -> MakeMasks:
        """Load what edges need; raises InputError."""
        find_edges = self.edges.finder()

        def refine(image_file: ImageFile, image: RGBImage) -> tuple[InstanceMasks, str]:
            edge = find_edges(image_file, image)
            points = self._points_of(image_file.name)
            return self.masks.refine(image_file.name, edge, self.settings, points)

        return refine

    def _points_of(self, name: str) -> Points | None:
        if self.points is None:
            return None
        if name not in self.points:
            raise InputError("--points has no points of this photo: check the names.")
        return self.points[name]
