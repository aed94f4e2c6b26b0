"""Endpoints for programs: `/refine` repairs a photo's masks, `/prompt` finds what a box means."""

# No `from __future__ import annotations`: Gradio reads the types of an endpoint's results as
# objects, not as text

from pathlib import Path
from typing import Any, get_args

import gradio as gr

from segdemo.annotations import ClassList, MaskFormat
from segdemo.annotations.points import points_of_one
from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import EdgeMap, InputError, Points, RGBImage
from segdemo.edge_files import gradient_edges, read_edge_map
from segdemo.files import write_png
from segdemo.images import load_rgb, mask_contour, to_grey
from segdemo.rip.instances import refine_instances
from segdemo.rip.settings import PRESETS, WalkSettings
from segdemo.ui.errors import user_errors
from segdemo.ui.events import MODEL_RUNS
from segdemo.ui.kept_files import download_folder, file_stem
from segdemo.ui.refine.export import write_as_one_file
from segdemo.ui.refine.opening import read_masks_of_one
from segdemo.ui.refine.prompts import read_prompt
from segdemo.ui.uploads import Upload, received, served, upload_name

EDGE_SOURCES = ("diffegg", "diffdis", "gradient")


def build_refine_api(assistant: AnnotationAssistant) -> None:
    """Offer `/refine` and `/prompt`."""

    def refine(
        photo: gr.FileData,
        masks: gr.FileData,
        edge: gr.FileData | None = None,
        edge_source: str = "diffegg",
        preset: str = "",
        mask_format: str = "",
        classes: str = "",
        stuff: str = "",
        points: list[list[float]] | None = None,
    ) -> tuple[gr.FileData, dict[str, Any]]:
        """Split merged and join broken instance masks of one image along edges.

        masks: COCO JSON, label PNG, NPZ, YOLO, LabelMe or a zip. edge: a PNG of edges, or none:
        then edge_source finds them: diffegg (the backbone's edge generator, else EdgeKL), another
        embedded edge generator by its model's name (small: annotation-free), diffdis or gradient.
        preset: careful (default; region merging, not in the paper), or RIP, the paper's random
        walk: robust (gaps of edges closed; default with points) or paper (edges as they are).
        mask_format: coco (default), coco-
        polygons, panoptic (default of class maps), indexed, npz, yolo, labelme or cutouts; several
        files come as one zip. classes: masks are a class map, a PNG of class numbers: voc, coco,
        coco-ids, or names, one a line; instances are found class by class, 255 is void. stuff:
        names of classes without instances, separated by commas. points: x and y in pixels of a
        point on each object: masks are divided among them, and fragments go to the likeliest.
        Returns the file and how many masks were split, joined and dropped.
        """
        with user_errors():
            given = received(photo), received(masks), received(edge)
            listed = read_classes(classes, stuff)
            marked = points_of_one(points, "points") if points else None
            file, info = _refine(
                assistant, *given, edge_source, preset, mask_format, listed, marked
            )
            return served(file), info

    def prompt(
        photo: gr.FileData,
        box: list[float] | None = None,
        clicks: list[list[float]] | None = None,
    ) -> tuple[gr.FileData, gr.FileData, dict[str, Any]]:
        """Find the object in a box or under clicks.

        box: left, top, right, bottom in pixels. clicks: x, y, and 1 on the object or 0 beside it,
        each. Returns the mask and its edge (8-bit PNGs of the photo's size, soft) and a score from
        0 to 1. From a prompter that finds no edges it is the band around the mask's border.
        """
        with user_errors():
            given = received(photo)
            if given is None:
                raise InputError("Send an image as `photo`.")
            name = upload_name(given)
            image = load_rgb(given["path"], name)
            (found,) = assistant.prompt(image, [read_prompt(box, clicks)])
            mask = to_grey(found.mask)
            edge = mask_contour(mask) if found.edge is None else to_grey(found.edge)
            files = [
                download_folder() / f"{file_stem(name)}_{kind}.png" for kind in ("mask", "edge")
            ]
            for plane, file in zip((mask, edge), files, strict=True):
                write_png(plane, file)
            info = {"name": name, "score": round(found.score, 3)}
            return served(files[0]), served(files[1]), info

    gr.api(refine, api_name="refine", **MODEL_RUNS)
    gr.api(prompt, api_name="prompt", **MODEL_RUNS)


def _refine(
    assistant: AnnotationAssistant,
    photo: Upload | None,
    masks: Upload | None,
    edge: Upload | None,
    edge_source: str,
    preset: str,
    mask_format: str,
    classes: ClassList | None,
    points: Points | None,
) -> tuple[Path, dict[str, Any]]:
    """Split and merge the masks of one photo along edges; the file, and what happened.

    classes: of a class map, None for masks of instances. points: one on each object, or None.
    """
    if photo is None or masks is None:
        raise InputError("Send an image as `photo` and its masks as `masks`.")
    preset = preset or ("careful" if points is None else "robust")
    if preset not in PRESETS:
        raise InputError(f"Preset {preset[:40]!r}: choose one of {', '.join(PRESETS)}.")
    settings = PRESETS[preset]
    if points is not None and not isinstance(settings, WalkSettings):
        raise InputError(f"Points are seeds of the random walk: preset {preset} has none.")
    mask_format = mask_format or ("panoptic" if classes else "coco")
    wanted = next((known for known in get_args(MaskFormat) if known == mask_format), None)
    if wanted is None:
        known = ", ".join(get_args(MaskFormat))
        raise InputError(f"Format {mask_format[:40]!r}: choose one of {known}.")
    name = upload_name(photo)
    image = load_rgb(photo["path"], name)
    size = (image.shape[0], image.shape[1])
    given, read = read_masks_of_one(masks, name, size, classes)
    if edge is None:
        edges = edges_by(assistant, image, edge_source)
    else:
        edges = read_edge_map(Path(edge["path"]), size, upload_name(edge))
    repaired, repair = refine_instances(given, edges.probability, settings, read.stuff, points)
    file, losses = write_as_one_file({name: repaired}, wanted, {name: image}, read.stuff)
    return file, {
        "name": name,
        "edges": edges.origin,
        "masks": len(given),
        "split": repair.split,
        "joined": repair.joined,
        "dropped": repair.dropped,
        "instances": repair.instances,
        "unused_points": repair.unused_points,
        "losses": [*read.sentences(), *losses],
    }


def read_classes(text: str, stuff: str) -> ClassList | None:
    """Return the classes of class maps; None for no text: masks of instances. Raises InputError.

    text: see `ClassList.of_text`. stuff: names of classes without instances, with commas between.
    """
    names = [name.strip() for name in stuff.split(",") if name.strip()]
    if text:
        return ClassList.of_text(text, names)
    if names:
        raise InputError("Stuff names classes of class maps: say which classes these have.")
    return None


def edges_by(assistant: AnnotationAssistant, image: RGBImage, source: str) -> EdgeMap:
    """Find edges by a model or by none ("gradient"); raises InputError.

    source: "diffegg", "diffdis", or one of the assistant's `other_edge_sources`.
    """
    match source:
        case "diffegg":
            return assistant.edges(image)
        case "diffdis":
            return EdgeMap(assistant.segment(image).known_edge, "diffdis")
        case "gradient":
            return gradient_edges(image)
        case other if other in assistant.other_edge_sources:
            return assistant.edges(image, source=other)
    known = [*EDGE_SOURCES, *assistant.other_edge_sources]
    raise InputError(f"Edges of {source[:40]!r}: choose one of {', '.join(known)}.")
