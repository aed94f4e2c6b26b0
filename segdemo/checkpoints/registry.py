"""The weights that have a name: where they are, what they are for, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ASSETS = Path(__file__).parent.parent / "assets"
SD_TURBO = "stabilityai/sd-turbo"
OFFICIAL_LICENCE = (
    "DiffDIS weights by their authors (code MIT); SD-Turbo parts under the Stability AI licence"
)

Kind = Literal["diffdis", "backbone", "features", "prompter", "autoencoder"]
"""What weights are for: DiffDIS' network, a denoiser whose attention DiffEGG reads, patch features
of a vision transformer for the base methods of instance segmentation, what answers boxes and
clicks, or an autoencoder in place of a model's own."""


@dataclass(frozen=True)
class Weights:
    """A named set of weights.

    source: a folder inside this package, or the id of a Hub repository. kinds: what it holds.
    licence: empty where the folder's model card says it.
    """

    source: str | Path
    kinds: tuple[Kind, ...]
    note: str
    licence: str = ""


WEIGHTS = {
    "small": Weights(
        ASSETS / "small",
        ("diffdis", "backbone"),
        "embedded, trained from scratch by training/small/; backbone: its generative prior",
    ),
    "small-imagenet": Weights(
        ASSETS / "small-imagenet",
        ("diffdis", "backbone"),
        "embedded, as small, with features trained on ImageNet in DiffDIS and the edge generator",
    ),
    "official": Weights(
        "qianyu1217/diffdis", ("diffdis",), "released DiffDIS U-Net over SD-Turbo", OFFICIAL_LICENCE
    ),
    "dino-vitb8": Weights(
        "facebook/dino-vitb8", ("features",), "DINO ViT-B/8, trained without labels", "Apache 2.0"
    ),
    "prompted-u2netp": Weights(
        ASSETS / "prompted-u2netp",
        ("prompter",),
        "embedded, U2NetP trained on boxes and clicks by training/small/compact/prompting.py",
    ),
}
DEFAULT_MODEL = "small-imagenet"
"""What segments unless something else is asked for."""
DEFAULT_BACKBONE = "small-imagenet"
"""Whose attention is read unless something else is asked for."""
DEFAULT_PROMPTER = "prompted-u2netp"
"""What answers boxes and clicks unless something else is asked for."""


def registered_names(kind: Kind) -> list[str]:
    """Return the names of the registered weights of a kind."""
    return [name for name, weights in WEIGHTS.items() if kind in weights.kinds]


def registered_source(name: str, kind: Kind) -> str | Path | None:
    """Return where registered weights of a kind are; None for a name that has none."""
    weights = WEIGHTS.get(name)
    return weights.source if weights is not None and kind in weights.kinds else None


def embedded_names(kind: Kind) -> list[str]:
    """Return the names of the registered weights of a kind that are inside this package."""
    return [name for name in registered_names(kind) if isinstance(WEIGHTS[name].source, Path)]
