"""Between instances that may overlap and label maps that may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from segdemo.annotations import InstanceRuns, Instances
from segdemo.annotations.label_png import UNLABELLED
from segdemo.datatypes import MAX_INSTANCES, Front, InputError, Labels
from segdemo.editing.image import EditedImage
from segdemo.editing.storage import Instance


def flatten_masks(
    masks: Instances, front: Front = "smaller"
) -> tuple[Labels, dict[int, Instance], list[str]]:
    """Flatten instances to a label map for editing; instance i gets the number i + 1.

    Returns the labels, what is known of each that has a pixel, and what was left out, in sentences.
    Raises InputError for more instances than a label map holds.
    """
    if len(masks) > MAX_INSTANCES:
        raise InputError(f"{len(masks)} instances: an image holds at most {MAX_INSTANCES}.")
    flat = masks.to_label_map(front)
    known = {
        number + 1: Instance(
            category=None if masks.category_ids is None else int(masks.category_ids[number]),
            score=float(masks.scores[number]),
            crowd=bool(masks.crowd is not None and masks.crowd[number]),
        )
        for number in range(len(masks))
        if number not in flat.hidden
    }
    losses = []
    if flat.overlapped:
        losses.append(
            f"{flat.overlapped} pixels belonged to several instances: the {front} one has them."
        )
    if flat.hidden:
        losses.append(f"{len(flat.hidden)} instances had no pixel left and are missing.")
    return flat.labels.astype(np.uint16), known, losses


def add_instances(image: EditedImage, labels: Labels, known: Mapping[int, Instance]) -> list[str]:
    """Add what `flatten_masks` returned to an image as one edit; pixels that are taken stay.

    Returns what was left out, in sentences. Raises InputError where nothing can be added.
    """
    added = [int(number) for number in np.unique(labels) if number]
    first = image.highest
    if first + len(added) > MAX_INSTANCES:
        raise InputError(f"{image.name}: an image holds at most {MAX_INSTANCES} instances.")
    numbers = np.zeros(MAX_INSTANCES + 1, np.uint16)
    numbers[added] = np.arange(first + 1, first + 1 + len(added))
    losses = []

    def draw(before: Labels) -> Labels:
        free = before == 0
        taken = int(np.count_nonzero((labels > 0) & ~free))
        if taken:
            losses.append(f"{taken} pixels of the added masks belong to instances already.")
        return np.where(free, numbers[labels], before)

    own = {int(numbers[number]): known[number] for number in added}
    if image.edit(draw, "Add masks", instances=own).patch is None:
        losses.append("Nothing was added: instances cover all of it already.")
    return losses


def to_runs(image: EditedImage, names: Mapping[int, str]) -> InstanceRuns:
    """Return an image's instances in rising order of their numbers.

    names: what classes are called. Where some instances have a class and others none, those get a
    class "unlabelled".
    """
    labels, known = image.snapshot()
    runs = InstanceRuns.from_label_map(labels)
    own = [known[int(number)] for number in np.unique(labels) if number]
    crowd = np.array([instance.crowd for instance in own], np.bool_)
    scores = np.array([instance.score for instance in own], np.float32)
    used = [instance.category for instance in own if instance.category is not None]
    names, ids = dict(names), None
    if used:
        other = max([*names, *used]) + 1
        if len(used) < len(own):
            names[other] = UNLABELLED
        ids = np.array([other if i.category is None else i.category for i in own], np.int64)
    crowds = crowd if crowd.any() else None
    return replace(runs, scores=scores, category_ids=ids, names=names, crowd=crowds)
