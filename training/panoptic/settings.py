"""The settings of `training.panoptic`: network, data, learning rates."""

from __future__ import annotations

from dataclasses import dataclass

from segdemo.datatypes import InputError
from segdemo.settings import setting
from training.loop.settings import LoopSettings, required, same_as
from training.panoptic.network import SIDE_MULTIPLE, TINY


@dataclass(frozen=True, kw_only=True)
class PanopticSettings(LoopSettings):
    """What is trained on what; the defaults suit a ResNet-50 on one large GPU."""

    images: str = required("Folder of the images that the annotations name.", may_change=True)
    annotations: str = required(
        "Panoptic JSON of segdemo refine --semantic, its PNGs in the folder of its name.",
        may_change=True,
    )
    validation_annotations: str = setting(
        "",
        "Panoptic JSON of true segments to validate on; empty: pseudo-masks that are held out, "
        "which are no human's.",
        may_change=True,
    )
    validation_images: str = setting(
        "", "Folder of their images; empty: the same as --images.", may_change=True
    )
    output_dir: str = setting("runs/panoptic", "Where everything goes.", may_change=True)
    model: str = setting(
        "microsoft/resnet-50",
        "Folder or Hub id of a ResNet or Swin, trained on ImageNet, or of a whole Mask2Former; "
        f"{TINY}: untrained, for CPUs and tests. Most published Mask2Formers learned from people's "
        "masks: what starts from them is not weakly supervised.",
        may_change=True,
    )
    queries: int = setting(100, "Segments that the network can find in an image.", minimum=1)
    size: int = setting(
        640,
        f"Side of training images, a multiple of {SIDE_MULTIPLE}; images are predicted with this "
        "as their longer side.",
        minimum=SIDE_MULTIPLE,
        unit="pixels",
    )
    smallest_scale: float = setting(
        0.5, "Least scale of the images by chance.", minimum=0.05, maximum=10
    )
    largest_scale: float = setting(2.0, "Largest scale.", minimum=0.05, maximum=10)
    batch_size: int = setting(4, "Images per batch and process.", minimum=1, may_change=True)
    epochs: float = setting(50.0, "Passes over the data; 0: no limit.", minimum=0, may_change=True)
    learning_rate: float = same_as(LoopSettings, "learning_rate", default=1e-4)
    backbone_rate: float = setting(
        0.1, "Factor of the learning rate for a pretrained backbone.", minimum=0, maximum=1
    )
    validation_count: int = setting(
        16, "Images held out for validation, if there is any.", minimum=0
    )
    validation_seed: int = setting(0, "Seed of what is held out.", minimum=0)
    allow_problems: bool = setting(False, "Leave out images that have problems.", may_change=True)
    device: str = setting("auto", "auto, cpu or cuda.", may_change=True)

    def __post_init__(self) -> None:
        """Check ranges, choices and combinations; raises InputError."""
        super().__post_init__()
        if self.size % SIDE_MULTIPLE:
            raise InputError(f"--size {self.size}: give a multiple of {SIDE_MULTIPLE}.")
        if self.smallest_scale > self.largest_scale:
            raise InputError("--smallest_scale must not be above --largest_scale.")
