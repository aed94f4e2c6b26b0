"""Encoded scenes on disk: what the subject network sees and should answer, computed once.

A store may grow while a network learns from it: it holds as many scenes as its progress says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import open_memmap
from torch.nn import functional as F

from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.images import mask_contour
from segdemo.u2netp import U2NetP
from training.progress import items_done, note_progress
from training.small.compact.scene_material import SceneMaterial
from training.small.scenes.compose import compose_scene

CHUNK = 16  # scenes encoded at a time, and the unit of resuming
LATENTS = ("image", "start", "mask", "edge")
PYRAMID = {"half": 16, "quarter": 32, "eighth": 64}
PHOTO = {"photo_8": 8, "photo_16": 16, "photo_32": 32, "photo_64": 64}
"""Maps that the network sees on its way down, and the pixels of one of their cells."""


@dataclass(frozen=True, eq=False)
class SubjectBatch:
    """B scenes of side S. image, start, mask, edge: latents (B, C, S/8, S/8), float32.

    start: those of the first answer. pyramid: what else the network sees of the image, as
    `DiffDISPipeline.denoise` takes it. truth, answer: the masks and the first answers themselves,
    (B, 1, S, S) in [0, 1].
    """

    image: torch.Tensor
    start: torch.Tensor
    mask: torch.Tensor
    edge: torch.Tensor
    pyramid: tuple[torch.Tensor, ...]
    truth: torch.Tensor
    answer: torch.Tensor

    def disturbed(self, noise: float, dropout: float) -> SubjectBatch:
        """Return a batch that is harder to learn by heart; the targets stay.

        noise: standard deviation of what is added to the image's latents. dropout: probability
        with which a channel of the pyramid, or the whole first answer, is left out of one scene.
        Randomness is PyTorch's own.
        """
        kept = (torch.rand(len(self.start), 1, 1, 1) >= dropout).to(self.start)
        return replace(
            self,
            image=self.image + noise * torch.randn_like(self.image),
            start=self.start * kept,
            pyramid=tuple(F.dropout2d(level, dropout) for level in self.pyramid),
        )


class SubjectStore:
    """Memory-mapped scenes: float16 latents and features, uint8 masks."""

    def __init__(self, folder: Path) -> None:
        """Open what `encode_scenes` wrote so far."""
        self._length = items_done(folder)
        names = (*LATENTS, *PYRAMID, *PHOTO, "truth", "answer")
        self._arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}

    def __len__(self) -> int:
        """Count the scenes that are complete."""
        return self._length

    def batch(self, indices: npt.NDArray[np.int64]) -> SubjectBatch:
        """Read some scenes."""
        order = np.sort(indices)  # reading forwards is kinder to the page cache
        read = {
            name: torch.from_numpy(np.asarray(array[order], np.float32))
            for name, array in self._arrays.items()
        }
        pyramid = tuple(read[name] for name in (*PYRAMID, *PHOTO))
        truth, answer = (read[name][:, None] / 255 for name in ("truth", "answer"))
        return SubjectBatch(
            **{name: read[name] for name in LATENTS}, pyramid=pyramid, truth=truth, answer=answer
        )


@torch.inference_mode()
def encode_scenes(
    material: SceneMaterial,
    pipeline: DiffDISPipeline,
    saliency: U2NetP,
    folder: Path,
    count: int,
    size: int,
    seed: int,
) -> None:
    """Compose and encode `count` scenes into `folder`; a killed run goes on where it stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    done = items_done(folder)
    arrays = _open(folder, pipeline, saliency, count, size, "r+" if done else "w+")
    for start in range(done, count, CHUNK):
        end = min(start + CHUNK, count)
        rngs = [np.random.default_rng([seed, index]) for index in range(start, end)]
        scenes = [compose_scene(material, size, rng) for rng in rngs]
        images = np.stack([scene.image for scene in scenes])
        masks = np.stack([scene.mask for scene in scenes])
        for name, values in _encoded(pipeline, saliency, images, masks).items():
            arrays[name][start:end] = values
        note_progress(folder, end, count)


def _open(
    folder: Path, pipeline: DiffDISPipeline, saliency: U2NetP, count: int, size: int, mode: str
) -> dict[str, npt.NDArray[np.generic]]:
    channels = pipeline.unet.config.out_channels
    shapes = {name: (channels, size // 8) for name in LATENTS}
    shapes |= {name: (channels, size // cell) for name, cell in PYRAMID.items()}
    widths = saliency.condition_widths
    shapes |= {
        name: (width, size // cell)
        for (name, cell), width in zip(PHOTO.items(), widths, strict=True)
    }
    arrays = {
        name: open_memmap(folder / f"{name}.npy", mode, np.float16, (count, width, side, side))
        for name, (width, side) in shapes.items()
    }
    for name in ("truth", "answer"):
        arrays[name] = open_memmap(folder / f"{name}.npy", mode, np.uint8, (count, size, size))
    return arrays


def _encoded(
    pipeline: DiffDISPipeline,
    saliency: U2NetP,
    images: npt.NDArray[np.uint8],
    masks: npt.NDArray[np.uint8],
) -> dict[str, npt.NDArray[np.generic]]:
    """Encode scenes, images (b, S, S, 3) and masks (b, S, S)."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1  # (b, 3, S, S)
    edges = np.stack([mask_contour(mask) for mask in masks])
    output = saliency(pixels)
    answer = output.logits.sigmoid()  # (b, 1, S, S)
    planes = {"start": answer * 2 - 1} | {
        name: torch.from_numpy(values)[:, None].float() / 127.5 - 1
        for name, values in (("mask", masks), ("edge", edges))
    }
    tensors = {"image": pipeline.encode(pixels)}
    tensors |= {name: pipeline.encode(p.expand(-1, 3, -1, -1)) for name, p in planes.items()}
    tensors |= dict(zip(PYRAMID, pipeline.condition_pyramid(pixels), strict=True))
    tensors |= dict(zip(PHOTO, saliency.conditions(output), strict=True))
    arrays: dict[str, npt.NDArray[np.generic]] = {n: t.numpy() for n, t in tensors.items()}
    stored = (answer[:, 0] * 255).round().byte().numpy()
    return arrays | {"truth": masks, "answer": stored}
