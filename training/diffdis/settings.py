"""The hyperparameters of `training.diffdis`, and the paper's values for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segdemo.datatypes import InputError
from segdemo.diffdis.denoising import ONE_STEP, find_denoising, renamed
from segdemo.diffdis.settings import NOISES, DiffDISSettings
from segdemo.diffdis.unet import INTERACTIONS
from segdemo.settings import setting
from training.diffdis.base import Ablation
from training.loop.settings import NO_LIMIT, LoopSettings, required, same_as

PRESETS: dict[str, dict[str, Any]] = {
    "": {},
    "paper": {
        "image_size": 1024,
        "batch_size": 2,
        "epochs": 90,
        "learning_rate": 3e-5,
        "optimizer": "adam",
        "schedule": "diffdis",
        "warmup_steps": 0,
        "clip": 0.0,
        "ema_decay": 0.0,
        "precision": "fp32",
    },
}
"""Defaults by name; options of the command line win over them."""


@dataclass(frozen=True, kw_only=True)
class DiffDISTraining(LoopSettings):
    """The settings of a run; the defaults suit a base model that is already good."""

    data_dir: str = required("Folder of images and masks.", may_change=True)
    output_dir: str = setting("runs/diffdis", "Where everything goes.", may_change=True)
    base_model: str = setting(
        "small",
        "The model to start from: small, a folder that the app opens, or a Stable Diffusion folder "
        "or Hub id such as stabilityai/sd-turbo.",
        may_change=True,
    )
    preset: str = setting("", "paper: the paper's settings; else none.", choices=tuple(PRESETS))
    image_size: int = setting(
        0,
        "Side that images are squashed to; 0: the base model's own.",
        minimum=0,
        unit="pixels",
    )
    batch_size: int = setting(
        4, "Images per batch and process; even, for CutMix.", minimum=1, may_change=True
    )
    epochs: float = setting(90.0, "Passes over the data; 0: no limit.", minimum=0, may_change=True)
    learning_rate: float = same_as(LoopSettings, "learning_rate", default=3e-5)
    gradient_checkpointing: bool = setting(
        False, "Recompute activations, which needs less memory.", may_change=True
    )
    validation_dir: str = setting(
        "",
        "Folder to validate on; none: DIS-VD of data_dir, else a share of data_dir.",
        may_change=True,
    )
    validation_share: float = setting(
        0.05,
        "Share of data_dir that is held out if there is no validation_dir.",
        minimum=0,
        maximum=1,
    )
    validation_count: int = setting(50, "Most pairs to validate on.", minimum=1)
    validation_seed: int = setting(0, "Seed of what is held out.", minimum=0)
    validate_steps: int = same_as(
        LoopSettings,
        "validate_steps",
        help="Steps between validations; 0: an epoch, at least 200 steps.",
    )
    panels: int = setting(
        4, "Validation images that are kept to look at.", minimum=0, may_change=True
    )
    allow_problems: bool = setting(False, "Leave out pairs that have problems.", may_change=True)
    cache_latents: str = setting(
        "",
        "Folder for encoded images; saves the encoder's time, and leaves of the augmentation only "
        "mirroring, and no CutMix.",
        may_change=True,
    )
    no_augmentation: bool = setting(False, "Use images as they are.")
    fixed_range: bool = setting(
        False,
        "Scale 0..255 to -1..1 as inference does, not each image's own extremes as the official "
        "training.",
    )
    from_prior: bool = setting(
        False, "Start from the generative prior of a folder that training.small exported."
    )
    from_scratch: bool = setting(False, "Start from random weights; the autoencoder stays.")
    rank: int = setting(
        0,
        "Rank of a LoRA in all attention, which is trained alone, and its alpha; 0: all weights "
        "are trained. For a base model that is a DiffDIS model, such as official.",
        minimum=0,
        maximum=1024,
    )
    merge_lora: bool = setting(
        False,
        "Export whole weights in place of the LoRA alone; so it is also where the base model is a "
        "folder of this machine.",
        may_change=True,
    )
    no_edge: bool = setting(False, "Ablation: no edge task, hence no interaction.")
    interaction: str = setting(
        "dbia",
        "Ablation: what mask and edge see of each other; dbia: the other's keys, concat: those of "
        "both, none.",
        choices=tuple(INTERACTIONS),
    )
    no_swci: bool = setting(False, "Ablation: no scale-wise condition injection.")
    no_cutmix: bool = setting(False, "Ablation: no CutMix.")
    denoising: str = setting(
        ONE_STEP,
        "Steps in training / steps at test, as in table 4. 1/1: timestep 999; 1*/2: 999 or 499 is "
        "drawn in training, both are taken at test; 2/2: both are unrolled in training, too; "
        "1*/10: any of 0 to 999 is drawn, ten are taken at test.",
    )
    noise: str = setting(
        "pyramid",
        "Of the latents in training; pyramid: multi-resolution, another for mask and edge, as the "
        "official code; gaussian: one for both, as algorithm 1 prints it.",
        choices=NOISES,
    )
    export_precision: str = setting(
        "fp32", "Number format of the exported weights.", choices=("fp32", "fp16"), may_change=True
    )
    device: str = setting("auto", "auto, cpu, cuda or mps.", may_change=True)
    push_to_hub: str = setting(
        "", "Hub repository that gets the result; none: stays here.", may_change=True
    )

    def __post_init__(self) -> None:
        """Check ranges, choices and combinations; raises InputError."""
        super().__post_init__()
        if self.mixed and self.batch_size % 2:
            raise InputError(
                f"--batch_size {self.batch_size}: choose an even number, or --no_cutmix."
            )
        if self.from_prior and self.from_scratch:
            raise InputError("--from_prior and --from_scratch exclude each other.")
        if self.rank and (self.from_prior or self.from_scratch):
            raise InputError("--rank: what begins untrained needs more than a LoRA: leave it out.")
        if not (self.epochs or self.minutes) and self.max_steps >= NO_LIMIT:
            raise InputError("No end: give --epochs, --minutes or --max_steps.")
        DiffDISSettings(size=self.image_size)
        find_denoising(self.denoising)

    @classmethod
    def present(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return a run's stored settings under today's names, with what was not yet a choice."""
        return {"denoising": ONE_STEP, "noise": "pyramid"} | renamed(stored)

    @property
    def ablation(self) -> Ablation:
        """The network that is trained."""
        interaction = "none" if self.no_edge else self.interaction
        return Ablation(not self.no_edge, interaction, not self.no_swci, self.denoising)

    @property
    def mixed(self) -> bool:
        """Whether CutMix is used."""
        return not (self.no_cutmix or self.no_augmentation or self.cache_latents)
