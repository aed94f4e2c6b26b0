"""Stage 1: a small variational autoencoder for photographs, masks and edge maps alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw
from torch.nn import functional as F

from segdemo.diffusion import decode_latents, encode_latents
from segdemo.images import mask_contour
from training.loop import Losses
from training.scene_store import SceneStore

CROP = 128  # pixels; the network is convolutional, so crops teach it whole pictures
KL_WEIGHT = 5e-4  # per latent value, beside reconstruction losses per pixel value
SHARES = {"photo": 0.625, "mask": 0.2, "edge": 0.175}
DECODER_SHARES = {"photo": 0.2, "mask": 0.6, "edge": 0.2}
"""Of the crops: those the whole autoencoder learns from, and those of its decoder alone."""
MOST_NOISE = 0.4  # deviation on the latents that the decoder learns from; they have about 1
STEEPNESS = 3.0  # of the side of 0.5 that a mask's pixel lies on, in units of half its range
OVERSAMPLING = 4  # thin strokes are drawn larger and reduced


def build_autoencoder() -> AutoencoderKL:
    """Return an untrained f = 8, 4-channel autoencoder of 2.6 M parameters.

    No attention in its middle: latents must not depend on the size of the picture.
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


def autoencoder_batch(
    scenes: SceneStore, size: int, rng: np.random.Generator, shares: dict[str, float] = SHARES
) -> torch.Tensor:
    """Draw crops of photographs, of masks and of their edge maps by their shares; (B,3,128,128)."""
    crops = []
    for kind in rng.choice(list(shares), size, p=list(shares.values())):
        index = int(rng.integers(len(scenes)))
        side = scenes.images.shape[1]
        top, left = rng.integers(side - CROP + 1, size=2)
        window = (slice(top, top + CROP), slice(left, left + CROP))
        if kind == "photo":
            # the condition pyramid re-encodes reduced pictures, so every other crop is reduced
            whole = scenes.images[index]
            crops.append(whole[window] if rng.random() < 0.6 else _reduced(whole))
            continue
        mask = scenes.masks[index]
        plane = mask[window] if kind == "mask" else mask_contour(mask)[window]
        crops.append(np.repeat(plane[..., None], 3, axis=-1))
    batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return batch.float() / 127.5 - 1  # (B, 3, 128, 128)


def decoder_batch(scenes: SceneStore, size: int, rng: np.random.Generator) -> torch.Tensor:
    """Draw crops, most of them masks, to some of which thin strokes are added; (B, 3, 128, 128)."""
    crops = autoencoder_batch(scenes, size, rng, DECODER_SHARES)
    grey = (crops[:, :1] == crops).all((1, 2, 3))
    for index in np.flatnonzero(grey.numpy() & (rng.random(size) < 0.4)):
        strokes = torch.from_numpy(_thin_strokes(rng))  # (128, 128)
        crops[index] = torch.maximum(crops[index], strokes * 2 - 1)
        if rng.random() < 0.3:  # as often thin holes
            crops[index] = -crops[index]
    return crops


def _thin_strokes(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw ropes and spokes, half a pixel to four wide; (128, 128) in [0, 1]."""
    side = CROP * OVERSAMPLING
    drawing = Image.new("L", (side, side))
    pen = ImageDraw.Draw(drawing)
    for _ in range(int(rng.integers(1, 9))):
        points = rng.uniform(-0.2, 1.2, (int(rng.integers(2, 4)), 2)) * side
        if len(points) == 3:  # a curve (Bezier's)
            t = np.linspace(0, 1, 24)[:, None]
            points = (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]
        width = round(OVERSAMPLING * float(np.exp(rng.uniform(np.log(0.5), np.log(4)))))
        pen.line([tuple(point) for point in points.tolist()], 255, max(1, width), "curve")
    return np.asarray(drawing.reduce(OVERSAMPLING), np.float32) / np.float32(255)


def _reduced(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the whole picture at the size of a crop."""
    resized = Image.fromarray(picture).resize((CROP, CROP), Image.Resampling.NEAREST)
    return np.asarray(resized)


def autoencoder_losses(
    autoencoder: AutoencoderKL, pictures: torch.Tensor, generator: torch.Generator
) -> Losses:
    """Reconstruction (L1, squared, L1 of gradients) and the pull of the latents to N(0, 1)."""
    posterior = autoencoder.encode(pictures).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator).to(posterior.mean)
    latents = posterior.mean + posterior.std * noise  # (B, 4, 16, 16)
    decoded = autoencoder.decode(latents).sample.float()  # (B, 3, 128, 128)
    absolute = F.l1_loss(decoded, pictures)
    squared = F.mse_loss(decoded, pictures)
    gradients = sum(F.l1_loss(decoded.diff(dim=axis), pictures.diff(dim=axis)) for axis in (-1, -2))
    divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
    loss = absolute + squared + 0.5 * gradients + KL_WEIGHT * divergence
    return {"loss": loss, "l1": absolute, "mse": squared, "kl": divergence}


def decoder_losses(
    autoencoder: AutoencoderKL, pictures: torch.Tensor, generator: torch.Generator
) -> Losses:
    """Compare what the decoder makes of latents with pictures (B, 3, 128, 128); no gradient before.

    Beside absolute error, for grey pictures, cross-entropy of the side of the middle that a pixel
    lies on, in nats: a stroke's contrast matters less than its being there. Every other picture's
    latents are noisy, as those that a denoiser predicts.
    """
    with torch.no_grad():
        latents = encode_latents(autoencoder, pictures)  # (B, 4, 16, 16)
    amount = torch.rand(len(latents), 1, 1, 1, generator=generator) * MOST_NOISE
    amount[::2] = 0
    noise = torch.randn(latents.shape, generator=generator) * amount
    decoded = decode_latents(autoencoder, latents + noise.to(latents))  # (B, 3, 128, 128)
    absolute = F.l1_loss(decoded, pictures)
    gradients = sum(F.l1_loss(decoded.diff(dim=axis), pictures.diff(dim=axis)) for axis in (-1, -2))
    grey = (pictures[:, :1] == pictures).all((1, 2, 3))
    chance = (pictures[grey].mean(1) + 1) / 2
    odds = STEEPNESS * decoded[grey].mean(1)
    side = F.binary_cross_entropy_with_logits(odds, chance) if len(odds) else absolute * 0
    return {"loss": absolute + 0.5 * gradients + side, "l1": absolute, "side": side}


@torch.inference_mode()
def latent_scale(autoencoder: AutoencoderKL, scenes: SceneStore, count: int = 64) -> float:
    """Return 1 / standard deviation of the latents of `count` photographs."""
    pictures = torch.from_numpy(np.array(scenes.images[:count])).permute(0, 3, 1, 2)
    parts = [
        autoencoder.encode(part.float() / 127.5 - 1).latent_dist.mean for part in pictures.split(8)
    ]
    return 1 / float(torch.cat(parts).std())
