"""The classes of VOC and COCO, for class maps that hold nothing but their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from segdemo.datatypes import InputError

ClassSet = Literal["voc", "coco", "coco-ids"]
"""voc: 1 to 20. coco: 1 to 80 in COCO's order, as DHR and MARS number them. coco-ids: COCO's own
category ids, 1 to 90 with gaps."""

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

CLASS_NAMES: Mapping[ClassSet, Mapping[int, str]] = {
    "voc": dict(enumerate(_VOC, 1)),
    "coco": dict(enumerate((name for name in _COCO if name), 1)),
    "coco-ids": {number: name for number, name in enumerate(_COCO, 1) if name},
}


def class_names(class_set: ClassSet) -> Mapping[int, str]:
    """Return the names by number; raises InputError for an unknown set."""
    if class_set not in CLASS_NAMES:
        raise InputError(
            f"{class_set} is not a set of classes: choose one of {', '.join(CLASS_NAMES)}."
        )
    return CLASS_NAMES[class_set]
