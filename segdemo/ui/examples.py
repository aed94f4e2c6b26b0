"""Example images that come with the program."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "assets" / "examples"

PHOTOS = sorted(_FOLDER.glob("*.jpg"))
INSTANCE_CHECK = [_FOLDER / "instances" / name for name in ("hens.jpg", "hens_instances.png")]
"""An image, its label map."""
MERGED_MASKS = [
    _FOLDER / "instances" / name for name in ("hens.jpg", "hens_merged.json", "hens_edge.png")
]
"""An image, masks of which some hold several instances, its edges."""
