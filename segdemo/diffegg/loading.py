"""From a located backbone to a working pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import diffusers
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)

from segdemo.autoencoders import find_autoencoder
from segdemo.checkpoints.backbone import (
    ENCODER_FAMILY,
    OWN_FAMILY,
    OWN_PARTS,
    PIPELINES,
    PLUGIN_FAMILY,
    BackboneFiles,
)
from segdemo.checkpoints.files import (
    NULL_TEXT,
    PHOTO_FEATURES,
    CheckpointError,
    check_regular,
    read_color_statistics,
    read_json,
)
from segdemo.checkpoints.loading import (
    check_finite,
    first_line,
    load_frozen,
    load_noise_schedule,
    load_null_text,
)
from segdemo.checkpoints.locate import SINGLE_FILE
from segdemo.checkpoints.vision import class_tokens, load_vision
from segdemo.diffegg.adapters import load_adapter
from segdemo.diffegg.backbones.base import Backbone, Denoiser, EncodedPrompt
from segdemo.diffegg.backbones.encoder import EncoderBackbone
from segdemo.diffegg.backbones.flux import PATCH as FLUX_PATCH
from segdemo.diffegg.backbones.flux import FluxBackbone
from segdemo.diffegg.backbones.llava import LlavaBackbone
from segdemo.diffegg.backbones.mmdit import MMDiTBackbone
from segdemo.diffegg.backbones.pixart import PixArtBackbone
from segdemo.diffegg.backbones.unet import UNetBackbone
from segdemo.diffegg.edge_generator import EdgeGenerator
from segdemo.diffegg.features import photo_levels
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.diffegg.prompts import PIPELINE_USES, encode, image_prompt, pipeline_around
from segdemo.diffegg.settings import LAST_TIMESTEP
from segdemo.photo_features import PhotoFeatures
from segdemo.plugins import call_plugin, plugins

NETWORKS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        UNet2DConditionModel,
        SD3Transformer2DModel,
        FluxTransformer2DModel,
        PixArtTransformer2DModel,
    )
}

TEXT_WIDTHS = ("caption_channels", "joint_attention_dim", "cross_attention_dim")
"""What networks call the width of their prompt's tokens; the first that a config has counts."""

WITH_VARIANCE = ("PixArtAlphaPipeline",)
"""Families that may give a variance beside the noise."""


def load_diffegg(
    files: BackboneFiles,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    autoencoder: str = "",
) -> DiffEGGPipeline:
    """Load a located backbone and what was trained for it; raises CheckpointError.

    The adapter takes the precision of the network; the edge generator, which is small, stays in
    float32. autoencoder: one in place of the backbone's, see `find_autoencoder`.
    """
    backbone = load_backbone(files, device, dtype, autoencoder)
    if files.adapter is not None:
        load_adapter(backbone, files.adapter)
    if files.edge_generator is None:
        return DiffEGGPipeline(backbone)
    generator = _load_generator(files.edge_generator, backbone)
    if all(level.layers for level in generator.levels):
        return DiffEGGPipeline(backbone, generator)
    features = _load_photo_features(files.edge_generator, generator)
    return DiffEGGPipeline(backbone, generator, features.to(device))


def load_backbone(
    files: BackboneFiles,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    stand_in: str = "",
) -> Backbone:
    """Load a located backbone without what was added to it; raises CheckpointError.

    The network takes the wanted precision. The autoencoder stays in float32 always: it runs once an
    image, and Stable Diffusion's overflows in float16. Text encoders are gone when this returns.
    stand_in: an autoencoder in place of the model's own, see `find_autoencoder`; a vision
    transformer has none, and it is not looked at.
    """
    if files.family == PLUGIN_FAMILY:
        return call_plugin(files.name, plugins().backbones[files.name], device, dtype)
    if files.family == ENCODER_FAMILY:
        network = load_vision(files.network, dtype).to(device)
        colors = read_color_statistics(files.folder)
        given = files.name, files.native_size, network, *colors
        if network.config.model_type == "llava":
            return LlavaBackbone(*given, image_prompt(files, network))
        return EncoderBackbone(*given, class_tokens(network))
    if files.single is None:
        kind = NETWORKS[PIPELINES.get(files.family, OWN_PARTS).kind]
        network = load_frozen(kind, files.network, dtype)
        autoencoder = load_frozen(AutoencoderKL, files.folder / "vae", torch.float32)
        pipeline = None
    else:
        pipeline = _load_single_file(files)
        network = pipeline.components[files.network.name].to(dtype)
        autoencoder = pipeline.vae
    if stand_in:
        autoencoder = find_autoencoder(stand_in, autoencoder.config.latent_channels)
    _check_channels(files, network.config, autoencoder.config.latent_channels)
    if files.family == OWN_FAMILY:
        encoded = EncodedPrompt(
            load_null_text(files.folder / NULL_TEXT, network.config.cross_attention_dim)
        )
    else:
        pipeline = pipeline or pipeline_around(files, network, autoencoder)
        encoded = encode(files, pipeline, "")
    widths = [network.config.get(name) for name in TEXT_WIDTHS]
    _check_width(files, encoded, next(width for width in widths if width is not None))
    parts = files.name, files.native_size, network.to(device), autoencoder.to(device), encoded
    match network:
        case SD3Transformer2DModel():
            return MMDiTBackbone(*parts)
        case FluxTransformer2DModel():
            return FluxBackbone(*parts)
    scheduler = _load_noise_schedule(files.folder / "scheduler" / "scheduler_config.json")
    kind = PixArtBackbone if isinstance(network, PixArtTransformer2DModel) else UNetBackbone
    return kind(*parts, scheduler)


