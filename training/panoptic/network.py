"""Mask2Former: built, loaded, trained, and its prediction of an image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn
from transformers import (
    AutoConfig,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    ResNetBackbone,
    ResNetConfig,
    SwinBackbone,
)
from transformers.models.mask2former.image_processing_pil_mask2former import (
    Mask2FormerImageProcessorPil,
)

from segdemo.datatypes import InputError, RGBImage
from segdemo.files import write_text
from segdemo.panoptic_quality import Segments
from training.loop.sampling import BatchIndex
from training.loop.trainer import Losses

TINY = "tiny"
SIDE_MULTIPLE = 32
CLASSES = "panoptic_classes.json"
STAGES = ["stage1", "stage2", "stage3", "stage4"]
BACKBONES = {"resnet": ResNetBackbone, "swin": SwinBackbone}
NEW_NORMS = "hidden_states_norms."
"""Layers that a Swin gets as a backbone, and a classifier does not have."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LOSSES = {"classes": "loss_cross_entropy", "masks": "loss_mask", "dice": "loss_dice"}
"""What is logged, and how transformers names its part in every layer of the decoder."""


@dataclass(frozen=True)
class PanopticClass:
    """A class. number: its category id. is_thing: whether its objects are told apart."""

    number: int
    name: str
    is_thing: bool


class PanopticModel(nn.Module):
    """A Mask2Former for certain classes; the norms of its backbone keep their statistics."""

    def __init__(
        self, network: Mask2FormerForUniversalSegmentation, classes: Sequence[PanopticClass]
    ) -> None:
        """Wrap a network that has one label for each class, in their order."""
        super().__init__()
        self.network = network
        self.classes = tuple(classes)
        self._processor = Mask2FormerImageProcessorPil()
        for norm in self._batch_norms():
            norm.requires_grad_(False)

    def train(self, mode: bool = True) -> PanopticModel:
        """Set the mode; batches are too small to measure a norm's statistics."""
        super().train(mode)
        for norm in self._batch_norms():
            norm.eval()
        return self

    @torch.inference_mode()
    def predict(self, image: RGBImage, size: int) -> Segments:
        """Return the segments of an image (H, W, 3) at its own size; stuff is one a class.

        size: its longer side for the network. Both sides become multiples of 32.
        """
        height, width = image.shape[:2]
        scale = size / max(height, width)
        sides = [
            max(1, round(side * scale / SIDE_MULTIPLE)) * SIDE_MULTIPLE for side in (width, height)
        ]
        resized = Image.fromarray(image).resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
        pixels = normalize(np.asarray(resized))[None]  # (1, 3, h, w)
        found = self.network(pixels.to(self.network.device))
        found.masks_queries_logits = found.masks_queries_logits.float()
        found.class_queries_logits = found.class_queries_logits.float()
        (result,) = self._processor.post_process_panoptic_segmentation(
            found,
            label_ids_to_fuse={i for i, one in enumerate(self.classes) if not one.is_thing},
            target_sizes=[(height, width)],
        )
        ids = result["segmentation"].clamp_min(0).to("cpu", torch.int64).numpy()  # -1: no segment
        present = set(np.unique(ids).tolist())
        return Segments(
            ids,
            {
                int(one["id"]): self.classes[one["label_id"]].number
                for one in result["segments_info"]
                if one["id"] in present
            },
        )

    def save(self, folder: Path) -> None:
        """Write a folder that transformers opens, and the classes."""
        self.network.save_pretrained(folder)
        self._processor.save_pretrained(folder)
        text = json.dumps([asdict(one) for one in self.classes], indent=1)
        write_text(text + "\n", folder / CLASSES)

    def _batch_norms(self) -> list[nn.Module]:
        encoder = self.network.model.pixel_level_module.encoder
        return [one for one in encoder.modules() if isinstance(one, nn.BatchNorm2d)]


