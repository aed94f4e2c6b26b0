"""How DiffDIS segments an image. No torch, so that a page or a command line can explain it."""

from __future__ import annotations

from dataclasses import dataclass

from segdemo.datatypes import InputError
from segdemo.settings import LARGEST_SEED, check_settings, setting

SIDE_MULTIPLE = 64  # the autoencoder divides by 8, the U-Net by 8 more
LARGEST_SIDE = 2048
NOISES = ("gaussian", "pyramid")


@dataclass(frozen=True)
class DiffDISSettings:
    """How one image is segmented; a model's card may switch some of its flags on."""

    size: int = setting(
        0,
        "Side in pixels that the image is squashed to, a multiple of 64; 0 takes the size the "
        "model was trained at.",
        minimum=0,
        maximum=LARGEST_SIDE,
        unit="pixels",
        label="Working size",
    )
    seed: int = setting(
        0,
        "Seed of the starting noise; the same seed, the same mask. Of no effect on models that "
        "start from the mean of all noise, unless there is an ensemble.",
        minimum=0,
        maximum=LARGEST_SEED,
    )
    augment: bool = setting(
        False,
        "Average six passes: mirrored or not, at 0.75, 1 and 1.25 of the size.",
        label="Test-time augmentation",
    )
    follow: bool = setting(
        False,
        "Let the mask's outline follow the photo's colours (guided filter): for models whose maps "
        "are coarser than the photo.",
        label="Follow outlines",
    )
    second_opinion: bool = setting(
        False,
        "Average the mask with the saliency map of U2NetP, a small network for salient object "
        "detection: for models that know few objects.",
        label="Second opinion",
    )
    ensemble: int = setting(
        1,
        "Passes with different noise whose median is taken; also measures doubt.",
        minimum=1,
        maximum=32,
        unit="passes",
    )
    noise: str = setting(
        "gaussian",
        "Starting noise; gaussian: one for mask and edge, as the paper prints it; pyramid: "
        "multi-resolution, one for each, as the official code trains with. Of no effect where the "
        "seed has none.",
        choices=NOISES,
        label="Starting noise",
    )
    sampler: str = setting(
        "ddim",
        "Of models with several denoising steps; ddim: by the noise that was found, ddpm: "
        "ancestral, with fresh noise (eq. 3).",
        choices=("ddim", "ddpm"),
    )

    mirror: bool = setting(
        False,
        "Average with a pass over the mirrored image; part of test-time augmentation.",
        label="Mirrored pass",
    )
    second_look: bool = setting(
        False,
        "Look again at the part around the subject, at the full working size, and average both.",
        label="Second look",
    )

    share: bool = setting(
        False,
        "Of several passes, encode each size once, a mirrored pass seeing mirrored latents and "
        "features, and average before decoding once: much faster than the official way, whose "
        "masks it comes close to.",
        label="Share encoding and decoding",
    )

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        if self.size % SIDE_MULTIPLE or not 0 <= self.size <= LARGEST_SIDE:
            raise InputError(
                f"Working size {self.size} must be a multiple of {SIDE_MULTIPLE} up to "
                f"{LARGEST_SIDE}, or 0 for the model's own."
            )
        check_settings(self)
