"""Scenes on disk: what the subject network sees and should answer, computed once.

First scenes are composed and U2NetP looks at them, which needs no autoencoder; then their latents
join them. A store may grow while a network learns from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import open_memmap
from PIL import Image
from torch.nn import functional as F

from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.images import mask_contour
from segdemo.u2netp import U2NetP
from segdemo.windows import Window
from training.progress import items_done, note_progress
from training.small.compact.scene_material import SceneMaterial
from training.small.scenes.compose import Scene, compose_scene
from training.small.scenes.crops import box_of

CHUNK = 16  # scenes at a time, and the unit of resuming
LOOKS = {"whole": 0.55, "subject": 0.3, "detail": 0.15}
"""How much of a scene is seen: all of it; a window around its subject, as in a second look; or one
over a part of its outline, with a coarse mask in place of U2NetP's answer."""
LATENTS_FOLDER = "latents"
LATENTS = ("image", "start", "mask", "edge")
PYRAMID = {"half": 16, "quarter": 32, "eighth": 64}
PHOTO = {"photo_8": 8, "photo_16": 16, "photo_32": 32, "photo_64": 64}
"""Maps that the network sees on its way down, and the pixels of one of their cells."""
PLANES = ("truth", "answer")


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

        noise: standard deviation of what is added to the image's latents, and the largest of what
        is added to the first answer's. dropout: probability
        with which a channel of the pyramid, or the whole first answer, is left out of one scene.
        Randomness is PyTorch's own.
        """
        kept, share = torch.rand(2, len(self.start), 1, 1, 1)
        kept = (kept >= dropout).to(self.start)
        return replace(
            self,
            image=self.image + noise * torch.randn_like(self.image),
            start=(self.start + noise * share * torch.randn_like(self.start)) * kept,
            pyramid=tuple(F.dropout2d(level, dropout) for level in self.pyramid),
        )


class SubjectStore:
    """Memory-mapped scenes: float16 latents and features, uint8 masks."""

    def __init__(self, folder: Path) -> None:
        """Open what `compose_scenes` and `encode_scenes` wrote so far."""
        latents = folder / LATENTS_FOLDER
        self._length = items_done(latents)
        self._arrays = {
            name: np.load(place / f"{name}.npy", mmap_mode="r")
            for place, names in ((folder, (*PHOTO, *PLANES)), (latents, (*LATENTS, *PYRAMID)))
            for name in names
        }

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
        truth, answer = (read[name][:, None] / 255 for name in PLANES)
        return SubjectBatch(
            **{name: read[name] for name in LATENTS}, pyramid=pyramid, truth=truth, answer=answer
        )


@torch.inference_mode()
def compose_scenes(
    material: SceneMaterial, saliency: U2NetP, folder: Path, count: int, size: int, seed: int
) -> None:
    """Compose `count` scenes into `folder`, with what U2NetP says of them.

    A killed run goes on where it stopped.
    """
    widths = zip(PHOTO.items(), saliency.condition_widths, strict=True)
    shapes = {name: (width, size // cell, size // cell) for (name, cell), width in widths}
    arrays = _open(folder, count, {name: (np.float16, shape) for name, shape in shapes.items()})
    pixels = {"image": (size, size, 3)} | dict.fromkeys(PLANES, (size, size))
    arrays |= _open(folder, count, {name: (np.uint8, shape) for name, shape in pixels.items()})
    for start in range(items_done(folder), count, CHUNK):
        chosen = slice(start, min(start + CHUNK, count))
        rngs = [np.random.default_rng([seed, index]) for index in range(count)[chosen]]
        views = [_view(material, size, rng) for rng in rngs]
        images = np.stack([view.image for view in views])
        output = saliency(_pixels(images))
        answers = (output.logits.float().sigmoid()[:, 0] * 255).round().byte().numpy()
        arrays["image"][chosen] = images
        arrays["truth"][chosen] = np.stack([view.mask for view in views])
        arrays["answer"][chosen] = np.stack(
            [a if v.coarse is None else v.coarse for a, v in zip(answers, views, strict=True)]
        )
        for name, values in zip(PHOTO, saliency.conditions(output), strict=True):
            arrays[name][chosen] = values.float().numpy()
        note_progress(folder, chosen.stop, count)


@dataclass(frozen=True, eq=False)
class View:
    """A part of a scene (S, S, 3) with its soft mask (S, S), and a coarse mask to begin with."""

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    coarse: npt.NDArray[np.uint8] | None = None


def _view(material: SceneMaterial, size: int, rng: np.random.Generator) -> View:
    """Compose a scene and choose how much of it is seen."""
    look = rng.choice(list(LOOKS), p=list(LOOKS.values()))
    scene = compose_scene(material, size if look == "whole" else 3 * size // 2, rng)
    inside = scene.mask > 127
    rows, columns = np.nonzero(mask_contour(scene.mask))
    if look == "whole" or not inside.any() or not rows.size:
        return _windowed(scene, Window.whole(inside.shape), size)
    box = np.asarray(box_of(inside), float)
    if look == "subject":
        lengths = np.tile(box[2:] - box[:2], 2)
        box = box + rng.normal(0, 0.05, 4) * lengths  # the first look errs as well
        return _windowed(scene, Window.around(box, rng.uniform(1.15, 1.5)), size)
    point = rng.integers(len(rows))
    half = rng.uniform(0.15, 0.3) * len(inside) * np.array([-1, -1, 1, 1])
    box = np.array([columns[point], rows[point]] * 2) + half
    view = _windowed(scene, Window.around(box, 1.0), size)
    coarse = Image.fromarray(view.mask).resize((size // int(rng.integers(4, 17)),) * 2)
    return replace(view, coarse=np.asarray(coarse.resize((size, size))))


def _windowed(scene: Scene, window: Window, size: int) -> View:
    image, mask = (
        np.asarray(window.crop(Image.fromarray(values), size))
        for values in (scene.image, scene.mask)
    )
    return View(image, mask)


@torch.inference_mode()
def encode_scenes(pipeline: DiffDISPipeline, folder: Path) -> None:
    """Write the latents of all scenes that are composed in `folder`, into a folder inside it.

    A killed run goes on where it stopped, and a later one with scenes that came since.
    """
    read = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("image", *PLANES)}
    count, size = len(read["image"]), read["image"].shape[1]
    channels = pipeline.unet.config.out_channels
    cells = dict.fromkeys(LATENTS, 8) | PYRAMID
    shapes = {name: (channels, size // cell, size // cell) for name, cell in cells.items()}
    latents = folder / LATENTS_FOLDER
    arrays = _open(latents, count, {name: (np.float16, shape) for name, shape in shapes.items()})
    composed = items_done(folder)
    for start in range(items_done(latents), composed, CHUNK):
        chosen = slice(start, min(start + CHUNK, composed))
        edges = np.stack([mask_contour(mask) for mask in read["truth"][chosen]])
        planes = {"start": read["answer"][chosen], "mask": read["truth"][chosen], "edge": edges}
        images = _pixels(read["image"][chosen])
        arrays["image"][chosen] = pipeline.encode(images).float().numpy()
        for name, values in planes.items():
            plane = torch.tensor(values)[:, None].float() / 127.5 - 1  # (b, 1, S, S)
            arrays[name][chosen] = pipeline.encode(plane.expand(-1, 3, -1, -1)).float().numpy()
        for name, level in zip(PYRAMID, pipeline.condition_pyramid(images), strict=True):
            arrays[name][chosen] = level.float().numpy()
        note_progress(latents, chosen.stop, count)


def _open(
    folder: Path, count: int, kinds: dict[str, tuple[type[np.generic], tuple[int, ...]]]
) -> dict[str, npt.NDArray[np.generic]]:
    """Open the arrays of a store to write in; their contents stay where some items are done."""
    folder.mkdir(parents=True, exist_ok=True)
    mode: Literal["r+", "w+"] = "r+" if items_done(folder) else "w+"
    return {
        name: open_memmap(folder / f"{name}.npy", mode, kind, (count, *shape))
        for name, (kind, shape) in kinds.items()
    }


def _pixels(images: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Return images (b, S, S, 3) as (b, 3, S, S) in [-1, 1]."""
    return torch.tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1
