"""The settings of `training.diffegg`: model, data, learning rates, losses."""

from __future__ import annotations

from dataclasses import dataclass, field

from segdemo.datatypes import InputError
from segdemo.diffegg.pseudo_edge import RULES
from segdemo.diffegg.settings import LAST_TIMESTEP, SIDE_MULTIPLE
from segdemo.settings import setting
from training.diffegg.losses import RECONSTRUCTIONS
from training.loop.settings import LoopSettings, required, same_as


@dataclass(frozen=True, kw_only=True)
class DiffEGGSettings(LoopSettings):
    """What is trained on what; the defaults suit a Stable Diffusion on one large GPU."""

    pictures: str = required("Folder of images, searched with all below it.", may_change=True)
    pseudo_edges: str = required(
        "Folder that training.pseudo_edges wrote for these images.", may_change=True
    )
    validation_pictures: str = setting(
        "",
        "Folder of other images to validate on; none: some of --pictures are held out. With "
        "--validation_pseudo_edges and --validate_steps.",
        may_change=True,
    )
    validation_pseudo_edges: str = setting(
        "", "Folder of what training.pseudo_edges wrote for those.", may_change=True
    )
    output_dir: str = setting("runs/diffegg", "Where everything goes.", may_change=True)
    backbone: str = setting(
        "small",
        "small (embedded), or the folder or Hub id of a Stable Diffusion.",
        may_change=True,
    )
    size: int = setting(
        0,
        "Side of training images, a multiple of 64; 0: the model's own.",
        minimum=0,
        unit="pixels",
    )
    edge_size: int = setting(
        0,
        "Side at which the trained model sees images; 0: --size. Crops show parts enlarged, so "
        "--size / --smallest_crop is familiar to it too, and gives finer edges.",
        minimum=0,
        unit="pixels",
        may_change=True,
    )
    batch_size: int = setting(8, "Images per batch and process.", minimum=1, may_change=True)
    epochs: float = setting(10.0, "Passes over the data; 0: no limit.", minimum=0, may_change=True)
    learning_rate: float = same_as(
        LoopSettings, "learning_rate", default=1e-4, help="Peak learning rate of the LoRA."
    )
    generator_learning_rate: float = same_as(
        LoopSettings,
        "learning_rate",
        default=1e-3,
        help="Peak learning rate of the edge generator.",
    )
    start_from: str = setting(
        "",
        "Folder of an earlier export whose edge generator this run starts from.",
        may_change=True,
    )
    rank: int = setting(16, "Rank of the LoRA, and its alpha; 0: no LoRA.", minimum=0)
    photo_features: bool = setting(
        False, "Let the generator see ImageNet features too, as small-imagenet does."
    )
    channels: int = setting(
        0, "Width of the generator; 0: 256, and 64 for small models.", minimum=0
    )
    features: str = setting(
        "hidden",
        "What the generator sees; hidden: what self-attention layers put out; attention: the "
        "accumulated attention map itself, as Algorithm 3 reads literally, with a channel for each "
        "of its cells, which fixes the size of images.",
        choices=("hidden", "attention"),
    )
    more_layers: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Further layers of the network whose maps the generator sees, such as "
            "up_blocks.3.resnets.1. By default none, and for our own small models the last "
            "resnets at 1/8 of the image, where those have no attention; the word none leaves "
            "them out."
        },
    )
    timestep: int = setting(
        0,
        "Noise level at which features are read; 0: no noise.",
        minimum=0,
        maximum=LAST_TIMESTEP,
    )
    reconstruction: str = setting(
        "denoise",
        "; ".join(f"{name}: {text}" for name, text in RECONSTRUCTIONS.items()) + ".",
        choices=tuple(RECONSTRUCTIONS),
    )
    cross_entropy: float = setting(
        0.0,
        "Weight of the certain pixels' cross-entropy beside Dice: not in the paper, for "
        "probabilities that mean something where the labels are true.",
        minimum=0,
    )
    reconstruction_weight: float = setting(1.0, "Its weight.", minimum=0)
    rule: str = setting(
        "",
        f"Sets thresholds again: {', '.join(RULES)}; empty: as stage 1 stored them. Predictions "
        "spread over uncertain pixels; mean leaves the fewest of them.",
        choices=("", *RULES),
    )
    smallest_crop: float = setting(
        0.5, "Least share of the sides that a crop keeps; 1: no crops.", minimum=0.01, maximum=1
    )
    relabel_every: float = setting(
        0.0,
        "Epochs after which the current weights label the uncertain pixels that they are confident "
        "about; 0: never (Algorithm 3).",
        minimum=0,
    )
    sure_edge: float = setting(
        0.8, "Probability above which a pixel is relabelled as edge.", minimum=0, maximum=1
    )
    sure_interior: float = setting(
        0.2, "Probability below which it is relabelled as interior.", minimum=0, maximum=1
    )
    validation_count: int = setting(
        16, "Images held out for validation, if there is any.", minimum=0
    )
    validation_seed: int = setting(0, "Seed of what is held out.", minimum=0)
    gradient_checkpointing: bool = setting(
        False, "Recompute activations, which needs less memory.", may_change=True
    )
    allow_problems: bool = setting(False, "Leave out images that have problems.", may_change=True)
    device: str = setting("auto", "auto, cpu or cuda.", may_change=True)
    push_to_hub: str = setting(
        "", "Hub repository that gets the result; none: stays here.", may_change=True
    )

    def __post_init__(self) -> None:
        """Check ranges, choices and combinations; raises InputError."""
        super().__post_init__()
        for name in ("size", "edge_size"):
            side = getattr(self, name)
            if side % SIDE_MULTIPLE:
                raise InputError(f"--{name} {side}: give a multiple of {SIDE_MULTIPLE}, or 0.")
        if bool(self.validation_pictures) != bool(self.validation_pseudo_edges):
            raise InputError("--validation_pictures and --validation_pseudo_edges go together.")
        if self.features == "attention" and (
            self.more_layers or self.edge_size not in (0, self.size)
        ):
            raise InputError(
                "--features attention: leave out --more_layers, and --edge_size unless it is "
                "--size: the generator sees the attention map alone, at one size."
            )
        if self.sure_interior >= self.sure_edge:
            raise InputError("--sure_interior must be below --sure_edge.")
