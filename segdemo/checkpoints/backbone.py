"""Where the parts of a model lie whose attention DiffEGG reads.

A backbone is a text-to-image model as diffusers saves it (`PIPELINES`), one of our checkpoints,
whose `prior/` is the denoiser, or a vision transformer as transformers saves it (`ENCODERS`).
What `training.diffegg` adds to it, a LoRA in `adapter/` and an `edge_generator/`, lies beside its
parts, or in a folder of its own whose card names the model as its `base`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segdemo.checkpoints.card import CARD, read_card
from segdemo.checkpoints.configs import read_config
from segdemo.checkpoints.files import (
    ADAPTER,
    EDGE_GENERATOR,
    LORA_FILE,
    PEFT_FILE,
    TRANSFORMERS_STEM,
    CheckpointError,
    network_files,
    read_header,
    read_json,
)
from segdemo.checkpoints.locate import PARTS, SINGLE_FILE, download, locate, locate_base
from segdemo.checkpoints.registry import registered_source
from segdemo.plugins import plugins


@dataclass(frozen=True)
class PipelineParts:
    """Which folders of a diffusers model count here, beside `vae/` and `scheduler/`.

    network: the denoiser's. kind: its class in diffusers. text_encoders: that have to be there.
    optional_encoder: one that is used where its folder is there. sample_size: latents along a side
    of what the network was trained on, where its config does not say so.
    """

    network: str
    kind: str
    text_encoders: tuple[str, ...]
    optional_encoder: str = ""
    sample_size: int | None = None


DEFAULT_ENCODER_SIDE, LARGEST_ENCODER_SIDE = 224, 2048  # pixels
SIDE_STEP = 64  # working sizes are multiples of it

OWN_FAMILY = "segdemo"
OWN_PARTS = PipelineParts("prior", "UNet2DConditionModel", ())
_TWO_ENCODERS = ("text_encoder", "text_encoder_2")
PIPELINES = {
    "StableDiffusionPipeline": PipelineParts("unet", "UNet2DConditionModel", ("text_encoder",)),
    "StableDiffusionXLPipeline": PipelineParts("unet", "UNet2DConditionModel", _TWO_ENCODERS),
    # its third encoder, T5, is larger than the network itself, and trained to be left out
    "StableDiffusion3Pipeline": PipelineParts(
        "transformer", "SD3Transformer2DModel", _TWO_ENCODERS, "text_encoder_3"
    ),
    "PixArtAlphaPipeline": PipelineParts(
        "transformer", "PixArtTransformer2DModel", ("text_encoder",)
    ),
    "FluxPipeline": PipelineParts(
        "transformer", "FluxTransformer2DModel", _TWO_ENCODERS, sample_size=128
    ),
}
"""The text-to-image models that are understood, by the class that `model_index.json` names."""

ENCODER_FAMILY = "encoder"
PLUGIN_FAMILY = "plugin"
"""Of what another package loads by itself."""
ENCODERS = {
    "vit": "ViTModel",  # DINO's
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
    "llava": "LlavaForConditionalGeneration",
}
"""The vision transformers, and what asks them, that are understood: class by `model_type`."""

_LDM = "model.diffusion_model."  # what single files call the denoiser
SINGLE_FILES = (
    (
        "conditioner.embedders.1.model.text_projection",
        "StableDiffusionXLPipeline",
        "stabilityai/stable-diffusion-xl-base-1.0",
    ),
    (
        f"{_LDM}joint_blocks.37.x_block.mlp.fc1.weight",
        "StableDiffusion3Pipeline",
        "stabilityai/stable-diffusion-3.5-large",
    ),
    (
        f"{_LDM}joint_blocks.0.x_block.attn2.qkv.weight",
        "StableDiffusion3Pipeline",
        "stabilityai/stable-diffusion-3.5-medium",
    ),
    (
        f"{_LDM}joint_blocks.0.x_block.mlp.fc1.weight",
        "StableDiffusion3Pipeline",
        "stabilityai/stable-diffusion-3-medium-diffusers",
    ),
    (
        "cond_stage_model.model.token_embedding.weight",
        "StableDiffusionPipeline",
        "stabilityai/stable-diffusion-2-1",
    ),
    (
        f"{_LDM}input_blocks.0.0.weight",
        "StableDiffusionPipeline",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
    ),
)
"""Kinds of single files: a tensor that tells it, its pipeline, the repository of its settings."""


@dataclass(frozen=True)
class BackboneFiles:
    """A located backbone.

    name: what the user called it. family: `OWN_FAMILY`, `ENCODER_FAMILY`, or the class in
    `PIPELINES`. network: the folder of the denoiser or encoder. native_size: side in pixels that it
    was trained at. trace: values of `TraceSettings` that suit it better than the paper's, by name.
    adapter: the file of a LoRA for the network, or None. edge_generator: its folder, or None; it
    wants the adapter in the network.
    base: what the text-to-image model itself is called, where the name is of an addition to it.
    single: the file that holds all weights, or None; `folder` then has only their settings.
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
    single: Path | None = None
    edge_training: str = ""

    @property
    def has_text_encoder(self) -> bool:
        """Whether words mean anything to it; our own family has one constant prompt."""
        return self.family in PIPELINES


