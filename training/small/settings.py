"""The settings of `training.small`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segdemo.checkpoints.registry import ASSETS
from segdemo.datatypes import InputError
from segdemo.settings import setting
from training.loop.settings import LoopSettings, Settings, required, same_as
from training.small.autoencoder import CROP

SMALL = "small"
STAGES = ("scenes", "autoencoder", "latents", "prior", "diffdis", "export")
TIME_WEIGHTS = {"autoencoder": 13, "prior": 17, "diffdis": 70}
"""How the time is divided among the training stages."""

PRESETS: dict[str, dict[str, Any]] = {
    "": {},
    "smoke": {
        "start_from": "small",
        "stages": ["scenes", "latents", "diffdis", "export"],
        "scene_count": 192,
        "validation_count": 12,
        "minutes": 2.5,
        "batch_size": 4,
        "learning_rate": 2e-5,
        "warmup_steps": 5,
    },
}
"""Defaults by name; options of the command line win over them."""


@dataclass(frozen=True, kw_only=True)
class SmallSettings(Settings):
    """The recipe's hyperparameters; the defaults are those of the shipped weights."""

    own_folder = True

    material_dir: str = required("Folder of training/README.md's material.")
    output_dir: str = setting("runs/small", "Where everything goes.")
    preset: str = setting(
        "",
        "smoke: five minutes on two CPU cores that go on from the embedded weights, to see that "
        "all works; the result segments about as they do. Else none.",
        choices=tuple(PRESETS),
    )
    start_from: str = setting(
        "",
        "Folder of an earlier run whose trained weights this one starts from, or small, the "
        "embedded ones.",
    )
    stages: list[str] = field(
        default_factory=lambda: ["all"], metadata={"help": f"Some of {', '.join(STAGES)}; or all."}
    )
    scene_count: int = setting(16384, "Scenes to compose.", minimum=2)
    validation_count: int = setting(
        64,
        "Scenes of photos and cut-outs that are kept out of the others, to validate on; 0: none.",
        minimum=0,
    )
    image_size: int = setting(256, "Side of the scenes.", minimum=64, unit="pixels")
    photo_features: bool = setting(
        False, "Let DiffDIS see ImageNet features too: the variant small-imagenet."
    )
    pixel_weight: float = setting(
        0.0, "Weight of the decoded masks' loss beside that of latents; 0: none.", minimum=0
    )
    picture_noise: float = setting(
        0.0,
        "Standard deviation of noise on DiffDIS's image latents, against overfitting; latents have "
        "about 1.",
        minimum=0,
    )
    condition_dropout: float = setting(
        0.0,
        "Share of the channels dropped of what the network sees of an image beside its latents, "
        "likewise.",
        minimum=0,
        maximum=0.99,
    )
    edge_model: str = setting(
        "", "Folder that training.diffegg exported; its edge generator is exported, too."
    )
    working_size: int = setting(
        0,
        "Side at which the exported model sees images; 0: --image_size.",
        minimum=0,
        unit="pixels",
    )
    minutes: float = setting(120.0, "Training time of all stages.", minimum=0, unit="minutes")
    max_steps: int = same_as(LoopSettings, "max_steps", help="Most steps of a stage.")
    vae_batch_size: int = setting(6, "Crops per step of the autoencoder.", minimum=1)
    batch_size: int = setting(16, "Images per step.", minimum=1)
    learning_rate: float = same_as(
        LoopSettings,
        "learning_rate",
        help="Peak learning rate of prior and DiffDIS; the autoencoder's is 8e-4.",
    )
    warmup_steps: int = same_as(LoopSettings, "warmup_steps")
    precision: str = same_as(LoopSettings, "precision")
    device: str = setting("auto", "auto, cpu, cuda or mps.")
    workers: int = setting(2, "Processes that compose scenes.", minimum=1)
    seed: int = setting(0, "Seed of everything.", minimum=0)

    def __post_init__(self) -> None:
        """Check ranges, choices and stages; raises InputError."""
        super().__post_init__()
        unknown = sorted(set(self.stages) - {*STAGES, "all"})
        if unknown:
            raise InputError(f"No stage {unknown[0]!r}: choose from {', '.join(STAGES)}, all.")
        if self.image_size % 64 or self.working_size % 64:
            raise InputError("--image_size and --working_size: give multiples of 64.")
        if "autoencoder" in self.chosen() and self.image_size < CROP:
            raise InputError(
                f"--image_size {self.image_size}: at least {CROP} for the autoencoder."
            )

    def chosen(self) -> list[str]:
        """Return the stages to run, in order."""
        return [stage for stage in STAGES if stage in self.stages or "all" in self.stages]

    @property
    def earlier(self) -> Path | None:
        """The folder of the weights that this run starts from."""
        if not self.start_from:
            return None
        return ASSETS / SMALL if self.start_from == SMALL else Path(self.start_from)

    def of_stage(self, stage: str) -> LoopSettings:
        """Return the settings of one training stage, with its share of the time."""
        total = sum(weight for name, weight in TIME_WEIGHTS.items() if name in self.chosen()) or 1
        return LoopSettings(
            minutes=self.minutes * TIME_WEIGHTS[stage] / total,
            max_steps=self.max_steps,
            learning_rate=8e-4 if stage == "autoencoder" else self.learning_rate,
            warmup_steps=self.warmup_steps,
            precision=self.precision,
            seed=self.seed,
        )
