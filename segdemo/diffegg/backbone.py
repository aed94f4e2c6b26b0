"""Text-to-image models as DiffEGG sees them: encode, add noise, run once, name the attention."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, SD3Transformer2DModel, UNet2DConditionModel
from PIL import Image
from torch import nn

from segdemo.datatypes import RGBImage
from segdemo.diffusion import add_noise, encode_latents, predict_clean

if TYPE_CHECKING:
    from segdemo.diffegg.edge_generator import EdgeGenerator
    from segdemo.photo_features import PhotoFeatures

FEATURE_SCALES = (2.0, 1.0, 0.5, 0.25)  # of MM-DiT's tokens, which all have one size (as ViTDet)


class Backbone(ABC):
    """A denoiser with its autoencoder, noising rule and empty prompt.

    name: what the user called it. native_size: side in pixels it was trained at. network: the
    denoiser. autoencoder: from pictures to latents. edge_generator: makes edges of its hidden
    states, or None. photo_features: what else it looks at, or None. has_adapter: the network has a
    LoRA adapter, at rest outside of `adapted`.
    All steps are differentiable.
    """

    edge_generator: EdgeGenerator | None = None
    photo_features: PhotoFeatures | None = None
    has_adapter = False

    def __init__(
        self, name: str, native_size: int, network: nn.Module, autoencoder: AutoencoderKL
    ) -> None:
        """Put the parts together."""
        self.name = name
        self.native_size = native_size
        self.network = network.eval()
        self.autoencoder = autoencoder.eval()

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return next(self.network.parameters()).device

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Encode (B, 3, S, S) in [-1, 1] to the scaled posterior mean (B, C, S/8, S/8), float32."""
        config = self.autoencoder.config
        shift = (config.shift_factor or 0.0) * config.scaling_factor  # (mean - shift) * scale
        return encode_latents(self.autoencoder, pictures).float() - shift  # (B, C, S/8, S/8)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents of `encode` to pictures (B, 3, S, S), nominally in [-1, 1], float32."""
        config = self.autoencoder.config
        unscaled = latents / config.scaling_factor + (config.shift_factor or 0.0)
        return self.autoencoder.decode(unscaled.to(self.autoencoder.dtype)).sample.float()

    @property
    def pixels_per_latent(self) -> int:
        """Pixels along a side of the picture that one latent stands for."""
        return 2 ** (len(self.autoencoder.config.block_out_channels) - 1)

    @contextmanager
    def adapted(self) -> Iterator[None]:
        """Let the network have its adapter for a while.

        Attention is looked into without it: it was trained on edges of that very attention.
        """
        if self.has_adapter:
            self.network.enable_adapters()
        try:
            yield
        finally:
            if self.has_adapter:
                self.network.disable_adapters()

    @abstractmethod
    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the self-attention modules by name, in the order they run."""

    @abstractmethod
    def feature_layers(self) -> list[tuple[str, float]]:
        """Return the self-attention modules that edges are generated from, with their scale.

        A scale of 2 means that its map is doubled in size.
        """

    @abstractmethod
    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the latents at a timestep in 0 .. 999, by the family's own rule, float32."""

    @abstractmethod
    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Run the denoiser once on (B, C, h, w) with the empty prompt, without guidance, float32.

        What it predicts, noise, velocity or flow, is the family's affair: see `target`.
        """

    @abstractmethod
    def target(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return what `predict` is trained to return for latents with this noise, float32."""

    @abstractmethod
    def predict_clean(
        self, noisy: torch.Tensor, prediction: torch.Tensor, timestep: int
    ) -> torch.Tensor:
        """Return the estimate of the clean latents from what `predict` returned, float32."""

    @abstractmethod
    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return (h, w) of the picture's tokens at full resolution for latents (B, C, h, w)."""


