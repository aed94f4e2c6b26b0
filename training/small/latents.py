"""Encoded scenes on disk: the autoencoder is frozen, so each scene is encoded once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from segdemo.datatypes import InputError
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.images import mask_contour
from training.diffdis.cutmix import cutmix, draw_boxes
from training.diffdis.latents import LEVEL, LatentCache, Latents, encode_planes, stack
from training.progress import is_complete, items_done, note_progress
from training.small.scenes.store import SceneStore

CHUNK = 32  # scenes encoded at a time, and the unit of resuming
MIXED = "mixed.npy"


@dataclass(frozen=True, eq=False)
class SceneBatch:
    """B encoded scenes. pixels: the masks themselves, (B, S, S) uint8, 255 is subject."""

    latents: Latents
    pixels: torch.Tensor

    def to(self, device: torch.device) -> SceneBatch:
        """Return the same on a device."""
        return SceneBatch(self.latents.to(device), self.pixels.to(device))


def regularize(latents: Latents, noise: float, dropout: float) -> Latents:
    """Disturb what the network sees of the images, against overfitting; targets stay as they are.

    noise: standard deviation of what is added to the image latents. dropout: probability with which
    a channel of the pyramid is dropped for one scene; the others are scaled up. Randomness is
    PyTorch's own.
    """
    image = latents.image + noise * torch.randn_like(latents.image)
    pyramid = tuple(F.dropout2d(level, dropout) for level in latents.pyramid)
    return replace(latents, image=image, pyramid=pyramid)


class SceneLatents:
    """The latents of all scenes, as `encode_scenes` stored them."""

    def __init__(self, folder: Path) -> None:
        """Open a folder; raises InputError where it is not complete."""
        if not is_complete(folder):
            raise InputError(f"{folder} holds no complete latents: run the latents stage first.")
        if not (folder / MIXED).exists() or item_of(0) not in LatentCache(folder):
            raise _outdated(folder)
        self._cache, self._folder = LatentCache(folder), folder
        mixed = np.load(folder / MIXED)  # (N,) True where CutMix pasted a box
        plain = np.flatnonzero(~mixed)
        self.plain = plain if len(plain) else np.arange(len(mixed))  # of few scenes, all may be
        self._count = len(mixed)

    def __len__(self) -> int:
        """Count the scenes."""
        return self._count

    def check(self, unet: DiffDISUNet) -> None:
        """Raise InputError where these are not the latents and features that a network sees."""
        if _channels(self._cache) != _expected_channels(unet):
            raise InputError(
                f"{self._folder} was encoded for a network with other photo features: give "
                "--photo_features to all stages or to none, and delete the folder to encode again."
            )

    def batch(self, indices: npt.NDArray[np.int64]) -> SceneBatch:
        """Read some scenes."""
        tensors = stack(self._cache.read(item_of(int(index))) for index in np.sort(indices))
        return SceneBatch(Latents.of(tensors), tensors["pixels"])


def item_of(index: int) -> str:
    """Return a scene's name in the cache."""
    return f"{index:06d}"


@torch.inference_mode()
def encode_scenes(scenes: SceneStore, pipeline: DiffDISPipeline, folder: Path, seed: int) -> None:
    """Apply CutMix to all scenes and encode them into `folder`; a killed run is resumed."""
    cache, count, size = LatentCache(folder), *scenes.images.shape[:2]
    done = items_done(folder)
    if done and item_of(0) not in cache:
        raise _outdated(folder)
    if done and _channels(cache) != _expected_channels(pipeline.unet):
        raise InputError(
            f"{folder} was started with other photo features: give the same --photo_features, or "
            "delete it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    mixed = np.zeros(count, bool)
    for start in range(0, count, CHUNK):
        end = min(start + CHUNK, count)
        boxes = draw_boxes(end - start, size, np.random.default_rng([seed, 2, start]))
        mixed[start:end] = boxes.any((1, 2))
        if end <= done:
            continue
        planes = _planes(scenes, start, end, boxes)  # (b, 5, S, S)
        tensors = encode_planes(pipeline, planes).tensors()
        tensors["pixels"] = ((planes[:, 3] + 1) * 127.5).round().byte()
        for offset in range(end - start):
            item = {name: values[offset] for name, values in tensors.items()}
            cache.write(item_of(start + offset), item)
        if end == count:
            np.save(folder / MIXED, mixed)
        note_progress(folder, end, count)


def _channels(cache: LatentCache) -> dict[str, int]:
    """Return the channels of what is stored of a scene, by name."""
    return {name: len(value) for name, value in cache.read(item_of(0)).items() if name != "pixels"}


def _expected_channels(unet: DiffDISUNet) -> dict[str, int]:
    """Return the same of what a network sees and predicts."""
    photo_widths = unet.config.photo_widths
    injected = unet.condition_count - len(photo_widths)
    levels = [unet.config.out_channels] * injected + list(photo_widths)
    channels = dict.fromkeys(("image", "mask", "edge"), unet.config.out_channels)
    return channels | {LEVEL.format(k): width for k, width in enumerate(levels)}


def _outdated(folder: Path) -> InputError:
    return InputError(
        f"{folder} was written by an earlier version: delete it and run the latents stage again."
    )


def _planes(scenes: SceneStore, start: int, end: int, boxes: npt.NDArray[np.bool_]) -> torch.Tensor:
    """Return images, masks and edges of some scenes after CutMix, (b, 5, S, S) in [-1, 1]."""
    masks = np.asarray(scenes.masks[start:end])
    edges = np.stack([mask_contour(mask) for mask in masks])
    stacked = np.concatenate(
        [np.asarray(scenes.images[start:end]), masks[..., None], edges[..., None]], axis=-1
    )
    planes = torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 127.5 - 1
    even = len(planes) // 2 * 2  # an odd last scene has no partner and stays as it is
    planes[:even] = cutmix(planes[:even], torch.from_numpy(boxes[:even]))
    return planes
