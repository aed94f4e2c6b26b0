"""A package that adds one thing of every kind to segdemo. Copy what you need; see extending.md.

What needs torch is imported inside of functions, so that command lines stay quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap, InputError, InstanceMasks, RGBImage
from segdemo.plugins import MaskFileFormat, Plugins
from segdemo.prompting.interface import PromptedMask, check_prompt
from segdemo.prompting.prompts import Prompt
from segdemo.settings import check_settings, setting

if TYPE_CHECKING:
    import torch

    from segdemo.diffegg.backbones.base import Backbone


def register(plugins: Plugins) -> None:
    """Add everything; segdemo calls this once a process."""
    from evaluation.data.layouts import Layout
    from segdemo.uis.methods import Method

    plugins.backbones["random-vit"] = load_random_vit
    plugins.uis_methods["bright"] = Method("Bright patches", BrightSettings, bright_patches)
    plugins.prompters["filled-box"] = lambda device, dtype: BoxFiller()
    plugins.mask_formats["boxes"] = MaskFileFormat(".boxes", read_boxes, write_boxes)
    plugins.edge_metrics["mean-on-boundaries"] = mean_on_boundaries
    plugins.data_sets["farm"] = Layout("Farm", ("annotations/farm.json",), note="an example")


# A backbone: what encodes an image and has self-attention (`Backbone`) ---------------------------


def load_random_vit(device: torch.device, dtype: torch.dtype) -> Backbone:
    """Return an untrained vision transformer for 64 pixels.

    Other families subclass `Backbone`; a diffusion model subclasses `Denoiser`.
    """
    import torch
    from transformers import ViTConfig, ViTModel

    from segdemo.diffegg.backbones.encoder import EncoderBackbone

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        patch_size=8,
    )
    network = ViTModel(config, add_pooling_layer=False).requires_grad_(False)
    network = network.to(device, dtype)
    return EncoderBackbone("random-vit", 64, network, (0.5,) * 3, (0.5,) * 3, class_tokens=1)


# A base method: masks (h, w) from patch features (h, w, d) (`Method`) ----------------------------


@dataclass(frozen=True)
class BrightSettings:
    """The options of the method; each appears on the command line and on the page."""

    quantile: float = setting(0.7, "Share of the patches that are left out.", minimum=0, maximum=1)
    crf: bool = setting(False, "Refine the masks' outlines by the image's colors.")

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        check_settings(self)


def bright_patches(
    features: npt.NDArray[np.float32], settings: BrightSettings
) -> list[npt.NDArray[np.bool_]]:
    """Return one mask of the patches with the longest features."""
    length = np.linalg.norm(features, axis=-1)
    return [length > np.quantile(length, settings.quantile)]


# A prompter: boxes and clicks to masks (`Prompter`) ----------------------------------------------


class BoxFiller:
    """Answers a box with the box itself, and a click with a square around it."""

    def __init__(self) -> None:
        """Begin without an image."""
        self._size: tuple[int, int] | None = None

    def set_image(self, image: RGBImage) -> None:
        """Choose the image (H, W, 3)."""
        self._size = image.shape[0], image.shape[1]

    def predict(self, prompt: Prompt) -> PromptedMask:
        """Fill the box; raises InputError for prompts that mean nothing."""
        check_prompt(prompt, self._size)
        assert self._size is not None
        mask = np.zeros(self._size, np.float32)
        if prompt.box is not None:
            left, top, right, bottom = np.asarray(prompt.box).round().astype(int).clip(0)
        else:
            x, y = np.asarray(prompt.points)[0].round().astype(int)
            left, top, right, bottom = max(0, x - 5), max(0, y - 5), x + 5, y + 5
        mask[top:bottom, left:right] = 1
        return PromptedMask(mask, 0.5)


# A mask format: one file to masks by image name, and back (`MaskFileFormat`) ---------------------


def write_boxes(masks: Mapping[str, InstanceMasks], path: Path) -> list[str]:
    """Write a line for each instance: image, height, width, left, top, right, bottom."""
    lines = []
    for name, found in masks.items():
        for mask in found.masks:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if rows.size:
                box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
                lines.append("\t".join(map(str, (name, *found.size, *box))))
    path.write_text("".join(f"{line}\n" for line in lines))
    return ["Masks became their boxes."]


def read_boxes(path: Path) -> dict[str, InstanceMasks]:
    """Read what `write_boxes` wrote; raises InputError, which names the line."""
    masks: dict[str, list[npt.NDArray[np.bool_]]] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        name, *values = line.split("\t")
        try:
            height, width, left, top, right, bottom = map(int, values)
        except ValueError as error:
            raise InputError(f"{path.name}, line {number}: give a name and six numbers.") from error
        mask = np.zeros((height, width), bool)
        mask[top:bottom, left:right] = True
        masks.setdefault(name, []).append(mask)
    return {name: InstanceMasks.unscored(np.stack(found)) for name, found in masks.items()}


# An edge metric: a number for an image's edge map (`EdgeMetric`) ---------------------------------


def mean_on_boundaries(edges: FloatMap, annotators: npt.NDArray[np.bool_]) -> float:
    """Return the mean edge probability where any annotator drew a boundary; 0 where none did."""
    drawn = annotators.any(0)
    return float(edges[drawn].mean()) if drawn.any() else 0.0
