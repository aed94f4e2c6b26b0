"""Attention while an image is generated from noise (Fig. 2, left), in place of noising a photo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import torch

from segdemo.datatypes import AttentionTrace, InputError, KLCurve, RGBImage
from segdemo.diffegg.attention import AttentionMap, record_attention
from segdemo.diffegg.backbones.base import Denoiser, EncodedPrompt
from segdemo.diffegg.peak_kl import choose_peak
from segdemo.diffegg.pipeline import DiffEGGPipeline, draw_noises, finite_gap
from segdemo.diffegg.settings import TraceSettings


def generate(
    pipeline: DiffEGGPipeline, settings: TraceSettings, prompt: EncodedPrompt | None = None
) -> tuple[AttentionTrace, RGBImage]:
    """Trace the generation of an image; returns the trace and the image (S, S, 3) uint8.

    Without a prompt, the backbone's empty one counts. The seed's noise is denoised along the
    timesteps of the settings by deterministic DDIM (for flow models: Euler steps), one pass a step,
    without classifier-free guidance; the image is the clean estimate of the last step. Raises
    InputError for a backbone that does not denoise and for settings that noise a photo.
    """
    backbone = pipeline.backbone
    if not isinstance(backbone, Denoiser):
        raise InputError(f"{backbone.name} generates no images: give a Stable Diffusion model.")
    if settings.noise != "shared" or settings.noise_draws != 1:
        raise InputError(
            "noise and noise_draws are for photos: an image is generated from one noise."
        )
    process = _Generation(pipeline, backbone, settings)
    with nullcontext() if prompt is None else backbone.prompted(prompt):
        *_, trace = pipeline.trace_of_maps(process.maps(), settings)
    with torch.inference_mode():
        image = backbone.decode(process.clean)[0].permute(1, 2, 0)  # (S, S, 3)
    return trace, ((image.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()


class _Generation:
    """One image on its way from noise; clean: its latents (1, C, h, w) as last estimated."""

    def __init__(
        self, pipeline: DiffEGGPipeline, backbone: Denoiser, settings: TraceSettings
    ) -> None:
        self.pipeline, self.backbone, self.settings = pipeline, backbone, settings
        side = pipeline.side(settings) // backbone.pixels_per_latent
        channels = backbone.autoencoder.config.latent_channels
        self.clean = torch.zeros(1, channels, side, side, device=backbone.device)

    def maps(self) -> Iterator[tuple[AttentionMap, KLCurve]]:
        """Yield each timestep's attention and the curve so far, from noise to image."""
        settings, steps = self.settings, self.settings.timesteps
        layers = self.pipeline.attention_layers(settings)
        side, _ = self.backbone.token_grid(self.clean)
        generator = torch.Generator().manual_seed(settings.seed)
        (latents,) = draw_noises(self.clean, 1, generator)
        gaps: list[float] = []
        before: AttentionMap | None = None
        for index, timestep in enumerate(steps):
            # not around the yield: grad mode belongs to the thread
            with torch.inference_mode():
                with record_attention(layers, side) as attention:
                    prediction = self.backbone.predict(latents, timestep)
                self.clean = self.backbone.predict_clean(latents, prediction, timestep)
                if index + 1 < len(steps):
                    latents = self._less_noisy(latents, timestep, steps[index + 1])
                if before is not None:
                    gaps.append(finite_gap(attention, before, settings, timestep))
            before = attention
            yield attention, choose_peak(list(steps[: index + 1]), gaps, settings.keep)

    def _less_noisy(self, latents: torch.Tensor, timestep: int, following: int) -> torch.Tensor:
        """Mix the clean estimate with the noise that it implies, at the next timestep (DDIM)."""
        zero, one = torch.zeros_like(latents), torch.ones_like(latents)
        amount = self.backbone.add_noise(zero, one, timestep)
        noise = (latents - self.backbone.add_noise(self.clean, zero, timestep)) / amount
        return self.backbone.add_noise(self.clean, noise, following)  # (1, C, h, w)
