"""Patch features of a vision transformer trained without labels: its last layer's keys.

DINO's ViT (arXiv 2104.14294) and DINOv2's, with register tokens or without (arXiv 2304.07193).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from transformers import ViTModel

from segdemo.checkpoints.files import CheckpointError, read_color_statistics, read_json
from segdemo.checkpoints.locate import locate
from segdemo.checkpoints.vision import class_tokens, load_vision
from segdemo.datatypes import RGBImage
from segdemo.uis.patch_masks import SIDE

KINDS = ("vit", "dinov2", "dinov2_with_registers")  # model_type in config.json


class PatchFeatures:
    """A vision transformer and the preprocessing of its images."""

    def __init__(self, network: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Take a network of `KINDS`; mean and std: of the colors it was trained on."""
        self._network = network.eval()
        self._mean = torch.tensor(mean)[:, None, None]
        self._std = torch.tensor(std)[:, None, None]

    @torch.inference_mode()
    def keys(self, image: RGBImage, side: int = SIDE) -> npt.NDArray[np.float32]:
        """Return the patches' keys in the last self-attention, all heads joined, (h, w, d).

        The image is resized to a square of about `side` pixels, a multiple of the patch; the
        network's position embeddings are interpolated to it.
        """
        patch = self._network.config.patch_size
        patches = max(2, side // patch)
        square = (patches * patch, patches * patch)
        small = Image.fromarray(image).resize(square, Image.Resampling.LANCZOS)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255  # (3, S, S)
        pixels = (pixels - self._mean) / self._std
        weight = self._network.embeddings.patch_embeddings.projection.weight
        caught: list[torch.Tensor] = []
        vit = isinstance(self._network, ViTModel)
        layers = self._network.layers if vit else self._network.encoder.layer
        options = {"interpolate_pos_encoding": True} if vit else {}  # DINOv2 always does
        hook = layers[-1].attention.k_proj.register_forward_hook(
            lambda _, given, made: caught.append(made)
        )
        try:
            self._network(pixels[None].to(weight), **options)
        finally:
            hook.remove()
        keys = caught[0][0, class_tokens(self._network) :].float()  # (h*w, d)
        result: npt.NDArray[np.float32] = keys.reshape(patches, patches, -1).cpu().numpy()
        return result


def load_features(
    name: str, device: torch.device, dtype: torch.dtype = torch.float32
) -> PatchFeatures:
    """Load a ViT by registered name, folder as transformers saves it or Hub id.

    Of a Hub id the weights are downloaded unless they are in the cache, never a pickle. Raises
    CheckpointError.
    """
    folder = locate(name, "features")
    kind = str(read_json(folder / "config.json").get("model_type"))
    if kind not in KINDS:
        raise CheckpointError(
            f"{folder} is a {kind}: only a ViT ({', '.join(KINDS)}), such as "
            "facebook/dino-vitb8 or facebook/dinov2-base, can be opened here."
        )
    network = load_vision(folder, dtype)
    return PatchFeatures(network.to(device), *read_color_statistics(folder))
