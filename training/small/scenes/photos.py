"""Photographs whose subjects are known: people, and objects that dominate a view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.small.scenes.crops import box_of, crop, widen
from training.small.scenes.material import IGNORED_INSTANCE, Material

SHARE_OF_DOMINANT = 0.35  # an object this large beside the largest one is a subject too


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A photograph (RGB) and its subjects: (H, W), 0 is background."""

    image: Image.Image
    instances: npt.NDArray[np.uint8]


def person(material: Material, rng: np.random.Generator) -> LabelledImage:
    """Draw a photograph of a person."""
    photo = material.people[rng.integers(len(material.people))]
    image = Image.open(photo.image).convert("RGB")
    person = np.asarray(Image.open(photo.labels).convert("L").resize(image.size)) > 127
    return LabelledImage(image, person.astype(np.uint8))


def instance_photo(material: Material, rng: np.random.Generator) -> LabelledImage | None:
    """Crop a photograph around some of its objects; None when no object dominates the view."""
    photo = material.photos[rng.integers(len(material.photos))]
    image = Image.open(photo.image).convert("RGB")
    labels = np.array(Image.open(photo.labels)).astype(np.int64)
    labels[labels == IGNORED_INSTANCE] = 0
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    large = ids[areas > 0.01 * labels.size]
    if large.size == 0:
        return None
    if rng.random() < 0.7:  # look closer at one of the objects
        box = box_of(labels == rng.choice(large))
        window = widen(box, rng.uniform(0.05, 0.9), labels.shape, rng)
        image, labels = image.crop(window), crop(labels, window)
        ids, areas = np.unique(labels[labels > 0], return_counts=True)
    if areas.max() < 0.02 * labels.size:
        return None
    subjects = ids[areas >= SHARE_OF_DOMINANT * areas.max()][:254]
    instances = np.zeros(labels.shape, np.uint8)
    for number, label in enumerate(subjects, start=1):
        instances[labels == label] = number
    return LabelledImage(image, instances)
