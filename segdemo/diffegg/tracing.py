"""Trace a picture through the noise: attention, its colours and EdgeKL at every timestep."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from segdemo.datatypes import AttentionStep, AttentionTrace, FloatMap, InputError, RGBImage
from segdemo.diffegg.attention import AttentionLayers, AttentionMap, record_attention
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.edge_kl import edge_score
from segdemo.diffegg.peak_kl import attention_gap, choose_peak
from segdemo.diffegg.settings import TraceSettings
from segdemo.diffegg.views import coarse_attention, colours, own_other_ratio, principal_components
from segdemo.diffusion import square_tensor


def trace(
    backbone: Backbone,
    image: RGBImage,
    settings: TraceSettings,
    instances: npt.NDArray[np.int64] | None = None,
) -> Iterator[AttentionTrace]:
    """Yield a growing trace after every timestep of a picture; the last one is complete.

    instances: (H, W) ids of the picture's instances, 0 = background, for the instance check.
    Only the map of the step before is kept beside the present one. Raises InputError for a layer
    filter without a match, instances of another size and attention that is not a number.
    """
    if instances is not None and instances.shape != image.shape[:2]:
        raise InputError(
            f"The instance mask is {instances.shape[1]} x {instances.shape[0]}, its picture "
            f"{image.shape[1]} x {image.shape[0]}: give one of the same size."
        )
    layers = AttentionLayers(
        backbone.attention_layers(), settings.layer_weights, settings.key_norm, settings.text_keys
    ).matching(settings.layers)
    size = settings.size or backbone.native_size
    with torch.inference_mode():
        latents = backbone.encode(square_tensor(image, size).to(backbone.device))  # (1, C, h, w)
    generator = torch.Generator().manual_seed(settings.seed)
    noises = draw_noises(latents, settings.noise_draws, generator)
    steps: list[AttentionStep] = []
    gaps: list[float] = []
    before: AttentionMap | None = None
    components: FloatMap | None = None
    for timestep in settings.timesteps:
        # not around the yield: grad mode belongs to the thread, and the caller runs in between
        with torch.inference_mode():
            if settings.noise == "fresh" and steps:
                noises = draw_noises(latents, settings.noise_draws, generator)
            attention = attention_at(backbone, layers, latents, noises, timestep)
            if before is not None:
                gaps.append(attention_gap(attention, before, settings.gap_metric))
            score = edge_score(attention, settings.edge_metric, settings.border).cpu().numpy()
            if not np.isfinite(score).all():
                raise InputError(
                    f"Attention at timestep {timestep} is not a number: the model's weights are "
                    "damaged, or half precision overflowed; try --precision fp32."
                )
            coarse = coarse_attention(attention)
            components = principal_components(coarse, components)
            ratio = None
            if instances is not None:
                ratio = own_other_ratio(attention, _shrunk(instances, attention.side))
        steps.append(
            AttentionStep(timestep, colours(components), score, coarse.astype(np.float16), ratio)
        )
        before = attention
        curve = choose_peak(settings.timesteps[: len(steps)], gaps, settings.keep)
        names, fixed = tuple(layers.modules), settings.fixed_timestep
        yield AttentionTrace(tuple(steps), curve, names, size, fixed)


def attention_at(
    backbone: Backbone,
    layers: AttentionLayers,
    latents: torch.Tensor,
    noises: list[torch.Tensor],
    timestep: int,
) -> AttentionMap:
    """Record the attention of latents (1, C, h, w) at one timestep, averaged over the noises."""
    side, _ = backbone.token_grid(latents)
    with record_attention(layers, side) as attention:
        for noise in noises:
            backbone.predict(backbone.add_noise(latents, noise, timestep), timestep)
    return attention


def draw_noises(
    latents: torch.Tensor, count: int, generator: torch.Generator
) -> list[torch.Tensor]:
    """Draw `count` noises of the latents' shape; a seed means the same on every device."""
    return [torch.randn(latents.shape, generator=generator).to(latents) for _ in range(count)]


def _shrunk(instances: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.int64]:
    """Take the id at the middle of each of side x side cells."""
    rows, columns = (
        ((np.arange(side) + 0.5) * length / side).astype(int) for length in instances.shape
    )
    return instances[np.ix_(rows, columns)]
