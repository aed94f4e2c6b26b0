"""DiffEGG's interface to a model with self-attention: encode, add noise, run once, name layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from segdemo.diffusion import encode_latents

PROBE_SIDE = 16  # latents along a side when the layers' maps are measured
FEATURE_SCALES = (2.0, 1.0, 0.5, 0.25)  # of tokens that all have one size (as ViTDet)


def spread_scales(layers: Sequence[str]) -> list[tuple[str, float]]:
    """Choose four layers of equal size, evenly spaced, and their scales; the earliest is finest."""
    count, levels = len(layers), len(FEATURE_SCALES)
    return [
        (layers[max(0, (i + 1) * count // levels - 1)], scale)
        for i, scale in enumerate(FEATURE_SCALES)
    ]


class Backbone(ABC):
    """A network whose self-attention is read, and how an image becomes its input.

    name: what the user called it. native_size: side in pixels it was trained at. has_adapter: the
    network has a LoRA adapter, disabled outside of `adapted`. denoises: it is run at several noise
    levels; without, once an image, and PeakKL has nothing to compare. first_image_token: where the
    image's tokens begin among those of an attention layer. lora_prefix: what diffusers calls the
    network in a LoRA's file. All steps are differentiable.
    """

    has_adapter = False
    lora_prefix = "transformer"
    denoises = False
    first_image_token = 0

    def __init__(self, name: str, native_size: int, network: nn.Module) -> None:
        """Put the parts together."""
        self.name = name
        self.native_size = native_size
        self.network = network.eval()

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    @contextmanager
    def adapted(self) -> Iterator[None]:
        """Let the network have its adapter for a while.

        Attention is looked into without it: it was trained on edges of that very attention.
        """
        if self.has_adapter:
            self.switch_adapter(True)
        try:
            yield
        finally:
            if self.has_adapter:
                self.switch_adapter(False)

    def add_adapter(self, config: LoraConfig, name: str) -> None:
        """Give the network a new LoRA, enabled."""
        self.network.add_adapter(config, name)
        self.has_adapter = True

    def switch_adapter(self, on: bool) -> None:
        """Enable or disable the LoRA."""
        if on:
            self.network.enable_adapters()
        else:
            self.network.disable_adapters()

    def enable_gradient_checkpointing(self) -> None:
        """Keep less for the backward pass and compute it again there."""
        self.network.enable_gradient_checkpointing()

    @property
    @abstractmethod
    def pixels_per_latent(self) -> int:
        """Pixels along a side of the image that one latent stands for."""

    @abstractmethod
    def probe(self) -> torch.Tensor:
        """Return small latents of zeros (1, C, h, w) that the network can be run on."""

    @abstractmethod
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Encode (B, 3, S, S) in [-1, 1] to what the network takes, (B, C, h, w), float32."""

    @abstractmethod
    def attention_layers(self) -> dict[str, nn.Module]:
        """Return the self-attention modules by name, in the order they run."""

    def feature_layers(self) -> list[tuple[str, float]]:
        """Return the self-attention modules that edges are generated from, with their scale.

        A scale of 2 means that its map is doubled in size. Of layers of one size, four, evenly
        spaced; the earliest is the finest.
        """
        return spread_scales(list(self.attention_layers()))

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the latents at a timestep in 0 .. 999, by the family's own rule, float32."""
        return latents  # of a network that sees none

    @abstractmethod
    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Run the network once on (B, C, h, w), float32.

        What it returns is the family's affair: see `Denoiser.predict`.
        """

    @property
    def patch_size(self) -> int:
        """Latents along a side of one of the image's tokens at full resolution."""
        return int(self.network.config.patch_size)

    def token_grid(self, latents: torch.Tensor) -> tuple[int, int]:
        """Return (h, w) of the image's tokens at full resolution for latents (B, C, h, w)."""
        return latents.shape[-2] // self.patch_size, latents.shape[-1] // self.patch_size


class InjectedAdapter(Backbone):
    """A backbone whose network takes a LoRA from PEFT itself.

    Networks of transformers, since its own method wants a later PEFT than diffusers needs, and
    those of diffusers that have no method for it.
    """

    def add_adapter(self, config: LoraConfig, name: str) -> None:
        """Give the network a new LoRA, enabled."""
        inject_adapter_in_model(config, self.network, name)
        self.has_adapter = True

    def switch_adapter(self, on: bool) -> None:
        """Enable or disable the LoRA."""
        for module in self.network.modules():
            if isinstance(module, BaseTunerLayer):
                module.enable_adapters(on)


@dataclass(frozen=True)
class EncodedPrompt:
    """What the network is given as its prompt: tokens (1, n, D), pooled (1, P) or None."""

    tokens: torch.Tensor
    pooled: torch.Tensor | None = None


@dataclass(frozen=True)
class EncodedImagePrompt:
    """What a vision-language model is asked: ids (1, n), and where the image's patches begin."""

    tokens: torch.Tensor
    first_image_token: int


class Denoiser(Backbone):
    """A text-to-image model: a denoiser with its autoencoder, noising rule and empty prompt."""

    denoises = True

    def __init__(
        self,
        name: str,
        native_size: int,
        network: nn.Module,
        autoencoder: AutoencoderKL,
        null_text: EncodedPrompt,
    ) -> None:
        """Put the parts together; autoencoder: from images to latents. null_text: of no words."""
        super().__init__(name, native_size, network)
        self.autoencoder = autoencoder.eval()
        self._prompt = self._ready(null_text)

    @contextmanager
    def prompted(self, prompt: EncodedPrompt) -> Iterator[None]:
        """Give the network this prompt for a while in place of the empty one."""
        empty, self._prompt = self._prompt, self._ready(prompt)
        try:
            yield
        finally:
            self._prompt = empty

    def _ready(self, prompt: EncodedPrompt) -> EncodedPrompt:
        """Bring a prompt to the network's device and precision."""
        place = self.device, self.network.dtype
        pooled = None if prompt.pooled is None else prompt.pooled.to(*place)
        return EncodedPrompt(prompt.tokens.to(*place), pooled)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Encode (B, 3, S, S) in [-1, 1] to the scaled posterior mean (B, C, S/8, S/8), float32."""
        config = self.autoencoder.config
        shift = (config.shift_factor or 0.0) * config.scaling_factor  # (mean - shift) * scale
        return encode_latents(self.autoencoder, images).float() - shift  # (B, C, S/8, S/8)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents of `encode` to images (B, 3, S, S), nominally in [-1, 1], float32."""
        config = self.autoencoder.config
        unscaled = latents / config.scaling_factor + (config.shift_factor or 0.0)
        return self.autoencoder.decode(unscaled.to(self.autoencoder.dtype)).sample.float()

    @property
    def pixels_per_latent(self) -> int:
        """Pixels along a side of the image that one latent stands for."""
        return 2 ** (len(self.autoencoder.config.block_out_channels) - 1)

    def probe(self) -> torch.Tensor:
        """Return latents of zeros (1, C, 16, 16), which can be halved twice."""
        channels = self.autoencoder.config.latent_channels
        return torch.zeros(1, channels, PROBE_SIDE, PROBE_SIDE, device=self.device)

    @abstractmethod
    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        """Return the latents at a timestep in 0 .. 999, by the family's own rule, float32."""

    @abstractmethod
    def predict(self, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
        """Run the denoiser once on (B, C, h, w), without guidance, float32.

        With the empty prompt, but inside of `prompted`.

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