def locate_backbone(name: str) -> BackboneFiles:
    """Find a backbone by registered name, plugin's name, folder, file or Hub id, all weights there.

    Downloads from the Hub where that is meant, never a pickle. Raises CheckpointError.
    """
    if name in plugins().backbones:
        return BackboneFiles(name, Path(), PLUGIN_FAMILY, Path(), 0, "see the plugin")
    source = locate(name, "backbone")
    return _in_file(source, name) if source.is_file() else _in_folder(source, name)


def _in_file(file: Path, name: str) -> BackboneFiles:
    """Find the settings that belong to a single file of weights."""
    tensors = read_header(file)
    found = [entry for entry in SINGLE_FILES if entry[0] in tensors]
    if not found:
        raise CheckpointError(
            f"{file} does not hold a whole text-to-image model under the names of Stable Diffusion "
            f"1, 2, XL or 3 (such as {SINGLE_FILES[-1][0]!r}): give such a file or a folder as "
            f"diffusers saves it ({SINGLE_FILE} makes one)."
        )
    _, family, repository = found[0]
    parts = PIPELINES[family]
    folders = (parts.network, "vae", "scheduler", "tokenizer*", *parts.text_encoders)
    patterns = [f"{folder}/*.{text}" for folder in folders for text in ("json", "txt")]
    try:
        folder = download(repository, ["model_index.json", *patterns])
        size = _native_size(folder, parts)
    except CheckpointError as error:
        raise CheckpointError(
            f"{file} is a single file, whose settings are those of {repository}: connect to the "
            f"Hub once to fetch them, or give a folder ({SINGLE_FILE} makes one). {error}"
        ) from error
    licence = "licence not stated in its file"
    network = folder / parts.network
    return BackboneFiles(name, folder, family, network, size, licence, base=name, single=file)


def _in_folder(folder: Path, name: str) -> BackboneFiles:
    """Find a whole model, or what was trained for one and then the model that the card names."""
    added = [part for part in (ADAPTER, EDGE_GENERATOR) if (folder / part).is_dir()]
    settings = ("model_index.json", "config.json")
    whole = (folder / "prior").is_dir() or any((folder / file).exists() for file in settings)
    if whole or not added:
        files = _whole_model(folder, name)
    else:
        files = _base_of(folder, name)
    adapter = _lora_in(folder / ADAPTER) if ADAPTER in added else None
    generator = folder / EDGE_GENERATOR if EDGE_GENERATOR in added else None
    if generator is not None:
        network_files(generator)
    return replace(
        files,
        name=name,
        adapter=adapter,
        edge_generator=generator,
        base=files.name,
        edge_training=read_card(folder, name).edge_training if generator else "",
    )


