"""The two families of noise: flow matching, and the schedules of DDPM."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, DDPMScheduler
from torch import nn

from segdemo.diffegg.backbones.base import Denoiser, EncodedPrompt
from segdemo.diffusion import add_noise, predict_clean


class FlowDenoiser(Denoiser):
    """A denoiser that was trained by flow matching: x_s = (1 - s) x0 + s noise."""

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return (1 - s) x0 + s noise with s = timestep / 1000.

        The scheduler's shift is left out: it only spaces the steps of sampling.
        """
        level = timestep / 1000
        return (1 - level) * latents.float() + level * noise.float()

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return noise minus clean latents."""
        return noise.float() - latents.float()

    def predict_clean(
        self, noisy: torch.Tensor, prediction: torch.Tensor, timestep: int
    ) -> torch.Tensor:
        """Return x_s - s * flow; at timestep 0 these are the latents themselves."""
        return noisy.float() - timestep / 1000 * prediction.float()


class ScheduledDenoiser(Denoiser):
    """A denoiser that was trained with a schedule: x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) e."""

    def __init__(
        self,
        name: str,
        native_size: int,
        network: nn.Module,
        autoencoder: AutoencoderKL,
        null_text: EncodedPrompt,
        scheduler: DDPMScheduler,
    ) -> None:
        """Put the parts together; scheduler: its noise levels, and what the network predicts."""
        super().__init__(name, native_size, network, autoencoder, null_text)
        self._scheduler = scheduler

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return sqrt(abar_t) x0 + sqrt(1 - abar_t) noise."""
        return add_noise(self._scheduler, latents, noise, timestep)

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the noise or the velocity, whichever the schedule's prediction type says."""
        if self._scheduler.config.prediction_type != "v_prediction":
            return noise.float()
        return add_noise(self._scheduler, noise, -latents, timestep)  # sqrt(abar) e - sqrt(..) x0

    def predict_clean(
        self, noisy: torch.Tensor, prediction: torch.Tensor, timestep: int
    ) -> torch.Tensor:
        """Return the estimate of x0; see `segdemo.diffusion.predict_clean`."""
        return predict_clean(self._scheduler, noisy, prediction, timestep)
