"""Saliency of a photo by U2NetP, in two looks: the whole image, then a crop around the subject."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from segdemo.datatypes import RGBImage
from segdemo.precision import channels_last
from segdemo.u2netp import U2NETP_WEIGHTS, U2NetP
from segdemo.windows import Window

SIDE = 320
"""Side in pixels of U2NetP's input: the size it was trained at."""

MARGIN = 1.3
"""Side of the second look's crop, relative to the box around the first look's mask."""


@functools.cache
def load_subject_network() -> U2NetP:
    """Return U2NetP with its weights, on the CPU; loaded once."""
    network = U2NetP.from_pretrained(U2NETP_WEIGHTS, torch_dtype=torch.float32).eval()
    channels_last(network, torch.device("cpu"))
    return network


@torch.inference_mode()
def predict_saliency(
    image: RGBImage, network: U2NetP, mirrored: bool = False
) -> npt.NDArray[np.float32]:
    """Return an image's saliency map, (H, W) in [0, 1].

    The mean of a look at the whole image and one at a crop around its mask. mirrored: average each
    with one at the mirrored image, for twice the time.
    """
    photo = Image.fromarray(image)
    first = _predict_window(photo, Window.whole(photo.size), network, mirrored)
    inside = first > 0.5
    if not inside.any():
        return first
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    second = _predict_window(photo, Window.around(box, MARGIN), network, mirrored)
    return (first + second) * np.float32(0.5)


def _predict_window(
    photo: Image.Image, window: Window, network: U2NetP, mirrored: bool
) -> npt.NDArray[np.float32]:
    """Return the saliency of one window pasted into the image; 0 outside; (H, W)."""
    pixels = np.asarray(window.crop(photo, SIDE), np.float32) / 127.5 - 1
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(network.device)  # (1, 3, S, S)
    if mirrored:
        images = torch.cat([images, images.flip(-1)])
    plain, *flipped = network(images).logits.sigmoid()[:, 0]  # (S, S) each
    found = (plain + flipped[0].flip(-1)) / 2 if flipped else plain
    return window.paste_back(found.cpu().numpy(), photo.size)
