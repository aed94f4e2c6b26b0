"""Train the network that answers boxes and clicks, from U2NetP's weights.

    python -m training.small.compact.prompting --data_dir material --output_dir runs/prompting

The same command goes on where it was stopped. `network/` in the folder has the averaged weights
with the best validation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from segdemo.diffusion import pick_device
from segdemo.photo_features import PHOTO_FEATURES_WEIGHTS, PhotoFeatures
from segdemo.prompting.network import PromptedU2Net, PromptOutput
from segdemo.settings import setting
from segdemo.u2netp import U2NETP_WEIGHTS, U2NetP
from training.program import run_program
from training.small.compact.prompt_data import PromptBatch
from training.small.compact.prompter_training import Answer, PrompterSettings, train_prompter

COARSE_WEIGHT = 0.2  # of the loss of each coarser map
EDGE_WEIGHT = 0.5  # of the edge's cross-entropy
ATTENTION_LEVELS = (1, 2)  # 1/8 and 1/16: 24 and 12 cells a side of a window of 192 pixels


@dataclass(frozen=True)
class PromptingSettings(PrompterSettings):
    """What the network begins with and sees, beside what all prompters need."""

    start_from: str = setting("", "Folder of a network to begin with.", may_change=True)
    photo_features: bool = setting(
        True, "Show the network what an ImageNet classifier sees, and give it attention."
    )


@dataclass(frozen=True, eq=False)
class DirectPrompter:
    """U2NetP with prompts, which answers with the mask itself."""

    network: PromptedU2Net
    photo_features: PhotoFeatures | None

    def look(self, batch: PromptBatch) -> Callable[[torch.Tensor], Answer]:
        """Return what answers prompts for the windows of a batch."""
        with torch.no_grad():
            features = self.network.encode(batch.images, self.photo_features)

        def answer(prompts: torch.Tensor) -> Answer:
            output = self.network(features, prompts)
            return Answer(output.logits.detach().float().sigmoid(), output_loss(output, batch))

        return answer

    def save(self, folder: Path) -> None:
        """Write `network/`."""
        self.network.save_pretrained(folder / "network")


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


def train(settings: PromptingSettings) -> None:
    """Train the network; raises InputError for settings and material that do not work."""
    device = pick_device(settings.device)
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
    train_prompter(DirectPrompter(network, photo_features), settings, device)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train; 2 for wrong usage, 1 for a loss that is not a number."""
    return run_program(train, PromptingSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
