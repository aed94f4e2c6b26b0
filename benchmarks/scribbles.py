"""Compare two random walks on scribbles: absorbing (first seed met) and RIP's (likeliest at last).

    python -m benchmarks.scribbles --images DIR --masks DIR

--masks: label maps (PNG, 0 = background, 65535 = ignore) with the photos' names. Two questions are
asked of each photo, with its predicted edges: "objects", where each of up to eight objects has a
stroke along its middle and the background one around the photo, on an empty canvas; and "pairs",
where the union of two touching objects is divided by a stroke in each. Prints the mean IoU of the
objects.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from evaluation.metrics.dis import iou
from segdemo.assistant import AnnotationAssistant
from segdemo.edge_files import gradient_edges
from segdemo.editing.strokes import stroke_mask
from segdemo.images import load_rgb
from segdemo.rip.absorbing import first_seed
from segdemo.rip.seeded import split_by_seeds

Mask = npt.NDArray[np.bool_]
LEAST_AREA = 32 * 32  # pixels; smaller objects are left out
MOST_OBJECTS, MOST_PAIRS = 8, 4  # a photo
WALKS: dict[str, Callable[..., npt.NDArray[np.int32]]] = {
    "absorbing": first_seed,
    "RIP's": split_by_seeds,
}


def stroke(mask: Mask) -> Mask:
    """Draw a stroke of 5 pixels along the middle of a mask, as a hasty person does."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    pieces, _ = ndimage.label(depth > 0.5 * depth.max())
    inner = np.argwhere(pieces == pieces[np.unravel_index(depth.argmax(), depth.shape)])
    centred = inner - inner.mean(0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0] if len(inner) > 1 else np.ones(2)
    along = centred @ axis
    path = []
    for target in np.quantile(along, np.linspace(0.1, 0.9, 6)):
        near = inner[np.abs(along - target) <= 1.5]
        row, column = near[len(near) // 2] if len(near) else inner[np.abs(along - target).argmin()]
        path.append((column + 0.5, row + 0.5))
    height, width = mask.shape
    return stroke_mask((height, width), path, 2.5)


def frame(size: tuple[int, int]) -> Mask:
    """Draw the stroke around a photo of (height, width), 2 % from its border."""
    height, width = size
    inset = round(0.02 * max(size))
    marked = np.zeros(size, bool)
    marked[inset : height - inset, inset : width - inset] = True
    marked[inset + 5 : height - inset - 5, inset + 5 : width - inset - 5] = False
    return marked


def objects_of(labels: npt.NDArray[np.integer]) -> list[Mask]:
    """Return the objects that are large enough, the largest first."""
    areas = np.bincount(labels[labels < 65535].ravel())
    numbers = [n for n in np.argsort(-areas) if n and areas[n] >= LEAST_AREA]
    return [labels == n for n in numbers[:MOST_OBJECTS]]


def questions(masks: list[Mask]) -> Iterator[tuple[str, Mask, npt.NDArray[np.int32], list[Mask]]]:
    """Yield what is asked of a photo: kind, area to divide, seeds from 1, and the true parts."""
    background = len(masks) + 1
    seeds = np.where(frame(masks[0].shape), background, 0).astype(np.int32)
    seeds[np.logical_or.reduce(masks)] = 0
    for number, mask in enumerate(masks, start=1):
        seeds[stroke(mask) & mask] = number
    yield "objects", np.ones(masks[0].shape, bool), seeds, masks
    touching = (
        pair
        for pair in itertools.combinations(masks, 2)
        if (ndimage.binary_dilation(pair[0], iterations=2) & pair[1]).sum() > 20
    )
    for one, other in itertools.islice(touching, MOST_PAIRS):
        marked = np.where(stroke(one) & one, 1, 0) + np.where(stroke(other) & other, 2, 0)
        yield "pairs", one | other, marked.astype(np.int32), [one, other]


def main(argv: list[str] | None = None) -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=20, help="photos")
    parser.add_argument("--edges", choices=("model", "gradient"), default="model")
    arguments = parser.parse_args(argv)
    assistant = AnnotationAssistant()
    found: dict[tuple[str, str], list[float]] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    for file in sorted(arguments.masks.glob("*.png"))[: arguments.limit]:
        masks = objects_of(np.asarray(Image.open(file)))
        photo = load_rgb(arguments.images / f"{file.stem}.jpg")
        if not masks:
            continue
        model = arguments.edges == "model"
        edge = (assistant.edges(photo) if model else gradient_edges(photo)).probability
        for kind, area, seeds, truth in questions(masks):
            for name, walk in WALKS.items():
                started = time.perf_counter()
                parts = walk(area, seeds, edge)
                seconds.setdefault((kind, name), []).append(time.perf_counter() - started)
                overlaps = [iou(parts == number, part) for number, part in enumerate(truth, 1)]
                found.setdefault((kind, name), []).extend(overlaps)
        print(f"{file.stem}: {len(masks)} objects", file=sys.stderr, flush=True)
    print(f"{'question':10}{'walk':12}{'objects':>8}{'mean IoU':>10}{'median s':>10}")
    for kind, name in sorted(found):
        overlaps, times = found[kind, name], seconds[kind, name]
        figures = f"{len(overlaps):8}{np.mean(overlaps):10.3f}{np.median(times):10.2f}"
        print(f"{kind:10}{name:12}{figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
