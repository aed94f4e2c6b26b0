"""What all prompters have in common: an image once, then prompts as often as wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.prompting.prompts import Prompt


@dataclass(frozen=True, eq=False)
class PromptedMask:
    """What a prompter answers.

    mask: (H, W) float32 in [0, 1]. score: 0 to 1, how good the prompter takes it to be. edge:
    (H, W) float32 in [0, 1], how likely a pixel lies on the mask's edge (`mask_contour`); None
    where the prompter does not say.
    """

    mask: npt.NDArray[np.float32]
    score: float
    edge: npt.NDArray[np.float32] | None = None


class Prompter(Protocol):
    """Answers prompts about one image at a time, like SAM's predictor."""

    def set_image(self, image: RGBImage) -> None:
        """Choose the image (H, W, 3) that the next prompts are about."""

    def predict(self, prompt: Prompt) -> PromptedMask:
        """Return the mask of the object that a prompt means; raises InputError (`check_prompt`)."""


@runtime_checkable
class WindowRefiner(Protocol):
    """What a prompter also is where it finds the details of a mask inside a window."""

    def refine_window(
        self, image: RGBImage, mask: FloatMap, box: npt.NDArray[np.floating]
    ) -> FloatMap:
        """Return the mask (H, W) looked at again inside a box; see `window_refinement`."""


def check_prompt(prompt: Prompt, size: tuple[int, int] | None) -> None:
    """Raise InputError where there is no image, or the prompt says of no object or badly.

    size: (height, width) of the image, None without one.
    """
    if size is None:
        raise InputError("There is no image: call set_image first.")
    clicked = prompt.points is not None and len(prompt.points) > 0
    if prompt.box is None and not clicked:
        raise InputError("The prompt is empty: give a box or at least one click.")
    if clicked and (prompt.labels is None or len(prompt.labels) != len(np.asarray(prompt.points))):
        raise InputError("Each click needs a label: true on the object, false beside it.")
    given = [values for values in (prompt.box, prompt.points) if values is not None]
    if not all(np.isfinite(values).all() for values in given):
        raise InputError("Boxes and clicks must be numbers in pixels of the image.")
    if prompt.box is not None:
        left, top, right, bottom = prompt.box
        if min(right, size[1]) <= max(left, 0) or min(bottom, size[0]) <= max(top, 0):
            raise InputError(
                f"The box {left:g}, {top:g}, {right:g}, {bottom:g} (left, top, right, bottom) "
                f"holds no pixel of the {size[1]} x {size[0]} image."
            )
    if prompt.mask is not None and prompt.mask.shape != size:
        raise InputError(f"The mask so far is {prompt.mask.shape}, the image {size}.")
