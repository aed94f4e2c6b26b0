"""Windows around objects with their masks, and the prompts that a user might give for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage

from segdemo.images import mask_contour
from segdemo.prompting.clicks import next_click
from segdemo.prompting.prompts import CHANNELS, Prompt, prompt_map
from segdemo.windows import Window
from training.small.compact.scene_material import SceneMaterial
from training.small.scenes.compose import compose_crowd, compose_scene
from training.small.scenes.crops import jitter_colors
from training.small.scenes.material import IGNORED_INSTANCE

SMALLEST_OBJECT = 400  # pixels
SCENE_SIDE = 384
SOURCES = {"instances": 0.5, "people": 0.06, "subject": 0.1, "scene": 0.11, "crowd": 0.23}
"""Where examples come from, and how often; subject: photos whose masks U2NetP made."""

EXACT = ("people", "scene", "crowd")
"""Sources whose outlines are exact: COCO's polygons and U2NetP's answers are not."""

KINDS = {"box": 0.4, "click": 0.35, "clicks": 0.25}
"""What is given first: a box, one click, or a click with a box that is wrong as a first look's."""

DETAILS = 0.25
"""Share of the examples with exact outlines that show a part of one, with a coarse mask of it."""

BLURS = {"box": (0.03, 0.06), "clicks": (0.1, 0.25)}
"""How far the sides of a box are off, relative to its sides: standard deviations to choose from."""

FORGOTTEN_BOX = 0.5
"""Share of corrections without the box: who only clicks never drew one."""


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """B windows.

    images: (B, 3, S, S) in [-1, 1]. masks, edges: (B, 1, S, S) in [0, 1]; the edges are the masks'
    (`mask_contour`). prompts: (B, 4, S, S).
    """

    images: torch.Tensor
    masks: torch.Tensor
    edges: torch.Tensor
    prompts: torch.Tensor


@dataclass(frozen=True, eq=False)
class Example:
    """A window of an image (S, S, 3), the object's mask in it (S, S), and the prompt's map."""

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    prompt: npt.NDArray[np.float32]


def prompt_batch(
    material: SceneMaterial, count: int, side: int, rng: np.random.Generator
) -> PromptBatch:
    """Draw `count` windows of `side` x `side` pixels with a prompt each."""
    examples: list[Example] = []
    while len(examples) < count:
        source = rng.choice(list(SOURCES), p=list(SOURCES.values()))
        image, labels = _labelled_image(material, source, rng)
        ids, areas = np.unique(labels[labels > 0], return_counts=True)
        large = ids[areas >= SMALLEST_OBJECT]
        if large.size:
            chosen = rng.permutation(large)[: 1 if rng.random() < 0.5 else 2]
            for number in chosen:
                make = detail if source in EXACT and rng.random() < DETAILS else example
                examples.append(make(image, labels == number, side, rng))
    examples = examples[:count]
    images = np.stack([entry.image for entry in examples])
    masks = np.stack([entry.mask for entry in examples])
    edges = np.stack([mask_contour(mask) for mask in masks])
    return PromptBatch(
        torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1,
        torch.from_numpy(masks)[:, None].float() / 255,
        torch.from_numpy(edges)[:, None].float() / 255,
        torch.from_numpy(np.stack([entry.prompt for entry in examples])),
    )


def _labelled_image(
    material: SceneMaterial, source: str, rng: np.random.Generator
) -> tuple[Image.Image, npt.NDArray[np.int64]]:
    """Draw an image of one of SOURCES with its instances; 0 is background."""
    if source in ("scene", "crowd"):
        compose = compose_scene if source == "scene" else compose_crowd
        scene = compose(material, SCENE_SIDE, rng)
        return Image.fromarray(scene.image), scene.instances.astype(np.int64)
    pools = {
        "instances": material.photos,
        "people": material.people,
        "subject": material.subjects,
    }
    pool = pools[source]
    pair = pool[rng.integers(len(pool))]
    image = Image.open(pair.image).convert("RGB")
    stored = Image.open(pair.labels)
    if source != "instances":
        mask = stored.convert("L").resize(image.size)
        return image, (np.asarray(mask) > 127).astype(np.int64)
    labels = np.array(stored).astype(np.int64)
    labels[labels == IGNORED_INSTANCE] = 0
    return image, labels


