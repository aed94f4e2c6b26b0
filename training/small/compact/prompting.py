"""Train the network that answers boxes and clicks, from U2NetP's weights.

    python -m training.small.compact.prompting --data_dir material --output_dir runs/prompting

The same command goes on where it was stopped. `network/` in the folder has the averaged weights
with the best validation.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from segdemo.diffusion import pick_device
from segdemo.photo_features import PHOTO_FEATURES_WEIGHTS, PhotoFeatures
from segdemo.prompting.network import PromptedU2Net, PromptOutput
from segdemo.settings import setting
from segdemo.u2netp import U2NETP_WEIGHTS, U2NetP
from training.loop.sampling import BatchIndex
from training.loop.settings import PRECISIONS, LoopSettings, same_as
from training.loop.trainer import Losses, Task, train_loop
from training.program import run_program
from training.small.compact.material import find_material
from training.small.compact.precision import loop_settings
from training.small.compact.prompt_data import PromptBatch, corrected, prompt_batch
from training.small.compact.scene_material import SceneMaterial

COARSE_WEIGHT = 0.2  # of the loss of each coarser map
EDGE_WEIGHT = 0.5  # of the edge's cross-entropy
SECOND_CORRECTION = 0.5  # share of the batches whose second answer follows two clicks
ATTENTION_LEVELS = (1, 2)  # 1/8 and 1/16: 24 and 12 cells a side of a window of 192 pixels


@dataclass(frozen=True)
class PromptingSettings(LoopSettings):
    """Sizes of the batches and where everything lies."""

    data_dir: str = setting("material", "Holds train_mix/ and photos2/.", may_change=True)
    output_dir: str = setting("runs/prompting", "Folder of the run.", may_change=True)
    start_from: str = setting("", "Folder of a network to begin with.", may_change=True)
    device: str = setting("auto", "auto, cpu, cuda or mps.", may_change=True)
    photo_features: bool = setting(
        True, "Show the network what an ImageNet classifier sees, and give it attention."
    )
    window_size: int = setting(160, "Side of the windows in pixels.", minimum=32, maximum=1024)
    batch_size: int = setting(6, "Windows a step.", minimum=1)
    validation_count: int = setting(48, "Windows of a validation.", minimum=1)
    learning_rate: float = same_as(LoopSettings, "learning_rate", default=5e-4)
    precision: str = same_as(
        LoopSettings, "precision", default="auto", choices=("auto", *PRECISIONS)
    )


def map_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy plus 1 - soft IoU, averaged over B maps (B, 1, S, S)."""
    logits = logits.float()
    found = logits.sigmoid()
    both = (found * masks).sum((1, 2, 3))
    either = (found + masks - found * masks).sum((1, 2, 3))
    iou = both / either.clamp_min(1)
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - iou).mean()


def output_loss(output: PromptOutput, batch: PromptBatch) -> torch.Tensor:
    """Return the loss of the final map and, with less weight, of the coarser ones and the edge."""
    coarse = torch.stack([map_loss(values, batch.masks) for values in output.coarse_logits])
    loss = map_loss(output.logits, batch.masks) + COARSE_WEIGHT * coarse.sum()
    if output.edge_logits is None:
        return loss
    edge = F.binary_cross_entropy_with_logits(output.edge_logits.float(), batch.edges)
    return loss + EDGE_WEIGHT * edge


def prompting_losses(
    network: PromptedU2Net,
    batch: PromptBatch,
    rng: np.random.Generator,
    photo_features: PhotoFeatures | None = None,
) -> Losses:
    """Return the losses of the first answers and of those after one or two correcting clicks."""
    with torch.no_grad():
        features = network.encode(batch.images, photo_features)
    first = network(features, batch.prompts)
    found = first.logits.detach().float().sigmoid()
    again = corrected(batch, found, rng)
    if rng.random() < SECOND_CORRECTION:
        with torch.no_grad():
            answer = network(features, again.prompts).logits.float().sigmoid()
        again = corrected(again, answer, rng)
    second = network(features, again.prompts)
    losses = {"first": output_loss(first, batch), "second": output_loss(second, batch)}
    figures = {
        "iou": mean_iou(found, batch.masks),
        "corrected_iou": mean_iou(second.logits.detach().sigmoid(), batch.masks),
    }
    return {"loss": losses["first"] + losses["second"], **losses, **figures}


def mean_iou(found: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return the mean IoU at 0.5 of B maps (B, 1, S, S)."""
    found, masks = found > 0.5, masks > 0.5
    both, either = (found & masks).sum((1, 2, 3)), (found | masks).sum((1, 2, 3))
    return (both / either.clamp_min(1)).mean()


def train(settings: PromptingSettings) -> None:
    """Train the network; raises InputError for settings and material that do not work."""
    device = pick_device(settings.device)
    folder, data_dir = Path(settings.output_dir), Path(settings.data_dir)
    torch.manual_seed(settings.first_seed)
    if settings.start_from:
        network = PromptedU2Net.from_pretrained(settings.start_from)
    else:
        network = PromptedU2Net.from_u2netp(U2NetP.from_pretrained(U2NETP_WEIGHTS))
    photo_features = None
    if settings.photo_features:
        photo_features = PhotoFeatures.from_pretrained(PHOTO_FEATURES_WEIGHTS).float().eval()
        network = network.extended(tuple(photo_features.widths), ATTENTION_LEVELS)
    network.image_encoder.requires_grad_(False)
    material = SceneMaterial(find_material(data_dir, validation=False))
    kept = SceneMaterial(find_material(data_dir, validation=True))
    batches = [
        prompt_batch(kept, 8, settings.window_size, np.random.default_rng([7, index]))
        for index in range(max(1, settings.validation_count // 8))
    ]
    best = -1.0

    def losses(batch: PromptBatch, index: BatchIndex) -> Losses:
        return prompting_losses(
            network, batch, np.random.default_rng(index.torch_seed), photo_features
        )

    def validate() -> dict[str, float]:
        nonlocal best
        rows = [
            prompting_losses(network, batch, np.random.default_rng(0), photo_features)
            for batch in batches
        ]
        names = ("iou", "corrected_iou", "loss")
        figures = {name: float(np.mean([float(row[name]) for row in rows])) for name in names}
        if figures["iou"] >= best:
            best = figures["iou"]
            network.save_pretrained(folder / "network")
        return figures

    task = Task(
        network,
        lambda index: prompt_batch(material, settings.batch_size, settings.window_size, index.rng),
        losses,
        validate,
        batch_size=settings.batch_size,
    )
    train_loop(task, folder, loop_settings(settings, device), device)
    network.save_pretrained(folder / "network")


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train; 2 for wrong usage, 1 for a loss that is not a number."""
    return run_program(train, PromptingSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
