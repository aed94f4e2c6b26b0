"""Proposals: what RIP would do to a label map, taken apart so that each can be accepted alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import ndimage

from segdemo.datatypes import FloatMap, InputError, Labels
from segdemo.editing.seeds import new_ids
from segdemo.rip.inputs import LabelledMasks
from segdemo.rip.nearest import fill_with_nearest
from segdemo.rip.per_class import refine_per_class
from segdemo.rip.refinement import Refinement
from segdemo.rip.settings import ROBUST, RIPSettings

Kind = Literal["split", "merge", "regroup", "drop"]


@dataclass(frozen=True)
class Proposal:
    """One change. inputs: instances it takes; outputs: numbers of its parts in `Proposals.preview`.

    iou: the highest overlap that joined two of its components, None where nothing was joined.
    pixels: what the inputs cover.
    """

    kind: Kind
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    iou: float | None
    pixels: int

    @property
    def text(self) -> str:
        """Say it in words."""
        names = " + ".join(map(str, self.inputs))
        overlap = "" if self.iou is None else f", IoU {self.iou:.2f}"
        match self.kind:
            case "split":
                return f"split {names} into {len(self.outputs)} parts"
            case "merge":
                return f"merge {names}{overlap}"
            case "regroup":
                return f"regroup {names} into {len(self.outputs)} instances{overlap}"
            case "drop":
                return f"drop {names}, {self.pixels} px"


@dataclass(frozen=True, eq=False)
class Proposals:
    """Changes to `labels`. preview: (H, W) uint16, 0 = untouched, else a part's number."""

    changes: tuple[Proposal, ...]
    preview: Labels
    labels: Labels


def propose(
    labels: Labels,
    edge: FloatMap,
    settings: RIPSettings = ROBUST,
    categories: Mapping[int, int | None] | None = None,
    kept: Collection[int] = (),
) -> Proposals:
    """Ask RIP what to split, merge and drop in a label map (H, W), by an edge map of its size.

    categories: classes of instances; only equal ones merge. kept: instances to leave alone. Parts
    together have exactly the pixels of their inputs, so that outlines drawn by hand survive; where
    fragments merge, background that RIP gives to the merged instance is added. Raises InputError
    as `refine` does.
    """
    preview = np.zeros(labels.shape, np.uint16)
    changes: list[Proposal] = []
    boxes = ndimage.find_objects(labels)
    numbers = [n for n, box in enumerate(boxes, start=1) if box and n not in kept]
    renumber = np.zeros(len(boxes) + 1, np.int32)
    renumber[numbers] = np.arange(1, len(numbers) + 1)
    masks = LabelledMasks(renumber[labels], len(numbers))
    known = categories or {}
    classes = [-1 if known.get(number) is None else known[number] for number in numbers]
    for each in refine_per_class(masks, np.array(classes, np.int64), edge, settings=settings):
        own = [numbers[index] for index in each.inputs]
        refined = each.result
        drawn_boxes = ndimage.find_objects(refined.labels)
        for inputs, outputs in _linked(refined):
            window = _around(
                [boxes[own[index] - 1] for index in inputs]
                + [box for index in outputs for box in drawn_boxes[index : index + 1] if box]
            )
            sources = tuple(own[index] for index in inputs)
            change = _draw(
                preview[window],
                1 + (changes[-1].outputs[-1] if changes else 0),
                labels[window],
                refined.labels[window],
                sources,
                outputs,
            )
            if change is not None:
                changes.append(replace(change, iou=_overlap(refined, inputs)))
    return Proposals(tuple(sorted(changes, key=lambda change: -change.pixels)), preview, labels)


