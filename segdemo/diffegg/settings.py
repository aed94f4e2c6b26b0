"""How a trace is made. No torch, so that a page or a command line can explain it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from segdemo.datatypes import InputError
from segdemo.settings import LARGEST_SEED, check_settings, setting

LAST_TIMESTEP = 999
SIDE_MULTIPLE = 64
LARGEST_SIDE = 2048
METRICS = ("kl", "symmetric", "js", "l2", "cosine")
PAPER_TIMESTEPS = tuple(range(999, 0, -100))


@dataclass(frozen=True)
class TraceSettings:
    """What is traced: which steps, which layers, which noise, and how maps are compared."""

    timesteps: tuple[int, ...] = setting(
        PAPER_TIMESTEPS, "Timesteps, descending, within 0 to 999 (Algorithm 1)."
    )
    size: int = setting(
        0,
        "Side in pixels that the image is squashed to, a multiple of 64; 0 takes the model's own.",
        minimum=0,
        maximum=LARGEST_SIDE,
        unit="pixels",
        label="Working size",
    )
    seed: int = setting(0, "Seed of the noise.", minimum=0, maximum=LARGEST_SEED)
    noise: str = setting(
        "shared",
        "shared: the same noise at every step; fresh: new noise at each, as the "
        "paper's text says, which adds sampling error to every gap.",
        choices=("shared", "fresh"),
    )
    noise_draws: int = setting(
        1,
        "Attention is averaged over this many draws of noise.",
        minimum=1,
        maximum=64,
        label="Draws of noise",
    )
    layers: str = setting(
        "",
        "Parts of layer names, separated by |, such as mid_block|up_blocks.2; only "
        "self-attention layers whose name holds one of them count. Empty: all (eq. 11).",
        label="Layer filter",
    )
    layer_weights: str = setting(
        "uniform",
        "uniform: every layer counts alike (eq. 11); resolution: by the side of its "
        "map, as in DiffSeg.",
        choices=("uniform", "resolution"),
    )
    key_norm: str = setting(
        "layer",
        "layer: every enlarged map keeps mass 1; end: maps are normalised only after "
        "they were added, so coarse layers weigh more.",
        choices=("layer", "end"),
        label="Normalisation",
    )
    text_keys: str = setting(
        "image_keys",
        "For MM-DiT, whose queries also see text; image_keys: each head's attention to "
        "the image is normalised; joint_then_mean: heads that look at text count less.",
        choices=("image_keys", "joint_then_mean"),
    )
    gap_metric: str = setting(
        "clean_noisy",
        "Difference of neighbouring steps: KL(cleaner || noisier) (Algorithm 1), the "
        "other order, their mean, or Jensen-Shannon.",
        choices=("clean_noisy", "noisy_clean", "symmetric", "js"),
    )
    keep: str = setting(
        "clean",
        "Which step of the pair with the largest gap is chosen; clean: (499, 399) "
        "gives 399, as in the paper's figure 2.",
        choices=("clean", "noisy"),
        label="Kept step of a pair",
    )
    fixed_timestep: int | None = setting(
        None,
        "Take edges from the step nearest to this; without one, from the step that "
        "PeakKL chooses. The embedded model brings one: its clean steps draw better edges.",
        minimum=0,
        maximum=LAST_TIMESTEP,
    )
    edge_metric: str = setting(
        "kl",
        "Difference between the two neighbours across a pixel (eq. 6, table F).",
        choices=METRICS,
    )
    border: str = setting(
        "clamp",
        "At the image border; clamp: compare with the pixel itself; zero: no edge there.",
        choices=("clamp", "zero"),
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
        if self.size % SIDE_MULTIPLE or not 0 <= self.size <= LARGEST_SIDE:
            raise InputError(
                f"Working size {self.size} must be a multiple of {SIDE_MULTIPLE} up to "
                f"{LARGEST_SIDE}, or 0 for the model's own."
            )
        check_settings(self)
