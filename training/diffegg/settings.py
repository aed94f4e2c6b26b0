"""The settings of `training.diffegg`: model, data, rates, losses."""

from __future__ import annotations

from dataclasses import dataclass, field

from segdemo.datatypes import InputError
from segdemo.diffegg.pseudo_edge import RULES
from segdemo.diffegg.settings import SIDE_MULTIPLE
from training.diffegg.losses import RECONSTRUCTIONS
from training.loop.trainer import PRECISIONS, LoopSettings


@dataclass(frozen=True, kw_only=True)
class DiffEGGSettings(LoopSettings):
    """What is trained on what; the defaults suit a Stable Diffusion on one large GPU."""

    pictures: str = field(metadata={"help": "Folder of pictures, searched with all below it."})
    pseudo_edges: str = field(
        metadata={"help": "Folder that training.pseudo_edges wrote for these pictures."}
    )
    output_dir: str = field(default="runs/diffegg", metadata={"help": "Where everything goes."})
    backbone: str = field(
        default="small",
        metadata={"help": "small (embedded), or the folder or Hub id of a Stable Diffusion."},
    )
    size: int = field(
        default=0, metadata={"help": "Side in pixels, a multiple of 64; 0: the model's own."}
    )
    edge_size: int = field(
        default=0,
        metadata={
            "help": "Side at which the result looks at pictures; 0: --size. Crops show parts "
            "enlarged, so --size / --smallest_crop is familiar to it too, and draws finer edges."
        },
    )
    batch_size: int = field(default=8, metadata={"help": "Pictures a process and batch."})
    epochs: float = field(
        default=10.0, metadata={"help": "Times that every picture is seen; 0: no limit."}
    )
    learning_rate: float = field(default=1e-4, metadata={"help": "Peak rate of the LoRA."})
    generator_learning_rate: float = field(
        default=1e-3, metadata={"help": "Peak rate of the edge generator."}
    )
    start_from: str = field(
        default="",
        metadata={"help": "Folder of an earlier export whose edge generator this run begins with."},
    )
    rank: int = field(default=16, metadata={"help": "Rank of the LoRA, and its alpha; 0: no LoRA."})
    photo_features: bool = field(
        default=False,
        metadata={"help": "Let the generator see ImageNet features too, as small-imagenet does."},
    )
    channels: int = field(
        default=0, metadata={"help": "Width of the generator; 0: 256, and 64 for small models."}
    )
    more_layers: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Further layers of the network whose maps the generator sees, such as "
            "up_blocks.3.resnets.1. By default none, and for our own small models the last "
            "resnets at 1/8 of the picture, where those have no attention; the word none leaves "
            "them out."
        },
    )
    timestep: int = field(
        default=0, metadata={"help": "Noise level at which features are read; 0: none."}
    )
    reconstruction: str = field(
        default="denoise",
        metadata={"help": "; ".join(f"{k}: {v}" for k, v in RECONSTRUCTIONS.items()) + "."},
    )
    cross_entropy: float = field(
        default=0.0,
        metadata={
            "help": "Weight of the certain pixels' cross-entropy beside Dice: not in the paper, "
            "for probabilities that mean something where the labels are true."
        },
    )
    reconstruction_weight: float = field(default=1.0, metadata={"help": "Its weight."})
    rule: str = field(
        default="",
        metadata={
            "help": f"Sets thresholds anew: {', '.join(RULES)}; empty: as stage 1 stored them. "
            "Predictions spread over uncertain pixels; mean leaves the fewest of them."
        },
    )
    smallest_crop: float = field(
        default=0.5, metadata={"help": "Least share of the sides that a crop keeps; 1: no crops."}
    )
    relabel_every: float = field(
        default=0.0,
        metadata={
            "help": "Epochs after which uncertain pixels are labelled anew by the weights of that "
            "moment, where those are sure; 0: never (Algorithm 3)."
        },
    )
    sure_edge: float = field(default=0.8, metadata={"help": "Probability above which they are."})
    sure_interior: float = field(default=0.2, metadata={"help": "And below which."})
    validation_count: int = field(
        default=16, metadata={"help": "Pictures held out for validation, if there is any."}
    )
    validation_seed: int = field(default=0, metadata={"help": "Seed of what is held out."})
    gradient_checkpointing: bool = field(
        default=False, metadata={"help": "Compute twice what would not fit into memory."}
    )
    allow_problems: bool = field(
        default=False, metadata={"help": "Go on without the pictures that have problems."}
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu or cuda."})
    push_to_hub: str = field(
        default="", metadata={"help": "Hub repository that gets the result; none: stays here."}
    )

    def __post_init__(self) -> None:
        """Check what would fail late; raises InputError."""
        for name in ("size", "edge_size"):
            side = getattr(self, name)
            if side % SIDE_MULTIPLE or side < 0:
                raise InputError(f"--{name} {side}: give a multiple of {SIDE_MULTIPLE}, or 0.")
        if not 0 < self.smallest_crop <= 1:
            raise InputError(f"--smallest_crop {self.smallest_crop}: give a share in (0, 1].")
        if self.rank < 0:
            raise InputError(f"--rank {self.rank}: give 1 or more, or 0 for no LoRA.")
        for name in ("batch_size", "max_steps", "accumulation"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} {getattr(self, name)}: give 1 or more.")
        if not 0 <= self.timestep <= 999:
            raise InputError(f"--timestep {self.timestep}: give 0 to 999.")
        if not 0 <= self.sure_interior < self.sure_edge <= 1:
            raise InputError("--sure_interior must be below --sure_edge, both within 0 to 1.")
        for name, known in (
            ("reconstruction", RECONSTRUCTIONS),
            ("precision", PRECISIONS),
            ("rule", {"", *RULES}),
        ):
            if getattr(self, name) not in known:
                choices = ", ".join(filter(None, known))
                raise InputError(f"--{name} {getattr(self, name)}: choose one of {choices}.")
