"""Encoded scenes on disk: the autoencoder is frozen, so every scene is encoded once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import open_memmap
from torch.nn import functional as F

from segdemo.datatypes import InputError
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.images import mask_contour
from training.diffdis.cutmix import cutmix, draw_boxes
from training.progress import is_complete, items_done, note_progress
from training.small.scenes.store import SceneStore

CHUNK = 32  # scenes encoded at a time, and the unit of resuming
LATENTS = {"picture": 8, "mask": 8, "edge": 8, "half": 16, "quarter": 32, "eighth": 64}
"""Stored latents and the factor between scene and latent side."""
PHOTO = {"photo_8": 8, "photo_16": 16, "photo_32": 32, "photo_64": 64}
"""The same of photo features, where the network sees them."""


@dataclass(frozen=True, eq=False)
class LatentBatch:
    """Latents of B scenes, float32. picture, mask, edge: (B, 4, h, w).

    pyramid: what else the network sees of the picture, as `DiffDISPipeline.condition_pyramid`
    gives it. pixels: the masks themselves, (B, S, S) uint8, 255 is subject.
    """

    picture: torch.Tensor
    pyramid: tuple[torch.Tensor, ...]
    mask: torch.Tensor
    edge: torch.Tensor
    pixels: torch.Tensor

    def to(self, device: torch.device) -> LatentBatch:
        """Return the same on a device."""
        pyramid = tuple(level.to(device) for level in self.pyramid)
        picture, mask, edge, pixels = (
            part.to(device) for part in (self.picture, self.mask, self.edge, self.pixels)
        )
        return LatentBatch(picture, pyramid, mask, edge, pixels)


def blurred_memory(batch: LatentBatch, noise: float, dropout: float) -> LatentBatch:
    """Return a batch that is harder to learn by heart: its picture disturbed, its targets not.

    noise: standard deviation of what is added to the picture's latents. dropout: probability with
    which a channel of the pyramid is left out of one scene; the others are strengthened.
    Randomness is PyTorch's own.
    """
    picture = batch.picture + noise * torch.randn_like(batch.picture)
    pyramid = tuple(F.dropout2d(level, dropout) for level in batch.pyramid)
    return replace(batch, picture=picture, pyramid=pyramid)


class LatentStore:
    """Memory-mapped float16 latents of all scenes."""

    def __init__(self, folder: Path) -> None:
        """Open what `encode_store` wrote; raises InputError when it is unfinished."""
        if not is_complete(folder):
            raise InputError(f"{folder} holds no complete latents: run the latents stage first.")
        names = [name for name in LATENTS | PHOTO if (folder / f"{name}.npy").exists()]
        self.arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
        self._folder = folder
        self.pixels = np.load(folder / "pixels.npy", mmap_mode="r")  # (N, S, S) uint8
        self.mixed = np.load(folder / "mixed.npy")  # (N,) True where CutMix pasted a box
        self.plain = np.flatnonzero(~self.mixed)

    def __len__(self) -> int:
        """Count the scenes."""
        return len(self.mixed)

    def check(self, unet: DiffDISUNet) -> None:
        """Raise InputError where these are not the latents and features that a network sees."""
        if {name: array.shape[1] for name, array in self.arrays.items()} != _channels(unet):
            raise InputError(
                f"{self._folder} was encoded for a network with other photo features: give "
                "--photo_features to all stages or to none, and delete the folder to encode anew."
            )

    def batch(self, indices: npt.NDArray[np.int64]) -> LatentBatch:
        """Read the latents of some scenes."""
        order = np.sort(indices)  # reading forwards is kinder to the page cache
        picture, mask, edge, *pyramid = (
            torch.from_numpy(np.asarray(array[order], np.float32)) for array in self.arrays.values()
        )
        pixels = torch.from_numpy(np.asarray(self.pixels[order]))
        return LatentBatch(picture, tuple(pyramid), mask, edge, pixels)


def _channels(unet: DiffDISUNet) -> dict[str, int]:
    """Return the channels of all that a network is shown of a scene, by name."""
    channels = dict.fromkeys(LATENTS, unet.config.out_channels)
    return channels | dict(zip(PHOTO, unet.config.photo_widths, strict=False))


@torch.inference_mode()
def encode_store(scenes: SceneStore, pipeline: DiffDISPipeline, folder: Path, seed: int) -> None:
    """Mix and encode all scenes into `folder`; a killed run goes on where it stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    count, size = scenes.images.shape[:2]
    done = items_done(folder)
    mode = "r+" if done else "w+"
    channels, factors = _channels(pipeline.unet), LATENTS | PHOTO
    if done and {name for name in factors if (folder / f"{name}.npy").exists()} != set(channels):
        raise InputError(
            f"{folder} was begun with other photo features: give the same --photo_features, or "
            "delete it."
        )
    arrays = {
        name: open_memmap(
            folder / f"{name}.npy", mode, np.float16, (count, width, *[size // factors[name]] * 2)
        )
        for name, width in channels.items()
    }
    pixels = open_memmap(folder / "pixels.npy", mode, np.uint8, (count, size, size))
    mixed = open_memmap(folder / "mixed.npy", mode, bool, (count,))
    for start in range(done, count, CHUNK):
        end = min(start + CHUNK, count)
        boxes = draw_boxes(end - start, size, np.random.default_rng([seed, 2, start]))
        planes = _planes(scenes, start, end, boxes).to(pipeline.device)  # (b, 5, S, S)
        pictures = planes[:, :3]
        encoded = [pipeline.encode(pictures)]
        encoded += [pipeline.encode(planes[:, [c] * 3]) for c in (3, 4)]
        encoded += pipeline.condition_pyramid(pictures)
        for array, latents in zip(arrays.values(), encoded, strict=True):
            array[start:end] = latents.float().cpu().numpy()
        pixels[start:end] = ((planes[:, 3] + 1) * 127.5).round().byte().cpu().numpy()
        mixed[start:end] = boxes.any((1, 2))
        note_progress(folder, end, count)


def _planes(scenes: SceneStore, start: int, end: int, boxes: npt.NDArray[np.bool_]) -> torch.Tensor:
    """Return pictures, mask and edge of some scenes after CutMix, (b, 5, S, S) in [-1, 1]."""
    masks = np.asarray(scenes.masks[start:end])
    edges = np.stack([mask_contour(mask) for mask in masks])
    stacked = np.concatenate(
        [np.asarray(scenes.images[start:end]), masks[..., None], edges[..., None]], axis=-1
    )
    planes = torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 127.5 - 1
    even = len(planes) // 2 * 2  # an odd last scene has no partner and stays as it is
    planes[:even] = cutmix(planes[:even], torch.from_numpy(boxes[:even]))
    return planes
