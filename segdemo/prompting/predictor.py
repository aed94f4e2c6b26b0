"""The embedded prompter: an image once, then boxes and clicks as often as wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage

from segdemo.datatypes import FloatMap, RGBImage
from segdemo.photo_features import PhotoFeatures
from segdemo.prompting.interface import PromptedMask, check_prompt
from segdemo.prompting.network import PromptedU2Net
from segdemo.prompting.prompts import Prompt, prompt_map
from segdemo.window_refinement import refine_window
from segdemo.windows import Window

MARGIN = 1.5
"""Side of the window around a box, relative to the box."""

UNSURE = 0.3, 0.7
"""Thresholds between which an answer is unsure; the score is the IoU of the masks at both."""


class EmbeddedPrompter:
    """Answers prompts about one image at a time, like SAM's predictor.

    Clicks without a box are answered in two looks: at the image, then at the window around what
    was found there. photo_features: for a network that was made to see them, no other. side: of the
    windows in pixels, a multiple of 32.
    """

    def __init__(
        self,
        network: PromptedU2Net,
        photo_features: PhotoFeatures | None = None,
        side: int = 192,
    ) -> None:
        """Use a trained network."""
        self.network, self._side = network.eval(), side
        self._photo_features = photo_features.eval() if photo_features is not None else None
        self._image: Image.Image | None = None
        self._features: dict[Window, list[torch.Tensor]] = {}

    def set_image(self, image: RGBImage) -> None:
        """Choose the image (H, W, 3) that the next prompts are about."""
        self._image, self._features = Image.fromarray(image), {}

    @torch.inference_mode()
    def predict(self, prompt: Prompt) -> PromptedMask:
        """Return the mask of the object that a prompt means.

        Raises InputError, see `check_prompt`.
        """
        image = self._image
        check_prompt(prompt, None if image is None else (image.height, image.width))
        if prompt.box is not None:
            mask, *edges = self._look(prompt, Window.around(prompt.box, MARGIN))
        else:
            mask, *edges = self._look_twice(prompt)
        low, high = ((mask > threshold).sum() for threshold in UNSURE)
        return PromptedMask(mask, float(high / low) if low else 0.0, *edges)

    @torch.inference_mode()
    def refine_window(
        self, image: RGBImage, mask: FloatMap, box: npt.NDArray[np.floating]
    ) -> FloatMap:
        """Look again at a box of an image, from the mask so far; see `window_refinement`.

        The image need not be the one that prompts are about.
        """

        def look(part: RGBImage, answer: FloatMap) -> FloatMap:
            photo = Image.fromarray(part)
            window = Window.whole(photo.size)
            found = self._answer(self._encode(photo, window), Prompt(mask=answer), window)
            return window.paste_back(found[0], photo.size)

        return refine_window(image, mask, box, look)

    def _look_twice(self, prompt: Prompt) -> list[npt.NDArray[np.float32]]:
        """Find the window in the whole image, or in the answer so far, then look into it.

        The box around that is part of the second look's prompt: the network knows better what a box
        means than clicks alone.
        """
        assert self._image is not None and prompt.points is not None
        if prompt.mask is not None and (prompt.mask > 0.5).any():
            box = self._box(prompt.mask > 0.5, prompt)
            return self._look(replace(prompt, box=box), Window.around(box, MARGIN))
        found = self._look(replace(prompt, mask=None), Window.whole(self._image.size))
        first = found[0]
        inside = first > min(0.5, float(first.max()) / 2)  # a faint answer counts too
        if not inside.any():
            return found
        box = self._box(_parts_clicked(inside, prompt), prompt)
        return self._look(replace(prompt, box=box, mask=None), Window.around(box, MARGIN))

    def _box(self, inside: npt.NDArray[np.bool_], prompt: Prompt) -> npt.NDArray[np.float64]:
        """Return the box around an answer and the clicks: one beside the answer counts too."""
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]], float)
        corners = np.concatenate([corners, np.asarray(prompt.points, float)])
        return np.concatenate([corners.min(0), corners.max(0)])

    def _look(self, prompt: Prompt, window: Window) -> list[npt.NDArray[np.float32]]:
        """Answer in one window of the image; its features are kept for the next prompt.

        Returns the mask and, from a network that finds it, the edge, (H, W) each; 0 outside.
        """
        assert self._image is not None
        if window not in self._features:
            self._features = {window: self._encode(self._image, window)}
        found = self._answer(self._features[window], prompt, window)
        return [window.paste_back(values, self._image.size) for values in found]

    def _encode(self, image: Image.Image, window: Window) -> list[torch.Tensor]:
        """Return the features of a window."""
        pixels = np.asarray(window.crop(image, self._side), np.float32)
        images = torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]  # (1, 3, S, S)
        images = images.to(self.network.device, self.network.dtype)
        return self.network.encode(images, self._photo_features)

    def _answer(
        self, features: list[torch.Tensor], prompt: Prompt, window: Window
    ) -> npt.NDArray[np.float32]:
        """Return mask and edge of a window, (1 or 2, S, S): a network may find no edge."""
        drawn = torch.from_numpy(prompt_map(prompt, window, self._side))[None]
        drawn = drawn.to(self.network.device, self.network.dtype)  # (1, 4, S, S)
        output = self.network(features, drawn)
        logits = [output.logits] + ([] if output.edge_logits is None else [output.edge_logits])
        return torch.cat(logits, 1)[0].float().sigmoid().cpu().numpy()


def _parts_clicked(inside: npt.NDArray[np.bool_], prompt: Prompt) -> npt.NDArray[np.bool_]:
    """Return the connected parts that hold a positive click; all of them where none does."""
    assert prompt.points is not None and prompt.labels is not None
    parts, _ = ndimage.label(inside)
    height, width = inside.shape
    clicks = np.floor(np.asarray(prompt.points)[np.asarray(prompt.labels, bool)]).astype(int)
    columns, rows = np.clip(clicks.T, 0, [[width - 1], [height - 1]])
    hit = parts[rows, columns]
    chosen: npt.NDArray[np.bool_] = np.isin(parts, hit[hit > 0]) if hit.any() else inside
    return chosen
