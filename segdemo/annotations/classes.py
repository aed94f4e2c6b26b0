"""The classes of VOC and COCO, for class maps that hold nothing but their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from segdemo.datatypes import InputError

ClassSet = Literal["voc", "coco", "coco-ids", "coco-panoptic"]
"""voc: 1 to 20. coco: 1 to 80 in COCO's order, as DHR and MARS number them. coco-ids: COCO's own
category ids, 1 to 90 with gaps. coco-panoptic: these and the 53 classes of stuff of COCO's panoptic
task, up to 200."""

VOID = 255  # of class maps: borders and what is not annotated

_VOC = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike "
    "person pottedplant sheep sofa train tvmonitor"
).split()

_COCO = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, "
    "fire hydrant, , stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, "
    "bear, zebra, giraffe, , backpack, umbrella, , , handbag, tie, suitcase, frisbee, skis, "
    "snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, "
    "tennis racket, bottle, , wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, "
    "orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, , "
    "dining table, , , toilet, , tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, "
    "toaster, sink, refrigerator, , book, clock, vase, scissors, teddy bear, hair drier, toothbrush"
).split(", ")

_COCO_STUFF = {
    92: "banner", 93: "blanket", 95: "bridge", 100: "cardboard", 107: "counter", 109: "curtain",
    112: "door-stuff", 118: "floor-wood", 119: "flower", 122: "fruit", 125: "gravel", 128: "house",
    130: "light", 133: "mirror-stuff", 138: "net", 141: "pillow", 144: "platform",
    145: "playingfield", 147: "railroad", 148: "river", 149: "road", 151: "roof", 154: "sand",
    155: "sea", 156: "shelf", 159: "snow", 161: "stairs", 166: "tent", 168: "towel",
    171: "wall-brick", 175: "wall-stone", 176: "wall-tile", 177: "wall-wood", 178: "water-other",
    180: "window-blind", 181: "window-other", 184: "tree-merged", 185: "fence-merged",
    186: "ceiling-merged", 187: "sky-other-merged", 188: "cabinet-merged", 189: "table-merged",
    190: "floor-other-merged", 191: "pavement-merged", 192: "mountain-merged", 193: "grass-merged",
    194: "dirt-merged", 195: "paper-merged", 196: "food-other-merged", 197: "building-other-merged",
    198: "rock-merged", 199: "wall-other-merged", 200: "rug-merged",
}  # fmt: skip

CLASS_NAMES: Mapping[ClassSet, Mapping[int, str]] = {
    "voc": dict(enumerate(_VOC, 1)),
    "coco": dict(enumerate((name for name in _COCO if name), 1)),
    "coco-ids": {number: name for number, name in enumerate(_COCO, 1) if name},
    "coco-panoptic": {number: name for number, name in enumerate(_COCO, 1) if name} | _COCO_STUFF,
}
STUFF: Mapping[str, frozenset[int]] = {"coco-panoptic": frozenset(_COCO_STUFF)}
"""Classes without instances of the sets that have some."""


def class_names(class_set: ClassSet) -> Mapping[int, str]:
    """Return the names by number; raises InputError for an unknown set."""
    if class_set not in CLASS_NAMES:
        raise InputError(
            f"{class_set} is not a set of classes: choose one of {', '.join(CLASS_NAMES)}."
        )
    return CLASS_NAMES[class_set]
