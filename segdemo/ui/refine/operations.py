"""What the mask editor asks of the server by name: operations on whole instances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from segdemo.datatypes import FloatMap, InputError, Labels, RGBImage
from segdemo.edge_files import gradient_edges
from segdemo.editing import shapes
from segdemo.editing.image import EditedImage
from segdemo.editing.seeds import instances_of_seeds, split_among_seeds


@dataclass(frozen=True, eq=False)
class Context:
    """The image that an operation is for; photo: reads it."""

    picture: EditedImage
    photo: Callable[[], RGBImage]

    def edges(self) -> FloatMap:
        """Return the image's edge map (H, W), else the gradients of its grey values."""
        edge = self.picture.edge_map()
        return gradient_edges(self.photo()).probability if edge is None else edge


Operation = Callable[[Labels, list[int], Mapping[str, Any], Context], Labels]


def _shaped(shape: Callable[..., Labels]) -> Operation:
    """Make an operation of a shape that takes a radius."""

    def operation(
        labels: Labels, ids: list[int], options: Mapping[str, Any], context: Context
    ) -> Labels:
        radius = options.get("radius")
        return shape(labels, ids) if radius is None else shape(labels, ids, float(radius))

    return operation


def _strokes(options: Mapping[str, Any]) -> tuple[list[list[tuple[float, float]]], float]:
    """Read strokes and the radius they were drawn with."""
    strokes = [[(float(x), float(y)) for x, y in stroke] for stroke in options["strokes"]]
    return strokes, min(max(float(options.get("size", 4)), 0.5), 200)


def _seeds(labels: Labels, ids: list[int], options: Mapping[str, Any], context: Context) -> Labels:
    if not ids:
        raise InputError("Select the instances that the seeds shall divide.")
    strokes, radius = _strokes(options)
    picture = context.picture
    return split_among_seeds(labels, ids, strokes, radius, picture.edge_map(), picture.highest)


def _scribbles(
    labels: Labels, ids: list[int], options: Mapping[str, Any], context: Context
) -> Labels:
    strokes, radius = _strokes(options)
    background = [bool(one) for one in options["background"]]
    highest = context.picture.highest
    return instances_of_seeds(labels, strokes, background, radius, context.edges(), highest)


OPERATIONS: dict[str, tuple[str, Operation]] = {
    "fill_holes": ("Fill holes", lambda labels, ids, *_: shapes.fill_holes(labels, ids)),
    "smooth": ("Smooth", _shaped(shapes.smooth)),
    "grow": ("Grow", _shaped(shapes.grow)),
    "shrink": ("Shrink", _shaped(shapes.shrink)),
    "subtract": ("Subtract", _shaped(shapes.subtract)),
    "seeds": ("Divide by seeds", _seeds),
    "scribbles": ("Scribbles", _scribbles),
}
