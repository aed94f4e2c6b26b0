"""PQ on a fixed set of images during training, and images to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from PIL import Image

from segdemo.annotations.palette import colour
from segdemo.datatypes import RGBImage
from segdemo.images import load_rgb
from segdemo.panoptic_quality import SegmentCounts, Segments, count_segments, panoptic_quality
from training.loop.checkpoints import read_rows
from training.loop.trainer import autocast
from training.model_card import PANELS
from training.panels import side_by_side
from training.panoptic.data import PanopticImage
from training.panoptic.network import PanopticModel

PANEL_SIDE = 320  # pixels of the longer side


@dataclass(frozen=True)
class PanopticValidation:
    """Measures predictions at the images' own size, by the code that `evaluation.wps` uses.

    run_dir: its `panels/` gets image, truth and prediction of the first `panels` images. Several
    processes share the images; each returns the same metrics.
    """

    model: PanopticModel
    images: list[PanopticImage]
    run_dir: Path
    size: int
    precision: str = "fp32"
    panels: int = 4

    def __call__(self) -> dict[str, float]:
        """Return PQ, SQ and RQ in percent, of all classes, of things and of stuff."""
        state = PartialState()
        (self.run_dir / PANELS).mkdir(parents=True, exist_ok=True)
        number = len(read_rows(self.run_dir)) + 1
        place = {one.number: i for i, one in enumerate(self.model.classes)}
        sums = torch.zeros(len(place), len(SegmentCounts()), dtype=torch.float64)
        for index in range(state.process_index, len(self.images), state.num_processes):
            image = self.images[index]
            photo, truth = load_rgb(image.photo), image.reader.load()
            with autocast(self.model.network.device, self.precision):
                found = self.model.predict(photo, self.size)
            for category, counts in count_segments(truth, found).items():
                sums[place[category]] += torch.tensor(counts, dtype=torch.float64)
            if index < self.panels:
                file = f"{number:03d}-{index:02d}-{image.photo.stem}.png"
                panel(photo, truth, found).save(self.run_dir / PANELS / file)
        if state.num_processes > 1:
            sums = reduce(sums.to(state.device), "sum").cpu()
        totals = {
            one.number: SegmentCounts(row[0], *(round(count) for count in row[1:]))
            for one, row in zip(self.model.classes, sums.tolist(), strict=True)
            if any(row)
        }
        things = {one.number: one.is_thing for one in self.model.classes}
        quality = panoptic_quality([totals], things)
        return {name: 100 * value for name, value in quality.items()}


def panel(photo: RGBImage, truth: Segments, found: Segments) -> Image.Image:
    """Return image, truth and prediction side by side, void in black."""
    tiles = (photo, *(_coloured(one) for one in (truth, found)))
    return side_by_side(tiles, PANEL_SIDE, Image.Resampling.BICUBIC)


def _coloured(segments: Segments) -> RGBImage:
    pixels = np.zeros((*segments.ids.shape, 3), np.uint8)
    for number in segments.categories:
        pixels[segments.ids == number] = colour(number)
    return pixels
