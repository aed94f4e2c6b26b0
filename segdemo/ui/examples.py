"""Example images that come with the program."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "assets" / "examples"

# those with the best masks first
_FIRST = ("scarlet_macaw", "polar_bear", "sheep", "dog")
PHOTOS = sorted(
    _FOLDER.glob("*.jpg"), key=lambda photo: ([*_FIRST, photo.stem].index(photo.stem), photo.stem)
)
INSTANCE_CHECK = [_FOLDER / "instances" / name for name in ("hens.jpg", "hens_instances.png")]
"""An image, its label map."""
MERGED_MASKS = [
    _FOLDER / "instances" / name for name in ("hens.jpg", "hens_merged.json", "hens_edge.png")
]
"""An image, masks of which some hold several instances, its edges."""
