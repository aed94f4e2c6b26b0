"""How DiffDIS segments a picture. No torch, so that a page or a command line can explain it."""

from __future__ import annotations

from dataclasses import dataclass, field

from segdemo.datatypes import InputError

SIDE_MULTIPLE = 64  # the autoencoder divides by 8, the U-Net by 8 more
LARGEST_SIDE = 2048


@dataclass(frozen=True)
class DiffDISSettings:
    """How one picture is segmented; a model's card may switch some of its flags on."""

    size: int = field(
        default=0,
        metadata={
            "label": "Working size",
            "help": "Side in pixels that the picture is squashed to, a multiple of 64; 0 takes the "
            "size the model was trained at.",
        },
    )
    seed: int = field(
        default=0, metadata={"help": "Seed of the starting noise; the same seed, the same mask."}
    )
    augment: bool = field(
        default=False,
        metadata={
            "label": "Test-time augmentation",
            "help": "Average six passes: mirrored or not, at 0.75, 1 and 1.25 of the size.",
        },
    )
    follow: bool = field(
        default=False,
        metadata={
            "label": "Follow outlines",
            "help": "Let the mask's outline follow the photo's colours (guided filter): for models "
            "whose maps are coarser than the photo.",
        },
    )
    second_opinion: bool = field(
        default=False,
        metadata={
            "label": "Second opinion",
            "help": "Average the mask with that of U2NetP, a small network trained to find the "
            "subject of a photo, which looks twice: for models that know few objects.",
        },
    )
    ensemble: int = field(
        default=1,
        metadata={
            "help": "Passes with different noise whose median is taken; also measures doubt."
        },
    )

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        if self.size % SIDE_MULTIPLE or not 0 <= self.size <= LARGEST_SIDE:
            raise InputError(
                f"Working size {self.size} must be a multiple of {SIDE_MULTIPLE} up to "
                f"{LARGEST_SIDE}, or 0 for the model's own."
            )
        if not 1 <= self.ensemble <= 32:
            raise InputError(f"Ensemble of {self.ensemble} passes: choose 1 to 32.")