class UNetBackbone(Backbone):
    """Stable Diffusion 1, 2, Turbo, XL and our own small model."""

    def __init__(
        self,
        name: str,
        native_size: int,
        network: UNet2DConditionModel,
        autoencoder: AutoencoderKL,
        scheduler: DDPMScheduler,
        null_text: torch.Tensor,
        null_pooled: torch.Tensor | None = None,
    ) -> None:
        """Put the parts together.

        null_text: the empty prompt, (1, n, D). null_pooled: the same in one vector, (1, P), which
        XL wants together with the size of an uncropped picture.
        """
        super().__init__(name, native_size, network, autoencoder)
        self._scheduler = scheduler
        self._null_text = null_text.to(network.device, network.dtype)
        self._added: dict[str, torch.Tensor] = {}
        if null_pooled is not None:
            # original size, crop corner, target size
            sizes = [native_size, native_size, 0, 0, native_size, native_size]
            self._added = {
                "text_embeds": null_pooled.to(network.device, network.dtype),
                "time_ids": torch.tensor([sizes], device=network.device, dtype=torch.float32),
            }

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return `attn1` of every transformer block: down, middle, up."""
        stages = ("down_blocks", "mid_block", "up_blocks")
        found = [entry for entry in self.network.named_modules() if entry[0].endswith(".attn1")]
        # diffusers registers the middle last
        return dict(sorted(found, key=lambda entry: stages.index(entry[0].split(".")[0])))

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return sqrt(abar_t) x0 + sqrt(1 - abar_t) noise."""
        return add_noise(self._scheduler, latents, noise, timestep)

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the noise or the velocity, whichever it was trained for."""
        batch = noisy.shape[0]
        output = self.network(
            noisy.to(self.network.dtype),
            timestep,
            encoder_hidden_states=self._null_text.expand(batch, -1, -1),
            added_cond_kwargs={name: kept.expand(batch, -1) for name, kept in self._added.items()},
        )
        return output.sample.float()  # (B, C, h, w)

    def feature_layers(self) -> list[tuple[str, float]]:
        """Return the last self-attention of every block, down, middle and up."""
        last: dict[str, str] = {}
        for name in self.attention_layers():
            stage = name.split(".attentions.")[0]  # such as up_blocks.2
            last[stage] = name
        return [(name, 1.0) for name in last.values()]

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

    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return the latents' own grid; layers below it see it halved once or several times."""
        return latents.shape[-2], latents.shape[-1]


class MMDiTBackbone(Backbone):
    """Stable Diffusion 3 and 3.5: picture and text tokens in one attention, flow matching."""

    def __init__(
        self,
        name: str,
        native_size: int,
        network: SD3Transformer2DModel,
        autoencoder: AutoencoderKL,
        null_text: torch.Tensor,
        null_pooled: torch.Tensor,
    ) -> None:
        """Put the parts together; null_text (1, n, D), null_pooled (1, P): the empty prompt."""
        super().__init__(name, native_size, network, autoencoder)
        self._null_text = null_text.to(network.device, network.dtype)
        self._null_pooled = null_pooled.to(network.device, network.dtype)

    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the joint `attn` of every block and, in some, `attn2` of the picture alone."""
        return {
            f"transformer_blocks.{number}.{kind}": module
            for number, block in enumerate(self.network.transformer_blocks)
            for kind, module in (("attn", block.attn), ("attn2", block.attn2))
            if module is not None
        }

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return (1 - s) x0 + s noise with s = timestep / 1000.

        The scheduler's shift is left out: it only spaces the steps of sampling.
        """
        level = timestep / 1000
        return (1 - level) * latents.float() + level * noise.float()

    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the flow, noise minus clean latents."""
        batch = noisy.shape[0]
        output = self.network(
            noisy.to(self.network.dtype),
            encoder_hidden_states=self._null_text.expand(batch, -1, -1),
            pooled_projections=self._null_pooled.expand(batch, -1),
            timestep=torch.full((batch,), float(timestep), device=noisy.device),
        )
        return output.sample.float()  # (B, C, h, w)

    def feature_layers(self) -> list[tuple[str, float]]:
        """Return the joint attention of four blocks, evenly spaced; the earliest is the finest."""
        count, levels = len(self.network.transformer_blocks), len(FEATURE_SCALES)
        return [
            (f"transformer_blocks.{max(0, (i + 1) * count // levels - 1)}.attn", scale)
            for i, scale in enumerate(FEATURE_SCALES)
        ]

    def target(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return noise minus clean latents."""
        return noise.float() - latents.float()

    def predict_clean(
        self, noisy: torch.Tensor, prediction: torch.Tensor, timestep: int
    ) -> torch.Tensor:
        """Return x_s - s * flow; at timestep 0 these are the latents themselves."""
        return noisy.float() - timestep / 1000 * prediction.float()

    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return the grid of patches."""
        patch = self.network.config.patch_size
        return latents.shape[-2] // patch, latents.shape[-1] // patch


def square_tensor(image: RGBImage, side: int) -> torch.Tensor:
    """Return a picture squashed to a square, (1, 3, side, side) in [-1, 1]."""
    squashed = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    values = torch.from_numpy(np.asarray(squashed, np.float32) / 127.5 - 1)  # (S, S, 3)
    return values.permute(2, 0, 1)[None]  # (1, 3, S, S)
