"""Stage 1 of DiffEGG for one picture: PeakKL as a fold, EdgeKL of the chosen step only.

The same numbers as `segdemo.diffegg.tracing.trace`, without what only eyes need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from segdemo.datatypes import FloatMap, InputError, KLCurve, RGBImage
from segdemo.diffegg.attention import AttentionLayers, AttentionMap
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.edge_kl import edge_score
from segdemo.diffegg.peak_kl import attention_gap, choose_peak
from segdemo.diffegg.settings import TraceSettings
from segdemo.diffegg.tracing import attention_at, draw_noises
from segdemo.diffusion import square_tensor


@dataclass(frozen=True, eq=False)
class EdgeScore:
    """An EdgeKL score (h, w) float32 >= 0 of one timestep, and the curve that was measured."""

    score: FloatMap
    timestep: int
    curve: KLCurve


def chosen_layers(backbone: Backbone, settings: TraceSettings) -> AttentionLayers:
    """Return the layers that count; raises InputError for a filter that matches none."""
    layers = AttentionLayers(
        backbone.attention_layers(), settings.layer_weights, settings.key_norm, settings.text_keys
    )
    return layers.matching(settings.layers)


@torch.inference_mode()
def score_edges(
    backbone: Backbone,
    layers: AttentionLayers,
    image: RGBImage,
    settings: TraceSettings,
    whole_curve: bool = True,
) -> EdgeScore:
    """Score a picture's edges at the fixed timestep of the settings, else at PeakKL's.

    whole_curve: also runs the steps that only the curve needs; without it, which takes a fixed
    timestep, the curve has that step alone. Only the maps of the step before and of the best are
    kept. Raises InputError for attention that is not a number.
    """
    side = settings.size or backbone.native_size
    latents = backbone.encode(square_tensor(image, side).to(backbone.device))  # (1, C, h, w)
    wanted = _nearest(settings)
    generator = torch.Generator().manual_seed(settings.seed)
    noises = draw_noises(latents, settings.noise_draws, generator)
    run: list[int] = []
    gaps: list[float] = []
    before: AttentionMap | None = None
    best: AttentionMap | None = None
    for index, timestep in enumerate(settings.timesteps):
        if index and settings.noise == "fresh":
            noises = draw_noises(latents, settings.noise_draws, generator)
        if not whole_curve and index != wanted:
            continue
        attention = attention_at(backbone, layers, latents, noises, timestep)
        run.append(timestep)
        if before is not None:
            gaps.append(attention_gap(attention, before, settings.gap_metric))
        peak = choose_peak(run, gaps, settings.keep).peak if wanted is None else wanted
        if index == peak:
            best = attention
        elif wanted is None and index - 1 == peak:
            best = before  # the noisier one of the pair is kept
        before = attention
    assert best is not None  # there are steps, and the fixed one is among them
    curve = choose_peak(run, gaps, settings.keep)
    timestep = curve.peak_timestep if wanted is None else settings.timesteps[wanted]
    score = edge_score(best, settings.edge_metric, settings.border).cpu().numpy()
    if not np.isfinite(score).all() or not all(map(math.isfinite, gaps)):
        raise InputError(
            "Attention is not a number: the model's weights are damaged, or half precision "
            "overflowed; try --precision fp32."
        )
    return EdgeScore(score, timestep, curve)


def _nearest(settings: TraceSettings) -> int | None:
    """Return the place of the timestep nearest to the fixed one; None without one."""
    if settings.fixed_timestep is None:
        return None
    apart = [abs(timestep - settings.fixed_timestep) for timestep in settings.timesteps]
    return apart.index(min(apart))
