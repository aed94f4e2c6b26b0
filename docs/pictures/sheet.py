"""Make a contact sheet: photos beside the default model's cut-outs, good and bad ones alike.

python -m docs.pictures.sheet [--gcompris /usr/share/gcompris-qt/rcc] [--model small-imagenet]
python -m docs.pictures.sheet --images BENCH/davis/images --output runs/sheets/davis.webp

The first writes docs/embedded_model.webp from all photographs of `docs.pictures.photos`, none
left out. The second does the same with any folder of images; keep what is not ours to show in
runs/, which git ignores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from docs.pictures.photos import GCOMPRIS, PHOTOS
from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.registry import DEFAULT_MODEL
from segdemo.images import SUFFIXES, cut_out, load_rgb

DOCS_SHEET = Path(__file__).parents[1] / "embedded_model.webp"
COLUMNS = 4  # photos in a row, each with its cut-out
TILE = (180, 150)  # pixels, of the photo and of its cut-out
CHECKS = 10  # pixels, of the chessboard behind a cut-out
SIDE = 900  # pixels of a photo's longer side at most
QUALITY = 80  # WebP


def main() -> int:
    """Segment the photos and write the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gcompris", type=Path, default=GCOMPRIS)
    parser.add_argument("--images", type=Path, help="a folder instead of the packages' photos")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--output", type=Path, default=DOCS_SHEET)
    arguments = parser.parse_args()
    if arguments.images and arguments.output == DOCS_SHEET:
        parser.error("--images needs --output: docs/ shows only photographs of packages")
    assistant = AnnotationAssistant(arguments.model)
    tiles = [
        pair(photo, assistant)
        for photo in tqdm(list(photos(arguments.gcompris, arguments.images)), file=sys.stderr)
    ]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arrange(tiles).save(arguments.output, quality=QUALITY, method=6)
    return 0


def photos(gcompris: Path, folder: Path | None) -> Iterator[Image.Image]:
    """Read the photos of a folder, or else those of the packages."""
    if folder is None:
        yield from (one.open(gcompris) for one in PHOTOS)
        return
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            yield Image.fromarray(load_rgb(path))


def pair(photo: Image.Image, assistant: AnnotationAssistant) -> Image.Image:
    """Return a photo and what the model cuts out of it, side by side."""
    photo.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    image = np.asarray(photo)
    result = assistant.segment(image, assistant.segment_defaults)
    cut = Image.fromarray(cut_out(image, result.mask))
    for shown in (photo, cut):
        shown.thumbnail(TILE, Image.Resampling.LANCZOS)
    rows, columns = np.indices((cut.height, cut.width)) // CHECKS
    board = np.where((rows + columns) % 2, 255, 215).astype(np.uint8)
    behind = Image.fromarray(board).convert("RGBA")
    tile = Image.new("RGB", (2 * TILE[0], TILE[1]), "white")
    tile.paste(photo, (0, 0))
    tile.paste(Image.alpha_composite(behind, cut).convert("RGB"), (photo.width, 0))
    return tile


def arrange(tiles: list[Image.Image]) -> Image.Image:
    """Arrange tiles in rows."""
    gap = 8
    width, height = tiles[0].width + gap, tiles[0].height + gap
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % COLUMNS * width, place // COLUMNS * height))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
