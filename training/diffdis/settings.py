"""The knobs of `training.diffdis`, and the paper's values for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from segdemo.datatypes import InputError
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffdis.unet import INTERACTIONS
from training.diffdis.base import Variant
from training.loop.trainer import LoopSettings

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
"""Defaults by name; what is given on the command line goes before them."""

NO_LIMIT = LoopSettings.max_steps


@dataclass(frozen=True, kw_only=True)
class DiffDISTraining(LoopSettings):
    """The knobs of a run; the defaults suit a base model that is already good."""

    data_dir: str = field(metadata={"help": "Folder of pictures and masks."})
    output_dir: str = field(default="runs/diffdis", metadata={"help": "Where everything goes."})
    base_model: str = field(
        default="small",
        metadata={
            "help": "What training begins with: small, a folder that the app opens, or a Stable "
            "Diffusion folder or Hub id such as stabilityai/sd-turbo."
        },
    )
    preset: str = field(default="", metadata={"help": "paper: the paper's settings; else none."})
    image_size: int = field(
        default=0, metadata={"help": "Side that pictures are squashed to; 0: the base's own."}
    )
    batch_size: int = field(default=4, metadata={"help": "Pictures a step; even, for CutMix."})
    epochs: float = field(default=90, metadata={"help": "Rounds through the data; 0: no limit."})
    learning_rate: float = field(default=3e-5, metadata={"help": "Peak rate."})
    gradient_checkpointing: bool = field(
        default=False, metadata={"help": "Compute twice to need less memory."}
    )
    validation_dir: str = field(
        default="", metadata={"help": "Folder to measure on; none: a share of data_dir."}
    )
    validation_share: float = field(
        default=0.05, metadata={"help": "Share of data_dir that is held out without such a folder."}
    )
    validation_count: int = field(default=50, metadata={"help": "Most pairs to measure on."})
    validation_seed: int = field(default=0, metadata={"help": "Seed of what is held out."})
    validate_steps: int = field(
        default=0, metadata={"help": "Steps between validations; 0: an epoch, at least 200."}
    )
    panels: int = field(default=4, metadata={"help": "Validation pictures that are kept."})
    allow_problems: bool = field(
        default=False, metadata={"help": "Leave pairs with problems out and go on."}
    )
    cache_latents: str = field(
        default="",
        metadata={
            "help": "Folder for encoded pictures; saves the encoder's time, and leaves of "
            "augmentation only mirroring, and no CutMix."
        },
    )
    no_augmentation: bool = field(default=False, metadata={"help": "Pictures as they are."})
    fixed_range: bool = field(
        default=False,
        metadata={
            "help": "Scale 0..255 to -1..1 as inference does, not each picture's own extremes as "
            "the official training."
        },
    )
    from_prior: bool = field(
        default=False, metadata={"help": "Begin with the generative prior of a folder of ours."}
    )
    from_scratch: bool = field(
        default=False, metadata={"help": "Begin with random weights; the autoencoder stays."}
    )
    no_edge: bool = field(
        default=False, metadata={"help": "Ablation: no edge task, hence no interaction."}
    )
    interaction: str = field(
        default="dbia",
        metadata={
            "help": "Ablation: what mask and edge see of each other; dbia: the other's keys, "
            "concat: those of both, none."
        },
    )
    no_swci: bool = field(default=False, metadata={"help": "Ablation: no scale-wise injection."})
    no_cutmix: bool = field(default=False, metadata={"help": "Ablation: no CutMix."})
    denoising_steps: int = field(
        default=1,
        metadata={
            "help": "Ablation: steps from noise to mask; the paper has 1, 2, 10, and a 1* that is "
            "left out here, as no source at hand says what it is."
        },
    )
    export_precision: str = field(default="fp32", metadata={"help": "Of the result: fp32, fp16."})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda or mps."})
    push_to_hub: str = field(
        default="", metadata={"help": "Hub repository that gets the result; none: stays here."}
    )

    @property
    def variant(self) -> Variant:
        """Which network is trained."""
        interaction = "none" if self.no_edge else self.interaction
        return Variant(not self.no_edge, interaction, not self.no_swci, self.denoising_steps)

    @property
    def mixed(self) -> bool:
        """Whether CutMix is used."""
        return not (self.no_cutmix or self.no_augmentation or self.cache_latents)

    def check(self) -> None:
        """Raise InputError for settings that do not exist or contradict each other."""
        wrong = {
            f"--preset {self.preset!r}: choose paper, or none.": self.preset not in PRESETS,
            f"--interaction {self.interaction!r}: choose {', '.join(INTERACTIONS)}.": (
                self.interaction not in INTERACTIONS
            ),
            f"--denoising_steps {self.denoising_steps}: choose 1 to 1000.": (
                not 1 <= self.denoising_steps <= 1000
            ),
            f"--batch_size {self.batch_size}: choose an even number, or --no_cutmix.": (
                self.batch_size < 1 or bool(self.mixed and self.batch_size % 2)
            ),
            "--from_prior and --from_scratch exclude each other.": (
                self.from_prior and self.from_scratch
            ),
            f"--export_precision {self.export_precision!r}: choose fp32 or fp16.": (
                self.export_precision not in ("fp32", "fp16")
            ),
            "No end: give --epochs, --minutes or --max_steps.": (
                not (self.epochs or self.minutes) and self.max_steps >= NO_LIMIT
            ),
        }
        for sentence, is_wrong in wrong.items():
            if is_wrong:
                raise InputError(sentence)
        DiffDISSettings(size=self.image_size)
