"""How networks that answer boxes and clicks are trained, whatever they are made of.

They see the same windows, prompts and corrections, so their validations compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from segdemo.settings import setting
from training.loop.sampling import BatchIndex
from training.loop.settings import same_as
from training.loop.trainer import Losses, Task, train_loop
from training.small.compact.material import find_material
from training.small.compact.prompt_data import PromptBatch, corrected, prompt_batch
from training.small.compact.scene_material import SceneMaterial
from training.small.compact.settings import CompactSettings, loop_settings
from training.small.compact.subject import mean_iou

SECOND_CORRECTION = 0.5  # share of the batches whose second answer follows two clicks
VALIDATION_BATCH = 8


@dataclass(frozen=True)
class PrompterSettings(CompactSettings):
    """Sizes of the batches and where everything lies."""

    output_dir: str = setting("runs/prompting", "Folder of the run.", may_change=True)
    window_size: int = setting(160, "Side of the windows in pixels.", minimum=32, maximum=1024)
    batch_size: int = setting(6, "Windows a step.", minimum=1)
    validation_count: int = setting(48, "Windows of a validation.", minimum=1)
    learning_rate: float = same_as(CompactSettings, "learning_rate", default=5e-4)


@dataclass(frozen=True, eq=False)
class Answer:
    """Masks found for B prompts, (B, 1, S, S) in [0, 1] without gradients, and their loss."""

    found: torch.Tensor
    loss: torch.Tensor


class LearningPrompter(Protocol):
    """A network that answers prompts, and how its answers are judged."""

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    def look(self, batch: PromptBatch) -> Callable[[torch.Tensor], Answer]:
        """Look at the windows of a batch once; returns what answers prompts (B, 4, S, S)."""

    def save(self, folder: Path) -> None:
        """Write the network's weights below the folder of a run."""


def prompting_losses(
    prompter: LearningPrompter, batch: PromptBatch, rng: np.random.Generator
) -> Losses:
    """Return the losses of the first answers and of those after one or two correcting clicks."""
    answer = prompter.look(batch)
    first = answer(batch.prompts)
    again = corrected(batch, first.found, rng)
    if rng.random() < SECOND_CORRECTION:
        with torch.no_grad():
            between = answer(again.prompts)
        again = corrected(again, between.found, rng)
    second = answer(again.prompts)
    losses = {"first": first.loss, "second": second.loss}
    figures = {
        "iou": mean_iou(first.found, batch.masks),
        "corrected_iou": mean_iou(second.found, batch.masks),
    }
    return {"loss": first.loss + second.loss, **losses, **figures}


def train_prompter(
    prompter: LearningPrompter, settings: PrompterSettings, device: torch.device
) -> None:
    """Train a network, and save its averaged weights at each best validation.

    Raises InputError for material that is missing.
    """
    folder, data_dir = Path(settings.output_dir), Path(settings.data_dir)
    material = SceneMaterial(find_material(data_dir, validation=False))
    kept = SceneMaterial(find_material(data_dir, validation=True))
    batches = [
        prompt_batch(
            kept, VALIDATION_BATCH, settings.window_size, np.random.default_rng([7, index])
        )
        for index in range(max(1, settings.validation_count // VALIDATION_BATCH))
    ]
    best = -1.0

    def losses(batch: PromptBatch, index: BatchIndex) -> Losses:
        return prompting_losses(prompter, batch, np.random.default_rng(index.torch_seed))

    def validate() -> dict[str, float]:
        nonlocal best
        rows = [prompting_losses(prompter, batch, np.random.default_rng(0)) for batch in batches]
        names = ("iou", "corrected_iou", "loss")
        figures = {name: float(np.mean([float(row[name]) for row in rows])) for name in names}
        if figures["iou"] >= best:
            best = figures["iou"]
            prompter.save(folder)
        return figures

    task = Task(
        prompter.network,
        lambda index: prompt_batch(material, settings.batch_size, settings.window_size, index.rng),
        losses,
        validate,
        batch_size=settings.batch_size,
    )
    train_loop(task, folder, loop_settings(settings, device), device)
