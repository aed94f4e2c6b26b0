"""Train the compact autoencoder on photos, masks and edge maps.

    python -m training.small.compact.autoencoder --data_dir material --output_dir runs/autoencoder

The same command goes on where it was stopped. `vae/` in the folder has the averaged weights of the
last validation with the best masks, also while the run is under way.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional as F

from segdemo.compact_autoencoder import CompactAutoencoder
from segdemo.diffusion import pick_device
from segdemo.settings import setting
from training.loop.sampling import BatchIndex
from training.loop.settings import same_as
from training.loop.trainer import Losses, Task, train_loop
from training.program import run_program
from training.small.compact.crops import CropSource
from training.small.compact.material import find_material
from training.small.compact.settings import CompactSettings, loop_settings

MAX_LATENT_NOISE = (
    0.15  # standard deviation; the decoder also reads what a diffusion network writes
)
VALIDATION_SIZE = 384


@dataclass(frozen=True)
class AutoencoderSettings(CompactSettings):
    """Shape of the network and its batches."""

    output_dir: str = setting("runs/autoencoder", "Folder of the run.", may_change=True)
    start_from: str = setting("", "Folder of an autoencoder to begin with.", may_change=True)
    crop_size: int = setting(128, "Side of the crops in pixels.", minimum=32, maximum=4096)
    batch_size: int = setting(8, "Crops a step.", minimum=1)
    patch_size: int = setting(2, "Pixels a side seen as channels.", minimum=1, maximum=16)
    widths: list[int] = field(
        default_factory=lambda: [64, 64, 64],
        metadata={"help": "Channels, finest level first.", "minimum": 1, "maximum": 4096},
    )
    encoder_blocks: list[int] = field(
        default_factory=lambda: [1, 2, 2],
        metadata={"help": "Residual blocks of each level.", "minimum": 1, "maximum": 64},
    )
    decoder_blocks: list[int] = field(
        default_factory=lambda: [1, 2, 2],
        metadata={"help": "Residual blocks of each level.", "minimum": 1, "maximum": 64},
    )
    latent_channels: int = setting(16, "Channels of the latents.", minimum=1, maximum=256)
    validation_count: int = setting(32, "Masks of a validation.", minimum=1)
    learning_rate: float = same_as(CompactSettings, "learning_rate", default=1e-3)


def autoencoder_losses(
    autoencoder: CompactAutoencoder, images: torch.Tensor, generator: torch.Generator
) -> Losses:
    """Absolute and squared errors, also of reduced images and of differences of neighbours.

    Noise of a drawn strength is added to the latents before they are decoded; a weak pull keeps
    the standard deviation of each latent channel at 1.
    """
    latents = autoencoder.encode(images).latents.float()  # (B, C, h, w)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    strength = torch.rand((len(latents), 1, 1, 1), generator=generator).to(latents)
    decoded = autoencoder.decode(latents + MAX_LATENT_NOISE * strength * noise).sample
    error = (decoded.float() - images) / 2  # (B, 3, H, W), of images in [0, 1]
    absolute, squared = error.abs().mean(), error.square().mean()
    reduced = sum(F.avg_pool2d(error, window).abs().mean() for window in (2, 4))
    gradients = sum(error.diff(dim=axis).abs().mean() for axis in (-1, -2))
    spread = (latents.std((0, 2, 3)) - 1).square().mean()
    excess = F.relu(latents.abs() - 2.5).square().mean()
    loss = absolute + squared + 0.5 * (reduced + gradients) + 1e-3 * (spread + excess)
    return {"loss": loss, "l1": absolute, "mse": squared, "std": latents.std()}


@torch.inference_mode()
def round_trip(
    autoencoder: CompactAutoencoder, mask: Image.Image, size: int, noise: float = 0.0
) -> npt.NDArray[np.float32]:
    """Encode and decode a mask at `size` x `size` pixels; returns (H, W) of its own size, 0 to 1.

    noise: standard deviation of noise on the latents.
    """
    small = np.asarray(mask.convert("L").resize((size, size), Image.Resampling.BILINEAR))
    image = torch.from_numpy(small.astype(np.float32))[None, None].expand(1, 3, -1, -1) / 127.5 - 1
    latents = autoencoder.encode(image).latents  # (1, C, size / f, size / f)
    if noise:
        generator = torch.Generator().manual_seed(0)
        latents = latents + noise * torch.randn(latents.shape, generator=generator)
    decoded = (autoencoder.decode(latents).sample.mean(1)[0] / 2 + 0.5).clamp(0, 1)  # (size, size)
    return np.asarray(Image.fromarray(decoded.numpy()).resize(mask.size, Image.Resampling.BILINEAR))


def mask_iou(prediction: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> float:
    """Return the IoU at 0.5; 1 where both are empty."""
    found = prediction > 0.5
    union = int((found | truth).sum())
    return float((found & truth).sum() / union) if union else 1.0


def validate_masks(
    autoencoder: CompactAutoencoder, files: list[Path], size: int = VALIDATION_SIZE
) -> dict[str, float]:
    """Return the mean IoU of masks after a round trip.

    small_iou: of the objects at a third of the frame; iou: as the masks are; noisy_iou: the same
    with noise on the latents.
    """
    small, plain, noisy = [], [], []
    for file in files:
        image = Image.open(file)
        mask = image.getchannel("A") if image.mode == "RGBA" else image.convert("L")
        truth = np.asarray(mask) > 127
        distant = _distant(mask, size)
        found = round_trip(autoencoder, distant, size)
        small.append(mask_iou(found, np.asarray(distant) > 127))
        plain.append(mask_iou(round_trip(autoencoder, mask, size), truth))
        noisy.append(mask_iou(round_trip(autoencoder, mask, size, noise=0.3), truth))
    return {
        "small_iou": float(np.mean(small)),
        "iou": float(np.mean(plain)),
        "noisy_iou": float(np.mean(noisy)),
    }


def _distant(mask: Image.Image, size: int) -> Image.Image:
    """Return a frame (size, size) whose middle third holds the mask."""
    frame = Image.new("L", (size, size))
    side = size // 3
    frame.paste(mask.convert("L").resize((side, side), Image.Resampling.BILINEAR), (side, side))
    return frame


def train(settings: AutoencoderSettings) -> None:
    """Train the autoencoder; raises InputError for settings and material that do not work."""
    device = pick_device(settings.device)
    folder, data_dir = Path(settings.output_dir), Path(settings.data_dir)
    torch.manual_seed(settings.first_seed)
    autoencoder = _build(settings)
    crops = CropSource(find_material(data_dir, validation=False), settings.crop_size)
    kept = find_material(data_dir, validation=True)
    files = sorted(kept.masks + kept.cutouts, key=lambda file: (file.stem[::-1], file))
    files = files[:: max(1, len(files) // settings.validation_count)][: settings.validation_count]
    known = crops.batch(64, np.random.default_rng(settings.seed))  # what the scaling is read from
    best = -1.0

    def losses(images: torch.Tensor, index: BatchIndex) -> Losses:
        generator = torch.Generator().manual_seed(index.torch_seed)
        return autoencoder_losses(autoencoder, images.to(device), generator)

    def save() -> None:
        with torch.no_grad():
            spread = float(autoencoder.encode(known.to(device)).latents.std())
        autoencoder.register_to_config(scaling_factor=1 / spread)
        autoencoder.save_pretrained(folder / "vae")

    def validate() -> dict[str, float]:
        nonlocal best
        figures = validate_masks(autoencoder, files)
        if figures["small_iou"] >= best:
            best = figures["small_iou"]
            save()
        return figures

    task = Task(
        autoencoder,
        lambda index: crops.batch(settings.batch_size, index.rng),
        losses,
        validate,
        batch_size=settings.batch_size,
    )
    train_loop(task, folder, loop_settings(settings, device), device)
    save()


def _build(settings: AutoencoderSettings) -> CompactAutoencoder:
    if settings.start_from:
        return CompactAutoencoder.from_pretrained(settings.start_from)
    return CompactAutoencoder(
        patch_size=settings.patch_size,
        latent_channels=settings.latent_channels,
        block_out_channels=tuple(settings.widths),
        encoder_blocks=tuple(settings.encoder_blocks),
        decoder_blocks=tuple(settings.decoder_blocks),
    )


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train; 2 for wrong usage, 1 for a loss that is not a number."""
    return run_program(train, AutoencoderSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
