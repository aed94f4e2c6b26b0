"""Where the parts of a text-to-image model lie, whose attention DiffEGG reads.

A backbone is a Stable Diffusion model as diffusers saves it (`PIPELINES`), or one of our
checkpoints, whose `prior/` is the denoiser. What `training.diffegg` adds to it, a LoRA in
`adapter/` and an `edge_generator/`, lies beside its parts, or in a folder of its own whose card
names the model as its `base`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segdemo.checkpoints.card import CARD, read_card
from segdemo.checkpoints.files import (
    ADAPTER,
    EDGE_GENERATOR,
    LORA_FILE,
    TRANSFORMERS_STEM,
    CheckpointError,
    read_json,
    weight_files,
)
from segdemo.checkpoints.locate import downloads, locate, locate_base
from segdemo.checkpoints.registry import registered_source


@dataclass(frozen=True)
class PipelineParts:
    """Which folders of a diffusers model count here, beside `vae/` and `scheduler/`."""

    network: str
    text_encoders: tuple[str, ...]


OWN_FAMILY = "segdemo"
TRACE_KEYS = {"size", "fixed_timestep"}  # settings that a card may bring
PIPELINES = {
    "StableDiffusionPipeline": PipelineParts("unet", ("text_encoder",)),
    "StableDiffusionXLPipeline": PipelineParts("unet", ("text_encoder", "text_encoder_2")),
    # its third encoder, T5, is larger than the network itself, and trained to be left out
    "StableDiffusion3Pipeline": PipelineParts("transformer", ("text_encoder", "text_encoder_2")),
}
"""The text-to-image models that are understood, by the class that `model_index.json` names."""


@dataclass(frozen=True)
class BackboneFiles:
    """A located text-to-image model.

    name: what the user called it. family: `OWN_FAMILY`, or the class in `PIPELINES`. network: the
    denoiser's folder. native_size: side in pixels that it was trained at. trace: values of
    `TraceSettings` that suit it better than the paper's, by name. adapter: the file of a LoRA for
    the network, or None. edge_generator: its folder, or None; it wants the adapter in the network.
    base: what the text-to-image model itself is called, where the name is of an addition to it.
    edge_training: what the edge generator was trained on, in words; see `ModelCard`.
    """

    name: str
    folder: Path
    family: str
    network: Path
    native_size: int
    licence: str
    trace: dict[str, Any] = field(default_factory=dict)
    adapter: Path | None = None
    edge_generator: Path | None = None
    base: str = ""
    edge_training: str = ""


def locate_backbone(name: str) -> BackboneFiles:
    """Find a text-to-image model by registered name, folder or Hub id, all its weights there.

    Downloads from the Hub where that is meant, never a pickle. Raises CheckpointError.
    """
    return _in_folder(locate(name, "backbone"), name)


def _in_folder(folder: Path, name: str) -> BackboneFiles:
    """Find a whole model, or what was trained for one and then the model that the card names."""
    added = [part for part in (ADAPTER, EDGE_GENERATOR) if (folder / part).is_dir()]
    whole = (folder / "prior").is_dir() or (folder / "model_index.json").exists()
    if whole or not added:
        files = _whole_model(folder, name)
    else:
        files = _base_of(folder, name)
    adapter = folder / ADAPTER / LORA_FILE if ADAPTER in added else None
    generator = folder / EDGE_GENERATOR if EDGE_GENERATOR in added else None
    if adapter is not None and not adapter.exists():
        raise CheckpointError(f"{adapter} is missing: copy the whole folder again.")
    if generator is not None:
        weight_files(generator)
    return replace(
        files,
        name=name,
        adapter=adapter,
        edge_generator=generator,
        base=files.name,
        edge_training=read_card(folder, name).edge_training if generator else "",
    )


def _base_of(folder: Path, name: str) -> BackboneFiles:
    """Find the model that a folder without one of its own was trained for."""
    card = read_card(folder, name)
    if not (folder / CARD).exists() or card.base is None:
        raise CheckpointError(
            f"{folder} holds no text-to-image model and its {CARD} names none as 'base': add the "
            "name, folder or Hub id of the one that it was trained for."
        )
    base = locate_base(card.base, folder, "backbone", downloads("backbone"))
    local = (folder / Path(card.base).expanduser()).is_dir()
    public = registered_source(card.base, "backbone") is not None or not local
    files = _whole_model(base, card.base if public else str(base))
    return replace(files, licence=card.licence, trace=files.trace | _trace_of(card.trace, folder))


def _whole_model(folder: Path, name: str) -> BackboneFiles:
    index = folder / "model_index.json"
    if (folder / "prior").is_dir():
        family, parts = OWN_FAMILY, PipelineParts("prior", ())
    elif index.exists():
        family = str(read_json(index).get("_class_name"))
        if family not in PIPELINES:
            raise CheckpointError(
                f"{folder} is a {family}: only {', '.join(PIPELINES)} can be opened here."
            )
        parts = PIPELINES[family]
    else:
        networks = [part for part in ("unet", "transformer") if (folder / part).is_dir()]
        lack = "model_index.json nor prior/" if networks else "unet/, transformer/ nor prior/"
        raise CheckpointError(
            f"{folder} is not a text-to-image model: it has neither {lack}. Give a whole folder as "
            "diffusers saves it, a Hub id, or small."
        )
    network = folder / parts.network
    for part in (network, folder / "vae"):
        weight_files(part)
    for encoder in parts.text_encoders:
        weight_files(folder / encoder, TRANSFORMERS_STEM)
    if family == OWN_FAMILY:
        card = read_card(folder, name)
        own = (card.native_size, card.licence, _trace_of(card.trace, folder))
        return BackboneFiles(name, folder, family, network, *own)
    size = _native_size(network, folder / "vae")
    return BackboneFiles(name, folder, family, network, size, _stated_licence(folder))


def _trace_of(trace: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what a card says of tracing, checked; raises CheckpointError."""
    if set(trace) - TRACE_KEYS:
        raise CheckpointError(
            f"{folder / CARD}: 'trace' may hold {' and '.join(sorted(TRACE_KEYS))} only."
        )
    return trace


def _native_size(network: Path, autoencoder: Path) -> int:
    """Return the side in pixels that a network's latents stand for."""
    side = read_json(network / "config.json").get("sample_size")
    widths = read_json(autoencoder / "config.json").get("block_out_channels")
    if not isinstance(side, int) or not isinstance(widths, list):
        raise CheckpointError(
            f"{network / 'config.json'} or the one in {autoencoder} does not say its size "
            "(sample_size, block_out_channels): copy or download them again."
        )
    halvings = len(widths) - 1
    return int(side * 2**halvings)


def _stated_licence(folder: Path) -> str:
    """Return what the head of a Hub repository's README.md calls its licence."""
    readme = folder / "README.md"
    text = readme.read_text(errors="replace") if readme.exists() else ""
    stated = dict(re.findall(r"^(license|license_name): *(\S+)$", text, re.MULTILINE))
    return stated.get("license_name") or stated.get("license") or "licence not stated in its folder"
