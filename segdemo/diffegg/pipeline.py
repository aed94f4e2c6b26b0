"""DiffEGG on one image: attention over timesteps (PeakKL, EdgeKL), and edges in one pass.

Stage 1 (Algorithms 1 and 2) reads edges out of self-attention: `trace` shows every timestep,
`score_edges` keeps the one that counts. Stage 2 (Algorithm 3), One-Step Self-Distillation in the
published version, trains an edge generator on them: `generate_edges`, one pass an image. `denoise`
and `read` are differentiable and shared with training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from segdemo.datatypes import (
    AttentionStep,
    AttentionTrace,
    EdgeMap,
    FloatMap,
    InputError,
    KLCurve,
    RGBImage,
    nearest_timestep,
)
from segdemo.diffegg.attention import AttentionLayers, AttentionMap, record_attention
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.edge_generator import EdgeGenerator, edge_probability
from segdemo.diffegg.edge_kl import edge_score
from segdemo.diffegg.features import HiddenStates, extract_features
from segdemo.diffegg.peak_kl import attention_gap, choose_peak
from segdemo.diffegg.pseudo_edge import edge_map, pseudo_edge
from segdemo.diffegg.settings import TraceSettings
from segdemo.diffegg.views import (
    attention_ratio,
    coarse_attention,
    colours,
    downsample_labels,
    principal_components,
)
from segdemo.diffusion import square_tensor
from segdemo.photo_features import PhotoFeatures

NOISE_SEED = 0


@dataclass(frozen=True, eq=False)
class EdgeScore:
    """An EdgeKL score (h, w) float32 >= 0 of one timestep, and the curve that was measured."""

    score: FloatMap
    timestep: int
    curve: KLCurve


class DiffEGGPipeline:
    """A backbone whose attention is read, with the edge generator that was trained for it, if any.

    photo_features: what else the generator sees, or None.
    """

    def __init__(
        self,
        backbone: Backbone,
        edge_generator: EdgeGenerator | None = None,
        photo_features: PhotoFeatures | None = None,
    ) -> None:
        """Put the parts together."""
        self.backbone = backbone
        self.edge_generator = edge_generator
        self.photo_features = photo_features

    # Stage 1: edges in the attention of one image ------------------------------------------------

    def trace(
        self,
        image: RGBImage,
        settings: TraceSettings,
        instances: npt.NDArray[np.int64] | None = None,
    ) -> Iterator[AttentionTrace]:
        """Yield a growing trace after every timestep of an image; the last one is complete.

        instances: (H, W) ids of the image's instances, 0 = background, for the instance check.
        Raises InputError for a layer filter without a match, instances of another size and
        attention that is not a number.
        """
        if instances is not None and instances.shape != image.shape[:2]:
            raise InputError(
                f"The instance mask is {instances.shape[1]} x {instances.shape[0]}, its image "
                f"{image.shape[1]} x {image.shape[0]}: give one of the same size."
            )
        yield from self.trace_of_maps(self._attention_maps(image, settings), settings, instances)

    def trace_of_maps(
        self,
        maps: Iterable[tuple[AttentionMap, KLCurve]],
        settings: TraceSettings,
        instances: npt.NDArray[np.int64] | None = None,
    ) -> Iterator[AttentionTrace]:
        """Yield a growing trace of maps that come with the curve so far; see `trace`."""
        layers = tuple(self.attention_layers(settings).modules)
        steps: list[AttentionStep] = []
        components: FloatMap | None = None
        for attention, curve in maps:
            timestep = curve.timesteps[-1]
            score = _edge_score(attention, settings, timestep)
            coarse = coarse_attention(attention)
            components = principal_components(coarse, components)
            ratio = None
            if instances is not None:
                ratio = attention_ratio(attention, downsample_labels(instances, attention.side))
            pca_image, kept = colours(components), coarse.astype(np.float16)
            steps.append(AttentionStep(timestep, pca_image, score, kept, ratio))
            fixed = settings.fixed_timestep
            yield AttentionTrace(tuple(steps), curve, layers, self.side(settings), fixed)

    def score_edges(
        self, image: RGBImage, settings: TraceSettings, whole_curve: bool = False
    ) -> EdgeScore:
        """Score an image's edges at the fixed timestep of the settings, else at PeakKL's.

        whole_curve: run every timestep even if one is fixed; without it, a fixed timestep takes one
        pass and the curve has no gap. Raises InputError as `trace` does.
        """
        timestep: int | None = None
        if settings.fixed_timestep is not None:
            steps = self._timesteps(settings)
            timestep = steps[nearest_timestep(steps, settings.fixed_timestep)]
        only = None if whole_curve else timestep
        kept: dict[int, AttentionMap] = {}  # of the last timestep and the chosen one
        for attention, curve in self._attention_maps(image, settings, only):
            last = curve.timesteps[-1]
            kept[last] = attention
            chosen = curve.peak_timestep if timestep is None else timestep
            kept = {t: kept[t] for t in (last, chosen) if t in kept}
        return EdgeScore(_edge_score(kept[chosen], settings, chosen), chosen, curve)

    def edges(self, image: RGBImage, settings: TraceSettings, rule: str = "paper") -> EdgeMap:
        """Return an image's instance edges at its own size; `origin` says how they were found.

        From the edge generator where there is one. Else from EdgeKL; rule: sets the threshold that
        becomes 0.5 (see `segdemo.diffegg.pseudo_edge`). The generator uses neither rule nor
        settings.
        """
        if self.edge_generator is not None:
            return self.generate_edges(image)
        return self.attention_edges(image, settings, rule)

    def attention_edges(
        self, image: RGBImage, settings: TraceSettings, rule: str = "paper"
    ) -> EdgeMap:
        """Return an image's instance edges from EdgeKL, even where there is an edge generator."""
        score = self.score_edges(image, settings).score
        return edge_map(score, pseudo_edge(score, rule).upper, (image.shape[0], image.shape[1]))

    def attention_layers(self, settings: TraceSettings) -> AttentionLayers:
        """Return the layers that count; raises InputError for a filter that matches none."""
        layers = AttentionLayers(
            self.backbone.attention_layers(),
            settings.layer_weights,
            settings.key_norm,
            settings.text_keys,
            self.backbone.first_image_token,
        )
        return layers.matching(settings.layers)

    def attention_at(
        self,
        layers: AttentionLayers,
        latents: torch.Tensor,
        noises: list[torch.Tensor],
        timestep: int,
    ) -> AttentionMap:
        """Record the attention of latents (1, C, h, w) at a timestep, averaged over the noises."""
        side, _ = self.backbone.token_grid(latents)
        with record_attention(layers, side) as attention:
            for noise in noises:
                noisy = self.backbone.add_noise(latents, noise, timestep)
                self.backbone.predict(noisy, timestep)
        return attention

    def _timesteps(self, settings: TraceSettings) -> tuple[int, ...]:
        """Return the timesteps that are run: a network that sees no noise has one, 0."""
        return settings.timesteps if self.backbone.denoises else (0,)

    def _attention_maps(
        self, image: RGBImage, settings: TraceSettings, only: int | None = None
    ) -> Iterator[tuple[AttentionMap, KLCurve]]:
        """Yield the map of each timestep and the curve so far, from noisy to clean (Algorithm 1).

        only: run this timestep alone, with the noise that it would have among the others. Beside
        the map that was yielded, only the one before is kept.
        """
        layers = self.attention_layers(settings)
        with torch.inference_mode():
            square = square_tensor(image, self.side(settings)).to(self.backbone.device)
            latents = self.backbone.encode(square)  # (1, C, h, w)
        generator = torch.Generator().manual_seed(settings.seed)
        draws = settings.noise_draws if self.backbone.denoises else 1
        noises = draw_noises(latents, draws, generator)
        timesteps: list[int] = []
        gaps: list[float] = []
        before: AttentionMap | None = None
        for index, timestep in enumerate(self._timesteps(settings)):
            if settings.noise == "fresh" and index:
                noises = draw_noises(latents, settings.noise_draws, generator)
            if only not in (None, timestep):
                continue
            # not around the yield: grad mode belongs to the thread, and the caller runs in between
            with torch.inference_mode():
                attention = self.attention_at(layers, latents, noises, timestep)
                if before is not None:
                    gaps.append(finite_gap(attention, before, settings, timestep))
            timesteps.append(timestep)
            before = attention
            yield attention, choose_peak(timesteps, gaps, settings.keep)

    def side(self, settings: TraceSettings) -> int:
        """Return the side in pixels that the model sees."""
        return settings.size or self.backbone.native_size

    # Stage 2: the edge generator -----------------------------------------------------------------

    @torch.inference_mode()
    def generate_edges(self, image: RGBImage) -> EdgeMap:
        """Return an image's edges at its own size: one pass, with the backbone's adapter if any."""
        assert self.edge_generator is not None
        side = self.edge_generator.config.size
        square = square_tensor(image, side).to(self.backbone.device)  # (1, 3, S, S)
        with self.backbone.adapted():
            states = self.read(self.backbone.encode(square), square)
        logits = self.edge_generator(states.maps)  # (1, 1, S/4, S/4)
        probability = edge_probability(logits, (image.shape[0], image.shape[1]))[0]  # (H, W)
        return EdgeMap(probability.clamp(0, 1).cpu().numpy(), "edge_generator")

    def generator_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """Return what the denoiser is shown of clean latents (B, C, h, w) for the generator.

        At the generator's timestep 0 the latents themselves; above, with noise that is the same for
        every image.
        """
        assert self.edge_generator is not None
        timestep = self.edge_generator.config.timestep
        if timestep == 0:
            return latents
        fixed = torch.Generator().manual_seed(NOISE_SEED)
        noise = torch.randn(latents.shape[1:], generator=fixed).to(latents)
        return self.backbone.add_noise(latents, noise.expand_as(latents), timestep)

    def read(self, latents: torch.Tensor, images: torch.Tensor) -> HiddenStates:
        """Run the denoiser once on clean latents (B, C, h, w) as the generator wants it.

        images: (B, 3, S, S) in [-1, 1], which the latents are of; for photo features.
        """
        assert self.edge_generator is not None
        levels = self.edge_generator.levels
        hidden = [level for level in levels if level.layers]
        noisy = self.generator_latents(latents)
        states = extract_features(self.backbone, hidden, noisy, self.edge_generator.config.timestep)
        if self.photo_features is None or len(hidden) == len(levels):
            return states
        denoiser, photo = iter(states.maps), iter(self.photo_features(images))
        maps = [next(denoiser if level.layers else photo) for level in levels]
        return HiddenStates(maps, states.prediction)


def draw_noises(
    latents: torch.Tensor, count: int, generator: torch.Generator
) -> list[torch.Tensor]:
    """Draw `count` noises of the latents' shape; a seed means the same on every device."""
    return [torch.randn(latents.shape, generator=generator).to(latents) for _ in range(count)]


def finite_gap(
    attention: AttentionMap, before: AttentionMap, settings: TraceSettings, timestep: int
) -> float:
    """Return the gap to the step before; raises InputError where it is not a number."""
    gap = attention_gap(attention, before, settings.gap_metric)
    _refuse_nan(gap, timestep)
    return gap


@torch.inference_mode()
def _edge_score(attention: AttentionMap, settings: TraceSettings, timestep: int) -> FloatMap:
    """Return the EdgeKL score (h, w); raises InputError where it is not a number."""
    score = edge_score(attention, settings.edge_metric, settings.border)
    _refuse_nan(float(score.sum()), timestep)
    return score.cpu().numpy()


def _refuse_nan(value: float, timestep: int) -> None:
    if not math.isfinite(value):
        raise InputError(
            f"Attention at timestep {timestep} is not a number: the model's weights are damaged, "
            "or half precision overflowed; try --precision fp32."
        )