def accept(
    labels: Labels, proposals: Proposals, chosen: Sequence[int], highest: int = 0
) -> tuple[Labels, dict[int, int]]:
    """Carry out some of the changes; returns the new map, and which input each instance is of.

    The largest part of a split keeps its number, so does the largest input of a merge; others get
    new numbers, see `new_ids`. Raises
    InputError for a change that is not there, or whose instances were edited since.
    """
    result = labels.copy()
    origin: dict[int, int] = {}
    boxes = ndimage.find_objects(proposals.labels)
    drawn_boxes = ndimage.find_objects(proposals.preview)
    areas = np.bincount(labels.ravel(), minlength=len(boxes) + 1)
    for index in dict.fromkeys(chosen):
        if not 0 <= index < len(proposals.changes):
            raise InputError("That proposal is not there any more: press Preview again.")
        change = proposals.changes[index]
        window = _around(
            [boxes[number - 1] for number in change.inputs]
            + [drawn_boxes[part - 1] for part in change.outputs]
        )
        before, preview = proposals.labels[window], proposals.preview[window]
        inside = np.isin(before, change.inputs)
        untouched = (labels[window] == before)[inside].all()
        if not untouched or areas[list(change.inputs)].sum() != change.pixels:
            raise InputError(
                f"Cannot {change.text}: it was edited since the preview. Press Preview again."
            )
        result[window][inside] = 0
        if change.kind == "drop":
            continue
        outputs = sorted(change.outputs, key=lambda part: -np.count_nonzero(preview == part))
        largest = max(change.inputs, key=lambda number: np.count_nonzero(before == number))
        names = [largest, *new_ids(np.maximum(labels, result), len(outputs) - 1, highest)]
        for name, part in zip(names, outputs, strict=True):
            drawn = (preview == part) & (result[window] == 0)
            result[window][drawn] = name
            origin[name] = largest
    return result, origin


def _linked(refined: Refinement) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Group inputs and outputs of RIP that have to do with one another, by index."""
    groups: list[tuple[set[int], set[int]]] = [
        (set(source), {index}) for index, source in enumerate(refined.sources)
    ]
    merged: list[tuple[set[int], set[int]]] = []
    for inputs, outputs in groups:
        apart = []
        for other in merged:
            if other[0] & inputs:
                inputs, outputs = inputs | other[0], outputs | other[1]
            else:
                apart.append(other)
        merged = [*apart, (inputs, outputs)]
    merged += [({index}, set()) for index in refined.dropped]
    return [(tuple(sorted(i)), tuple(sorted(o))) for i, o in merged]


def _draw(
    preview: Labels,
    first: int,
    labels: Labels,
    refined: Labels,
    sources: tuple[int, ...],
    outputs: tuple[int, ...],
) -> Proposal | None:
    """Draw one change into the preview's window; None where RIP changes an outline only.

    first: the number of the first part. refined: RIP's labels, of which output k has k + 1.
    """
    inside = np.isin(labels, sources)
    pixels = int(np.count_nonzero(inside))
    kind = _kind(len(sources), len(outputs))
    if kind is None:
        return None
    if kind == "drop":
        preview[inside] = first
        return Proposal(kind, sources, (first,), None, pixels)
    parts = np.zeros(refined.max(initial=0) + len(outputs) + 1, np.uint16)
    present = [index for index in outputs if ((refined == index + 1) & inside).any()]
    kind = _kind(len(sources), len(present))
    if kind is None or kind == "drop":
        return None
    names = tuple(range(first, first + len(present)))
    parts[np.array(present) + 1] = names
    drawn = parts[refined]  # (h, w)
    preview[inside] = fill_with_nearest(drawn)[inside]
    if len(sources) > 1:  # what lies between fragments becomes theirs
        between = (drawn > 0) & (labels == 0) & (preview == 0)
        preview[between] = drawn[between]
    return Proposal(kind, sources, names, None, pixels)


def _around(boxes: Sequence[tuple[slice, ...]]) -> tuple[slice, slice]:
    """Return the smallest window that holds all boxes."""
    rows, columns = zip(*boxes, strict=True)
    return (
        slice(min(side.start for side in rows), max(side.stop for side in rows)),
        slice(min(side.start for side in columns), max(side.stop for side in columns)),
    )


def _kind(inputs: int, outputs: int) -> Kind | None:
    if outputs == 0:
        return "drop"
    if inputs == 1:
        return "split" if outputs > 1 else None
    return "merge" if outputs == 1 else "regroup"


def _overlap(refined: Refinement, inputs: tuple[int, ...]) -> float | None:
    """Return the highest IoU by which components of different inputs were joined."""
    found = []
    for merge in refined.merges:
        joined = {refined.components[index] for index in (*merge.first, *merge.second)}
        if len(joined) > 1 and joined <= set(inputs):
            found.append(merge.iou)
    return max(found, default=None)