@dataclass(frozen=True)
class PanopticLosses:
    """The losses of a batch: classes, masks and Dice of every layer of the decoder, weighted."""

    model: PanopticModel

    def __call__(self, batch: Any, index: BatchIndex) -> Losses:
        """Return `loss` and its parts; batch: a `training.panoptic.data.PanopticBatch`."""
        network = self.model.network
        batch = batch.to(network.device)
        found = network(batch.images, output_auxiliary_logits=True)
        # in float32: half precision is too coarse for matching, and numpy has no bfloat16
        with torch.autocast(batch.images.device.type, enabled=False):
            parts = network.get_loss_dict(
                found.masks_queries_logits.float(),
                found.class_queries_logits.float(),
                batch.masks,
                batch.labels,
                [{k: v.float() for k, v in layer.items()} for layer in found.auxiliary_logits],
            )
        sums = {
            name: torch.stack([value for key, value in parts.items() if key.startswith(ending)])
            for name, ending in LOSSES.items()
        }
        named = {name: values.sum() for name, values in sums.items()}
        return {"loss": torch.stack(list(named.values())).sum(), **named}


def build_model(name: str, classes: Sequence[PanopticClass], queries: int) -> PanopticModel:
    """Build a Mask2Former for classes, as `PanopticSettings.model` says; raises InputError."""
    labels = {i: one.name for i, one in enumerate(classes)}
    ids = {text: i for i, text in labels.items()}
    if name == TINY:
        return PanopticModel(_tiny(labels, ids, queries), classes)
    try:
        config = AutoConfig.from_pretrained(name)
        if config.model_type == "mask2former":
            network = Mask2FormerForUniversalSegmentation.from_pretrained(
                name, id2label=labels, label2id=ids, ignore_mismatched_sizes=True,
                use_safetensors=True,
            )  # fmt: skip
            return PanopticModel(network, classes)
        if config.model_type not in BACKBONES:
            raise InputError(
                f"--model {name} is a {config.model_type}: give a ResNet, a Swin or a Mask2Former."
            )
        backbone, loaded = BACKBONES[config.model_type].from_pretrained(
            name, out_features=STAGES, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"--model {name} cannot be loaded ({reason}).") from error
    if missing := [k for k in loaded["missing_keys"] if not k.startswith(NEW_NORMS)]:
        raise InputError(f"--model {name} lacks weights, such as {min(missing)}: copy it again.")
    config = Mask2FormerConfig(
        backbone_config=backbone.config, num_queries=queries, id2label=labels, label2id=ids
    )
    network = Mask2FormerForUniversalSegmentation(config)
    network.model.pixel_level_module.encoder.load_state_dict(backbone.state_dict())
    return PanopticModel(network, classes)


def load_model(folder: Path) -> PanopticModel:
    """Load what `PanopticModel.save` wrote; raises InputError."""
    file = folder / CLASSES
    if not file.is_file():
        raise InputError(f"{folder} has no {CLASSES}: give an export of training.panoptic.")
    try:
        classes = [PanopticClass(**one) for one in json.loads(file.read_text())]
        network = Mask2FormerForUniversalSegmentation.from_pretrained(folder, use_safetensors=True)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{folder} cannot be loaded ({reason}).") from error
    if network.config.num_labels != len(classes):
        raise InputError(f"{file} lists {len(classes)} classes, the network has others.")
    model = PanopticModel(network, classes)
    model.eval()
    return model


def normalize(image: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Return (3, H, W) float32 with ImageNet's mean and standard deviation taken out."""
    mean, deviation = np.array(MEAN, np.float32), np.array(DEVIATION, np.float32)
    scaled = (image.astype(np.float32) / 255 - mean) / deviation
    return torch.from_numpy(scaled).permute(2, 0, 1).contiguous()


def _tiny(
    labels: dict[int, str], ids: dict[str, int], queries: int
) -> Mask2FormerForUniversalSegmentation:
    backbone = ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 24, 32, 48],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=STAGES,
    )
    config = Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=64,
        dim_feedforward=64,
        encoder_layers=1,
        decoder_layers=3,
        num_attention_heads=4,
        num_queries=queries,
        train_num_points=1024,
        id2label=labels,
        label2id=ids,
    )
    return Mask2FormerForUniversalSegmentation(config)
