"""The segments of one image of a COCO panoptic file, stuff and crowds included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segdemo.annotations import stored_ids
from segdemo.panoptic_quality import Segments


@dataclass(frozen=True)
class CocoSegments:
    """An image of ids in colours, and COCO's list of its segments."""

    image: Path
    segments: tuple[Mapping[str, Any], ...]

    def load(self) -> Segments:
        """Read them; raises InputError."""
        ids = stored_ids.read_label_image(self.image, self.image.name)
        return Segments(
            ids,
            {int(one["id"]): int(one["category_id"]) for one in self.segments},
            frozenset(int(one["id"]) for one in self.segments if one.get("iscrowd")),
            {int(one["id"]): int(one["area"]) for one in self.segments if "area" in one},
        )
