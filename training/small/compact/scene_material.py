"""The compact models' files in the form that scenes are composed from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from training.small.compact.material import CompactMaterial, LabelledFile
from training.small.scenes.material import (
    LONGEST_CUTOUT,
    LabelledPhoto,
    Material,
    load_cutout,
    load_silhouettes,
)

KINDS = {
    "photo": 0.14,
    "3d": 0.14,
    "emoji3d": 0.05,
    "masked": 0.35,
    "person": 0.1,
    "thing": 0.15,
    "silhouette": 0.07,
}
"""What is pasted, and how often; masked: objects cut out of photos with soft masks."""


class SceneMaterial(Material):
    """A `Material` of one side of the split; objects are decoded when they are drawn."""

    def __init__(self, files: CompactMaterial) -> None:
        """List the files by what they are in a scene."""
        self.silhouettes = load_silhouettes(files.icons) if files.icons else []
        self.cutouts = {
            kind: CutoutFiles([f for f in files.cutouts if f.parent.name == f"cutouts_{kind}"])
            for kind in ("photo", "3d", "emoji3d")
        } | {"masked": MaskedPhotos(files.pseudo)}
        self.people = [LabelledPhoto(pair.image, pair.labels) for pair in files.people]
        self.photos = [LabelledPhoto(pair.image, pair.labels) for pair in files.instances]
        self.subjects = [LabelledPhoto(pair.image, pair.labels) for pair in files.pseudo]
        self.backgrounds = files.backgrounds
        self.kinds = self.kinds_present(KINDS)


class CutoutFiles(Sequence[Image.Image]):
    """Cut-outs (RGBA) that are decoded when asked for."""

    def __init__(self, files: list[Path]) -> None:
        """List the files."""
        self._files = files

    def __len__(self) -> int:
        """Count the files."""
        return len(self._files)

    def __getitem__(self, index: int) -> Image.Image:  # type: ignore[override]
        """Decode one."""
        return load_cutout(self._files[index])


class MaskedPhotos(Sequence[Image.Image]):
    """Photos with soft masks as cut-outs (RGBA)."""

    def __init__(self, pairs: list[LabelledFile]) -> None:
        """List the photos."""
        self._pairs = pairs

    def __len__(self) -> int:
        """Count the photos."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> Image.Image:  # type: ignore[override]
        """Cut the object out of one photo."""
        pair = self._pairs[index]
        cutout = Image.open(pair.image).convert("RGB")
        mask = Image.open(pair.labels).convert("L").resize(cutout.size, Image.Resampling.BILINEAR)
        cutout.putalpha(mask)
        solid = mask.point(lambda value: 255 if value > 64 else 0)
        cutout = cutout.crop(solid.getbbox() or (0, 0, *cutout.size))
        cutout.thumbnail((LONGEST_CUTOUT, LONGEST_CUTOUT), reducing_gap=2.0)
        return cutout