def example(
    image: Image.Image, target: npt.NDArray[np.bool_], side: int, rng: np.random.Generator
) -> Example:
    """Choose a window and a prompt for one object of an image."""
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    rows, columns = np.flatnonzero(target.any(1)), np.flatnonzero(target.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    lengths = np.tile(box[2:] - box[:2], 2)
    blur = rng.choice(BLURS.get(kind, (0.0,)))
    drawn = box + rng.normal(0, blur, 4) * lengths * (rng.random() < 0.8)
    drawn = np.concatenate([np.minimum(drawn[:2], drawn[2:]), np.maximum(drawn[:2], drawn[2:])])
    drawn[2:] = np.maximum(drawn[2:], drawn[:2] + 4)
    if kind == "click":
        window = _window_of_click(box, image.size, rng)
    else:
        window = Window.around(drawn, rng.uniform(1.25, 1.8))
    mask = _squashed(window, target, side)
    points, labels = None, None
    if kind != "box":
        visible = mask > 127
        click = next_click(np.zeros_like(visible), visible, rng)
        if click is not None:
            scale = np.asarray(window.size) / side
            points = np.array([click[:2]]) * scale + (window.left, window.top)
            labels = np.array([True])
    prompt = Prompt(None if kind == "click" else drawn, points, labels)
    return _finished(image, mask, window, prompt_map(prompt, window, side), rng)


def detail(
    image: Image.Image, target: npt.NDArray[np.bool_], side: int, rng: np.random.Generator
) -> Example:
    """Choose a window at an object's outline, and give the mask as a coarse answer has it."""
    grown, shrunk = ndimage.binary_dilation(target), ndimage.binary_erosion(target)
    rows, columns = np.nonzero(grown & ~shrunk)
    index = rng.integers(len(rows))
    length = float(np.sqrt(target.sum())) * rng.uniform(0.3, 1.0)
    x, y = np.array([columns[index], rows[index]]) + rng.uniform(-0.3, 0.3, 2) * length
    window = Window(x - length / 2, y - length / 2, x + length / 2, y + length / 2)
    mask = _squashed(window, target, side)
    drawn = np.zeros((CHANNELS, side, side), np.float32)
    drawn[3] = 2 * _coarse(mask, rng) - 1
    return _finished(image, mask, window, drawn, rng)


def _coarse(mask: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return a mask (S, S) from 0 to 1 without its fine parts, and wrong here and there."""
    size = mask.shape[::-1]
    cells = int(rng.integers(5, 24))
    small = Image.fromarray(mask).resize((cells, cells), Image.Resampling.BOX)
    soft = np.asarray(small.resize(size, Image.Resampling.BICUBIC), np.float32) / 255
    noise = rng.normal(0, rng.uniform(0, 0.4), (cells, cells)).astype(np.float32)
    soft = soft + np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))
    sharpness = rng.uniform(1, 6)  # from hazy to nearly hard
    return np.clip((soft - 0.5) * sharpness + 0.5, 0, 1)


def _finished(
    image: Image.Image,
    mask: npt.NDArray[np.uint8],
    window: Window,
    drawn_map: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> Example:
    """Cut the window out, in other colours and sometimes mirrored."""
    pixels = np.asarray(jitter_colors(window.crop(image, mask.shape[0]), rng, 0.2))
    if rng.random() < 0.5:
        pixels, mask, drawn_map = pixels[:, ::-1], mask[:, ::-1], drawn_map[..., ::-1]
    return Example(pixels, mask, drawn_map.copy())


def _window_of_click(
    box: npt.NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator
) -> Window:
    """Return the image, or a part of it that holds the object: what is known before any answer."""
    whole = Window.whole(size)
    if rng.random() < 0.35:
        return whole
    wide = Window.around(box, float(np.exp(rng.uniform(np.log(1.2), np.log(5)))))
    spare = (np.asarray(wide.size) - (box[2:] - box[:2])) / 2
    x, y = rng.uniform(-0.8, 0.8, 2) * spare
    return Window(
        max(whole.left, wide.left + x),
        max(whole.top, wide.top + y),
        min(whole.right, wide.right + x),
        min(whole.bottom, wide.bottom + y),
    )


def _squashed(window: Window, target: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.uint8]:
    return np.asarray(window.crop(Image.fromarray(target.astype(np.uint8) * 255), side))


def corrected(batch: PromptBatch, found: torch.Tensor, rng: np.random.Generator) -> PromptBatch:
    """Return the batch with one more click each, in the largest region that is wrong.

    found: (B, 1, S, S) in [0, 1], the answer to the prompts, which joins them. Where nothing is
    wrong the prompt has no further click. Some prompts lose their box.
    """
    side = batch.masks.shape[-1]
    prompts = batch.prompts.clone()
    prompts[:, 3:] = 2 * found - 1
    for index in range(len(prompts)):
        if rng.random() < FORGOTTEN_BOX:
            prompts[index, 0] = 0
        answer = (found[index, 0] > 0.5).numpy()
        truth = (batch.masks[index, 0] > 0.5).numpy()
        click = next_click(answer, truth, rng)
        if click is not None:
            x, y, positive = click
            point = Prompt(None, np.array([[x, y]]), np.array([positive]))
            disk = torch.from_numpy(prompt_map(point, Window.whole((side, side)), side))
            prompts[index, 1:3] = torch.maximum(prompts[index, 1:3], disk[1:3])
    return replace(batch, prompts=prompts)
