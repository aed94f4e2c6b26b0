"""A folder of training material, drawn on the spot."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter


@pytest.fixture(scope="session")
def material_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of everything that training/README.md names."""
    folder = tmp_path_factory.mktemp("material")
    rng = np.random.default_rng(0)

    def photo() -> Image.Image:
        coarse = rng.integers(0, 256, (5, 6, 3), np.uint8)
        return Image.fromarray(coarse).resize((180, 150), Image.Resampling.BICUBIC)

    def disc(box: tuple[int, int, int, int], value: int) -> Image.Image:
        plane = Image.new("I", (180, 150))
        ImageDraw.Draw(plane).ellipse(box, fill=value)
        return plane

    def save(image: Image.Image, name: str) -> None:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file, lossless=True) if file.suffix == ".webp" else image.save(file)

    for number in range(2):
        for kind in ("photo", "3d", "emoji3d"):
            cutout = photo()
            cutout.putalpha(disc((20, 10, 160, 140), 255).convert("L"))
            save(cutout, f"cutouts_{kind}/{number}.webp")
        save(photo(), f"ccp/images/{number}.webp")
        save(disc((60, 10, 120, 149), 255).convert("1"), f"ccp/masks/{number}.png")
        save(photo(), f"coco/images/{number}.webp")
        labels = np.asarray(disc((5, 20, 90, 120), 1)) + np.asarray(disc((95, 20, 170, 130), 2))
        save(Image.fromarray(labels.astype(np.uint16)), f"coco/instances/{number}.png")
        save(photo(), f"photos_bsds/{number}.jpg")
        drawn = disc((30, 30, 120, 120), 255).convert("L").filter(ImageFilter.FIND_EDGES)
        save(drawn, f"photos_bsds_boundaries/{number}.png")
    square = '<path fill="currentColor" d="M100 100L400 100L400 400L100 400z"/>'
    icons = {"icons": {"square": {"body": square}}}
    (folder / "game-icons.json.gz").write_bytes(gzip.compress(json.dumps(icons).encode()))
    return folder