def _lora_in(folder: Path) -> Path:
    """Return the LoRA of a folder, by diffusers' or PEFT's name or as its only weights."""
    for name in (LORA_FILE, PEFT_FILE):
        if (folder / name).is_file():
            return folder / name
    others = sorted(folder.glob("*.safetensors"))
    if len(others) != 1:
        raise CheckpointError(f"{folder / LORA_FILE} is missing: copy the whole folder again.")
    return others[0]


def _base_of(folder: Path, name: str) -> BackboneFiles:
    """Find the model that a folder without one of its own was trained for."""
    card = read_card(folder, name)
    if not (folder / CARD).exists() or card.base is None:
        raise CheckpointError(
            f"{folder} holds no text-to-image model and its {CARD} names none as 'base': add the "
            "name, folder or Hub id of the one that it was trained for."
        )
    base = locate_base(card.base, folder, "backbone", PARTS["backbone"])
    local = (folder / Path(card.base).expanduser()).is_dir()
    public = registered_source(card.base, "backbone") is not None or not local
    files = _whole_model(base, card.base if public else str(base))
    return replace(files, licence=card.licence, trace=files.trace | card.trace)


def _whole_model(folder: Path, name: str) -> BackboneFiles:
    index = folder / "model_index.json"
    if (folder / "prior").is_dir():
        family, parts = OWN_FAMILY, OWN_PARTS
    elif index.exists():
        family = str(read_json(index).get("_class_name"))
        if family not in PIPELINES:
            raise CheckpointError(
                f"{folder} is a {family}: only {', '.join(PIPELINES)} can be opened here."
            )
        parts = PIPELINES[family]
    elif (folder / "config.json").exists():
        return _encoder(folder, name)
    else:
        networks = [part for part in ("unet", "transformer") if (folder / part).is_dir()]
        lack = "model_index.json nor prior/" if networks else "unet/, transformer/ nor prior/"
        raise CheckpointError(
            f"{folder} is not a text-to-image model: it has neither {lack}. Give a whole folder as "
            "diffusers saves it, a vision transformer's as transformers does, a Hub id, or small."
        )
    network = folder / parts.network
    for part in (network, folder / "vae"):
        network_files(part)
    for encoder in parts.text_encoders:
        network_files(folder / encoder, TRANSFORMERS_STEM)
    if family == OWN_FAMILY:
        card = read_card(folder, name)
        trace: dict[str, Any] = dict(card.trace)
        return BackboneFiles(name, folder, family, network, card.native_size, card.licence, trace)
    size = _native_size(folder, parts)
    return BackboneFiles(name, folder, family, network, size, _stated_licence(folder))


def _encoder(folder: Path, name: str) -> BackboneFiles:
    """Find a vision transformer, of a model of image and text the part for images."""
    settings = read_json(folder / "config.json")
    kind = str(settings.get("model_type"))
    if kind not in ENCODERS:
        raise CheckpointError(
            f"{folder} is a {kind}: of transformers only a vision encoder ({', '.join(ENCODERS)}) "
            "can be opened here."
        )
    network_files(folder, TRANSFORMERS_STEM)
    vision = settings.get("vision_config", settings)
    side = vision.get("image_size", DEFAULT_ENCODER_SIDE) if isinstance(vision, dict) else None
    if not isinstance(side, int) or not 0 < side <= LARGEST_ENCODER_SIDE:
        raise CheckpointError(
            f"{folder / 'config.json'}: image_size {side!r} is not a number of pixels up to "
            f"{LARGEST_ENCODER_SIDE}: copy or download it again."
        )
    size = -(-side // SIDE_STEP) * SIDE_STEP
    return BackboneFiles(name, folder, ENCODER_FAMILY, folder, size, _stated_licence(folder))


def _native_size(folder: Path, parts: PipelineParts) -> int:
    """Return the side in pixels that a network's latents stand for."""
    network, autoencoder = folder / parts.network, folder / "vae"
    side = read_config(network, parts.kind).get("sample_size", parts.sample_size)
    widths = read_config(autoencoder, "AutoencoderKL").get("block_out_channels")
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
