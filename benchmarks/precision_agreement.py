"""How far masks of `--precision auto` are from those of float32, and how much faster they are.

    python -m benchmarks.precision_agreement --images BENCH/davis/images BENCH/ccp/images
    python -m benchmarks.precision_agreement --images BENCH --every 5 --precision bf16
    python -m benchmarks.precision_agreement --images BENCH --precision fp32 --rounded unet

Each image is segmented both ways one after the other, with the settings that suit the model unless
flags of `segdemo segment` say otherwise, and both masks are cut at 0.5. Prints a line for each
folder: the mean IoU and the worst. Seconds are of the processor (all threads), so that what else
runs on the machine counts little. 0 where the mean of all is at least 0.99 and the worst at least
0.97, else 1. --rounded puts single networks into bf16, whatever --precision does.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.checkpoints.registry import DEFAULT_MODEL
from segdemo.commands.arguments import add_settings, given
from segdemo.datatypes import FloatMap, RGBImage
from segdemo.diffdis.loading import load_diffdis
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffusion import pick_device
from segdemo.files import find_images
from segdemo.images import load_rgb
from segdemo.precision import cast
from segdemo.settings import PRECISION_NAMES

MEAN_BAR, WORST_BAR = 0.99, 0.97
NETWORKS = ("autoencoder", "photo_features", "unet")
"""Those of a `DiffDISPipeline` that can be rounded alone."""


def agreement(first: FloatMap, second: FloatMap) -> float:
    """Return the IoU of two soft masks (H, W) cut at 0.5; 1 where both are empty."""
    one, other = first > 0.5, second > 0.5
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def timed(
    pipeline: DiffDISPipeline, image: RGBImage, settings: DiffDISSettings, spent: list[float]
) -> FloatMap:
    """Segment; adds the processor's seconds to the list."""
    started = time.process_time()
    mask = pipeline(image, settings, edges=False).mask
    spent.append(time.process_time() - started)
    return mask


def line(name: str, values: Sequence[float]) -> str:
    """Describe the IoUs of some images."""
    return f"{name:32} {len(values):4} images  mean {np.mean(values):.4f}  worst {min(values):.4f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--precision", choices=PRECISION_NAMES, default="auto")
    parser.add_argument("--rounded", nargs="+", choices=NETWORKS, default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    add_settings(parser, DiffDISSettings)
    options = parser.parse_args(argv)
    plain, fast = (
        load_diffdis(locate_diffdis(options.model), pick_device(options.device), precision)
        for precision in ("fp32", options.precision)
    )
    for name in options.rounded:
        cast(getattr(fast, name), fast.device, torch.bfloat16)
    card = locate_diffdis(options.model).card.segment
    chosen: dict[str, Any] = dict(card) | given(options, DiffDISSettings)
    settings = DiffDISSettings(**chosen)
    seconds: tuple[list[float], list[float]] = ([], [])
    everything: list[float] = []
    for folder in options.images:
        found: list[float] = []
        for file in find_images([folder])[:: options.every]:
            image = load_rgb(file.path)
            exact_mask = timed(plain, image, settings, seconds[0])
            found.append(agreement(exact_mask, timed(fast, image, settings, seconds[1])))
        if found:
            print(line(str(folder), found), flush=True)
        everything += found
    if not everything:
        parser.error(f"no images in {', '.join(map(str, options.images))}")
    print(line("all", everything))
    exact, rounded = map(sum, seconds)
    way = " and ".join([options.precision, *(f"{name} in bf16" for name in options.rounded)])
    print(
        f"{exact / len(everything):.2f} s of the processor an image in fp32, "
        f"{rounded / len(everything):.2f} s with {way}: "
        f"{exact / rounded:.2f} times as fast"
    )
    return 0 if np.mean(everything) >= MEAN_BAR and min(everything) >= WORST_BAR else 1


if __name__ == "__main__":
    sys.exit(main())
