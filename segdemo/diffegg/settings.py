"""How a trace is made. No torch, so that a page or a command line can explain it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from segdemo.datatypes import InputError

LAST_TIMESTEP = 999
SIDE_MULTIPLE = 64
LARGEST_SIDE = 2048
METRICS = ("kl", "symmetric", "js", "l2", "cosine")
PAPER_TIMESTEPS = tuple(range(999, 0, -100))


@dataclass(frozen=True)
class TraceSettings:
    """What is traced: which steps, which layers, which noise, and how maps are compared."""

    timesteps: tuple[int, ...] = field(
        default=PAPER_TIMESTEPS,
        metadata={"help": "Noise levels to look at, falling, within 0 to 999 (Algorithm 1)."},
    )
    size: int = field(
        default=0,
        metadata={
            "label": "Working size",
            "help": "Side in pixels that the picture is squashed to, a multiple of 64; 0 takes the "
            "model's own.",
        },
    )
    seed: int = field(default=0, metadata={"help": "Seed of the noise."})
    noise: str = field(
        default="shared",
        metadata={
            "help": "shared: the same noise at every step; fresh: new noise at each, as the "
            "paper's text says, which adds sampling error to every gap.",
            "choices": ("shared", "fresh"),
        },
    )
    noise_draws: int = field(
        default=1,
        metadata={
            "label": "Draws of noise",
            "help": "Attention is averaged over this many draws of noise.",
        },
    )
    layers: str = field(
        default="",
        metadata={
            "label": "Layer filter",
            "help": "Parts of layer names, separated by |, such as mid_block|up_blocks.2; only "
            "self-attention layers whose name holds one of them count. Empty: all (eq. 11).",
        },
    )
    layer_weights: str = field(
        default="uniform",
        metadata={
            "help": "uniform: every layer counts alike (eq. 11); resolution: by the side of its "
            "map, as in DiffSeg.",
            "choices": ("uniform", "resolution"),
        },
    )
    key_norm: str = field(
        default="layer",
        metadata={
            "label": "Normalisation",
            "help": "layer: every enlarged map keeps mass 1; end: maps are normalised only after "
            "they were added, so coarse layers weigh more.",
            "choices": ("layer", "end"),
        },
    )
    text_keys: str = field(
        default="image_keys",
        metadata={
            "help": "For MM-DiT, whose queries also see text; image_keys: each head's attention to "
            "the picture is normalised; joint_then_mean: heads that look at text count less.",
            "choices": ("image_keys", "joint_then_mean"),
        },
    )
    gap_metric: str = field(
        default="clean_noisy",
        metadata={
            "help": "Difference of neighbouring steps: KL(cleaner || noisier) (Algorithm 1), the "
            "other order, their mean, or Jensen-Shannon.",
            "choices": ("clean_noisy", "noisy_clean", "symmetric", "js"),
        },
    )
    keep: str = field(
        default="clean",
        metadata={
            "label": "Kept step of a pair",
            "help": "Which step of the pair with the largest gap is chosen; clean: (499, 399) "
            "gives 399, as in the paper's figure 2.",
            "choices": ("clean", "noisy"),
        },
    )
    fixed_timestep: int | None = field(
        default=None,
        metadata={
            "help": "Take edges from the step nearest to this; without one, from the step that "
            "PeakKL chooses. The embedded model brings one: its clean steps draw better edges."
        },
    )
    edge_metric: str = field(
        default="kl",
        metadata={
            "help": "Difference between the two neighbours across a pixel (eq. 6, table F).",
            "choices": METRICS,
        },
    )
    border: str = field(
        default="clamp",
        metadata={
            "help": "At the rim; clamp: compare with the pixel itself; zero: no edge there.",
            "choices": ("clamp", "zero"),
        },
    )

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        steps = self.timesteps
        if len(steps) < 2:
            raise InputError(f"{len(steps)} timestep: PeakKL compares neighbours, give at least 2.")
        if any(step > LAST_TIMESTEP or step < 0 for step in steps):
            outside = next(step for step in steps if step > LAST_TIMESTEP or step < 0)
            raise InputError(f"Timestep {outside} is outside 0 to {LAST_TIMESTEP}.")
        if any(later >= earlier for earlier, later in pairwise(steps)):
            raise InputError(
                f"Timesteps {' '.join(map(str, steps))} must fall, from noisy to clean, as in "
                "999 899 799."
            )
        if not 0 <= (self.fixed_timestep or 0) <= LAST_TIMESTEP:
            raise InputError(
                f"Fixed timestep {self.fixed_timestep} is outside 0 to {LAST_TIMESTEP}."
            )
        if self.size % SIDE_MULTIPLE or not 0 <= self.size <= LARGEST_SIDE:
            raise InputError(
                f"Working size {self.size} must be a multiple of {SIDE_MULTIPLE} up to "
                f"{LARGEST_SIDE}, or 0 for the model's own."
            )
        if not 1 <= self.noise_draws <= 64:
            raise InputError(f"{self.noise_draws} draws of noise: choose 1 to 64.")
        for name, entry in type(self).__dataclass_fields__.items():
            choices = entry.metadata.get("choices")
            if choices and getattr(self, name) not in choices:
                raise InputError(
                    f"{name} {getattr(self, name)!r}: choose one of {', '.join(choices)}."
                )
