"""Train DiffDIS to answer boxes and clicks: its one step, with a map of the prompt.

    python -m training.small.compact.one_step_prompting --data_dir material

The U-Net sees a window as DiffDIS sees an image, and the prompt's map beside the photo features.
Its step starts from the latents of the mask so far. The same command goes on where it was stopped.
`unet/` in the folder has the averaged weights with the best validation.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.datatypes import InputError
from segdemo.diffdis.loading import load_diffdis, save_unet
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.diffusion import decode_latents, pick_device
from segdemo.prompting.prompts import CHANNELS
from segdemo.settings import setting
from training.loop.settings import same_as
from training.program import run_program
from training.small.compact.prompt_data import PromptBatch
from training.small.compact.prompter_training import Answer, PrompterSettings, train_prompter
from training.small.compact.subject import mask_loss

EDGE_WEIGHT = 0.5  # of the edge latents' errors
COARSEST = 64  # pixels of a cell of the photo features' last level


@dataclass(frozen=True)
class OneStepSettings(PrompterSettings):
    """What the network begins with, beside what all prompters need."""

    output_dir: str = same_as(PrompterSettings, "output_dir", default="runs/one_step")
    start_from: str = setting(
        "small-imagenet", "DiffDIS model with photo features, by name or folder."
    )
    window_size: int = same_as(PrompterSettings, "window_size", default=192)

    def __post_init__(self) -> None:
        """Check the sides of windows, which the network halves; raises InputError."""
        super().__post_init__()
        if self.window_size % COARSEST:
            raise InputError(f"window_size {self.window_size}: choose a multiple of {COARSEST}.")


class OneStepPrompter:
    """A DiffDIS pipeline whose U-Net also sees prompt maps."""

    def __init__(self, pipeline: DiffDISPipeline) -> None:
        """Widen the U-Net of a pipeline, which is left as it was.

        Raises InputError for one without photo features or without the edge task.
        """
        if pipeline.photo_features is None or pipeline.tasks != 2:
            raise InputError(
                "The one step with prompts begins with a DiffDIS model that sees photo features "
                "and finds edges: give --start_from small-imagenet."
            )
        self.pipeline = copy.copy(pipeline)
        self.pipeline.unet = with_prompts(pipeline.unet)

    @property
    def network(self) -> DiffDISUNet:
        """The U-Net."""
        return self.pipeline.unet

    def look(self, batch: PromptBatch) -> Callable[[torch.Tensor], Answer]:
        """Return what answers prompts for the windows of a batch.

        Its loss is of the latents of mask and edge, and of the decoded mask.
        """
        pipeline = self.pipeline
        with torch.no_grad():
            latents = pipeline.encode(batch.images)  # (B, C, S/8, S/8)
            pyramid = pipeline.condition_pyramid(batch.images)
            count = len(self.network.injectors)
            reduced, features = pyramid[:count], pyramid[count:]
            masks, edges = (self._encode_maps(maps) for maps in (batch.masks, batch.edges))

        def answer(prompts: torch.Tensor) -> Answer:
            levels = *reduced, *(with_map(level, prompts) for level in features)
            start = self._start(prompts).repeat(2, 1, 1, 1)  # the mask's and the edge's
            mask, edge = pipeline.denoise(latents, levels, start).chunk(2)  # (B, C, S/8, S/8) each
            decoded = decode_latents(pipeline.autoencoder, mask).mean(1, keepdim=True)
            found = decoded / 2 + 0.5  # (B, 1, S, S)
            loss = F.mse_loss(mask, masks) + EDGE_WEIGHT * F.mse_loss(edge, edges)
            return Answer(found.detach().clamp(0, 1), loss + mask_loss(found, batch.masks))

        return answer

    def save(self, folder: Path) -> None:
        """Write `unet/`."""
        save_unet(self.network, folder / "unet")

    def _encode_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the latents (B, C, S/8, S/8) of maps (B, 1, S, S) in [0, 1]."""
        return self.pipeline.encode((2 * maps - 1).expand(-1, 3, -1, -1))

    @torch.no_grad()
    def _start(self, prompts: torch.Tensor) -> torch.Tensor:
        """Return the latents of the masks so far; 0, the mean of the noise, where there is none."""
        masks = prompts[:, 3:]
        known = masks.flatten(1).any(1)[:, None, None, None]
        return self._encode_maps(masks / 2 + 0.5) * known  # (B, C, S/8, S/8)


def with_prompts(unet: DiffDISUNet) -> DiffDISUNet:
    """Return the network with place for a prompt's map behind each level of photo features.

    The map changes nothing until that is trained, but for the mean that the features' norm takes.
    """
    widths = tuple(width + CHANNELS for width in unet.config.photo_widths)
    network = DiffDISUNet.from_config(unet.config, photo_widths=widths)
    weights = dict(unet.state_dict())
    for place in range(len(widths)):
        scale, shift, convolution = (
            f"photo_fusions.{place}.features.{name}" for name in ("0.weight", "0.bias", "1.weight")
        )
        weights[scale] = F.pad(weights[scale], (0, CHANNELS), value=1.0)
        weights[shift] = F.pad(weights[shift], (0, CHANNELS))
        weights[convolution] = F.pad(weights[convolution], (0, 0, 0, 0, 0, CHANNELS))
    network.load_state_dict(weights)
    return network


def with_map(features: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """Return photo features (B, c, h, w) and behind them the prompts' maps, averaged to that size.

    prompts: (B, 4, S, S). They are scaled by the features' standard deviation, up to 12 for those
    of `small-imagenet`: the norm behind them divides by it, and the maps would become faint.
    """
    cells = F.adaptive_avg_pool2d(prompts, features.shape[-2:])  # (B, 4, h, w)
    scale = features.std((1, 2, 3), keepdim=True)
    return torch.cat([features, scale * cells], 1)  # (B, c + 4, h, w)


def train(settings: OneStepSettings) -> None:
    """Train the network; raises InputError for settings and material that do not work."""
    device = pick_device(settings.device)
    torch.manual_seed(settings.first_seed)
    pipeline = load_diffdis(locate_diffdis(settings.start_from), device)
    train_prompter(OneStepPrompter(pipeline), settings, device)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train; 2 for wrong usage, 1 for a loss that is not a number."""
    return run_program(train, OneStepSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