def encode_prompt(files: BackboneFiles, backbone: Backbone, prompt: str) -> EncodedPrompt | None:
    """Encode words for a backbone of these files; None for no words and without a text encoder.

    The text encoders are loaded for this call alone, since nothing else needs them. Raises
    CheckpointError.
    """
    if not prompt or not files.has_text_encoder or not isinstance(backbone, Denoiser):
        return None
    if files.single is not None:
        return encode(files, _load_single_file(files), prompt)
    pipeline = pipeline_around(files, backbone.network, backbone.autoencoder)
    return encode(files, pipeline, prompt)


def _load_generator(folder: Path, backbone: Backbone) -> EdgeGenerator:
    generator: EdgeGenerator = load_frozen(EdgeGenerator, folder, torch.float32)
    modules = dict(backbone.network.named_modules())
    unknown_layers = [n for level in generator.levels for n in level.layers if n not in modules]
    if unknown_layers:
        raise CheckpointError(
            f"{folder} needs layer {unknown_layers[0]}, which {backbone.name} does not have: give "
            "the model that it was trained for."
        )
    return generator.to(backbone.device)


def _load_photo_features(folder: Path, generator: EdgeGenerator) -> PhotoFeatures:
    """Load what lies beside a generator that looks at it."""
    source = folder.parent / PHOTO_FEATURES
    features: PhotoFeatures = load_frozen(PhotoFeatures, source, torch.float32)
    if photo_levels(features) != [level for level in generator.levels if not level.layers]:
        raise CheckpointError(
            f"{source} is not what {folder} was trained with: copy both from one model."
        )
    return features.eval()


def _load_noise_schedule(file: Path) -> DDPMScheduler:
    """Return the noise levels of a folder; which sampler it names does not matter here."""
    settings = read_json(file)
    steps = settings.get("num_train_timesteps", LAST_TIMESTEP + 1)
    if "beta_start" not in settings or steps != LAST_TIMESTEP + 1:
        raise CheckpointError(
            f"{file} is a {settings.get('_class_name')!r} of {steps!r} steps: a U-Net needs a "
            f"schedule of {LAST_TIMESTEP + 1} betas, such as DDPMScheduler's."
        )
    return load_noise_schedule(settings, file)


def _load_single_file(files: BackboneFiles) -> Any:
    """Load a whole text-to-image model in float32 from a file that holds all its weights."""
    for folder in files.folder.iterdir():
        if folder.is_dir():
            check_regular(folder)
    try:
        pipeline = getattr(diffusers, files.family).from_single_file(
            str(files.single),
            config=str(files.folder),
            torch_dtype=torch.float32,
            local_files_only=True,
            **PIPELINE_USES[files.family].unused,
        )
    except Exception as error:  # what a foreign file raises differs by its kind
        raise CheckpointError(
            f"{files.single} cannot be loaded ({first_line(error)}): check that it is a whole "
            f"text-to-image model, or give a folder ({SINGLE_FILE} makes one)."
        ) from error
    networks = {n: p for n, p in pipeline.components.items() if isinstance(p, torch.nn.Module)}
    for name, network in networks.items():
        weights = {f"{name}.{n}": p for n, p in network.named_parameters()}
        lacking = sorted(n for n, p in weights.items() if p.is_meta)
        if lacking:
            raise CheckpointError(
                f"{files.single} lacks the weights of {lacking[0]!r} and {len(lacking) - 1} more: "
                "the file is incomplete, or not a whole text-to-image model."
            )
        check_finite(cast(Path, files.single), weights, torch.float32)
        network.eval().requires_grad_(False)
    return pipeline


def _check_channels(files: BackboneFiles, config: Any, latents: int) -> None:
    """Raise CheckpointError for a network that does not go from latents to latents."""
    is_flux = files.family == "FluxPipeline"
    taken = config.in_channels // FLUX_PATCH**2 if is_flux else config.in_channels
    if taken != latents:
        raise CheckpointError(
            f"{files.network} takes {taken} channels, the autoencoder beside it makes {latents}: "
            "give a text-to-image model."
        )
    made = config.out_channels
    wanted = (None, taken, 2 * taken) if files.family in WITH_VARIANCE else (None, taken)
    if made not in wanted:
        raise CheckpointError(
            f"{files.network} takes {taken} channels and makes {made}: give a text-to-image model."
        )


def _check_width(files: BackboneFiles, prompt: EncodedPrompt, width: int) -> None:
    tokens = prompt.tokens
    if tokens.ndim != 3 or tokens.shape[-1] != width or not torch.isfinite(tokens).all():
        raise CheckpointError(
            f"{files.folder}: its prompt is {tuple(tokens.shape)} or holds NaN, the network "
            f"needs (1, n, {width}): check that all parts belong to one model."
        )
