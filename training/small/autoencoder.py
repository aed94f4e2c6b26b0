"""Stage 1: a small variational autoencoder for photographs, masks and edge maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch.nn import functional as F

from segdemo.images import mask_contour
from training.loop.trainer import Losses
from training.small.scenes.store import SceneStore

CROP = 128  # pixels; the network is convolutional, so training on crops is enough
KL_WEIGHT = 5e-4  # per latent value, beside reconstruction losses per pixel value


def build_autoencoder() -> AutoencoderKL:
    """Return an untrained f = 8, 4-channel autoencoder of 2.6 M parameters.

    No attention in its middle: latents must not depend on the size of the image.
    """
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 128),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=16,
        mid_block_add_attention=False,
        sample_size=CROP,
    )


def autoencoder_batch(scenes: SceneStore, size: int, rng: np.random.Generator) -> torch.Tensor:
    """Draw crops: five in eight photographs, the rest masks and their edge maps; (B,3,128,128)."""
    crops = []
    for kind in rng.choice(["photo", "mask", "edge"], size, p=[0.625, 0.2, 0.175]):
        index = int(rng.integers(len(scenes)))
        side = scenes.images.shape[1]
        top, left = rng.integers(side - CROP + 1, size=2)
        window = (slice(top, top + CROP), slice(left, left + CROP))
        if kind == "photo":
            # the condition pyramid re-encodes reduced images, so every other crop is reduced
            whole = scenes.images[index]
            crops.append(whole[window] if rng.random() < 0.6 else _reduced(whole))
            continue
        mask = scenes.masks[index]
        plane = mask[window] if kind == "mask" else mask_contour(mask)[window]
        crops.append(np.repeat(plane[..., None], 3, axis=-1))
    batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return batch.float() / 127.5 - 1  # (B, 3, 128, 128)


def _reduced(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the whole image at the size of a crop."""
    resized = Image.fromarray(image).resize((CROP, CROP), Image.Resampling.NEAREST)
    return np.asarray(resized)


def autoencoder_losses(
    autoencoder: AutoencoderKL, images: torch.Tensor, generator: torch.Generator
) -> Losses:
    """Reconstruction (L1, squared, L1 of gradients) and KL divergence from N(0, 1)."""
    posterior = autoencoder.encode(images).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator).to(posterior.mean)
    latents = posterior.mean + posterior.std * noise  # (B, 4, 16, 16)
    decoded = autoencoder.decode(latents).sample.float()  # (B, 3, 128, 128)
    absolute = F.l1_loss(decoded, images)
    squared = F.mse_loss(decoded, images)
    gradients = sum(F.l1_loss(decoded.diff(dim=axis), images.diff(dim=axis)) for axis in (-1, -2))
    divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
    loss = absolute + squared + 0.5 * gradients + KL_WEIGHT * divergence
    return {"loss": loss, "l1": absolute, "mse": squared, "kl": divergence}


@torch.inference_mode()
def latent_scale(autoencoder: AutoencoderKL, scenes: SceneStore, count: int = 64) -> float:
    """Return 1 / standard deviation of the latents of `count` photographs."""
    images = torch.from_numpy(np.array(scenes.images[:count])).permute(0, 3, 1, 2)
    parts = [
        autoencoder.encode(part.float() / 127.5 - 1).latent_dist.mean for part in images.split(8)
    ]
    return 1 / float(torch.cat(parts).std())
