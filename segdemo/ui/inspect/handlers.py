"""What happens in the tab "Inspect" when something is pressed, clicked, moved or drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError, RGBImage
from segdemo.diffegg.pseudo_edge import RULES
from segdemo.images import load_rgb
from segdemo.ui.errors import user_errors
from segdemo.ui.events import Stopped, reset_buttons
from segdemo.ui.inspect.instances import (
    Drawing,
    LabelMap,
    fitted,
    painted_size,
    read_drawing,
    read_instance_mask,
)
from segdemo.ui.inspect.options import read_trace_settings
from segdemo.ui.inspect.traces import (
    PREVIEW_SIDE,
    Chosen,
    KeptTrace,
    discard_trace,
    export_trace,
    trace_photo,
)
from segdemo.ui.inspect.values import PinnedCurve, curves_value, edge_value, pinned_curve, summary
from segdemo.ui.kept_files import new_folder
from segdemo.ui.uploads import Upload, upload_name


def run_trace(
    assistant: AnnotationAssistant,
    names: tuple[str, ...],
    photo: Upload | None,
    *rest: Any,
) -> Iterator[list[Any]]:
    """Trace the photo, yielding values for (view, edge, status, layers, kept) after every step.

    names: of the settings that come first in `rest`, before (mask, drawing, rule, stop, chosen,
    pinned, kept). On Stop the steps that are there stay.
    """
    fields, (mask, drawing, rule, stop, chosen, pinned, previous) = rest[:-7], rest[-7:]
    with user_errors():
        given = dict(zip(names, fields, strict=True))
        settings = read_trace_settings(given, assistant.trace_defaults)
        chosen.start(settings.fixed_timestep)
        if photo is None:
            raise InputError("There is no photo yet: drop one, paste one, or click an example.")
        image = load_rgb(photo["path"], upload_name(photo))
        instances = _instances(image, mask, drawing)
        yield [gr.skip(), gr.skip(), "Working on the first step ...", gr.skip(), gr.skip()]
        kept = None
        try:
            stop.check()  # it may have been pressed in the queue
            for kept in trace_photo(assistant, image, photo, settings, instances):
                if len(kept.curve.timesteps) == 1:
                    chosen.cuts.clear()
                done, total = len(kept.curve.timesteps), len(settings.timesteps)
                line = f"Step {done} of {total} ..."
                if done == total:
                    line = summary(kept, assistant.device_name)
                yield _shown(kept, chosen, rule, pinned, line, assistant)
                if previous is not None:  # only now: a run that fails at once takes nothing away
                    discard_trace(previous)
                    previous = None
                stop.check()
        except Stopped:
            said = "Stopped. Press Run to start again."
            if kept is not None:
                said = "Stopped: " + summary(kept, assistant.device_name)
            yield [gr.skip(), gr.skip(), said, gr.skip(), kept]


def _instances(image: RGBImage, mask: Upload | None, drawing: Drawing | None) -> LabelMap | None:
    if mask is not None:
        return fitted(read_instance_mask(mask), image.shape[:2], upload_name(mask))
    if drawing is not None:
        return fitted(drawing.label_map(), image.shape[:2], "The drawing")
    return None


def _shown(
    kept: KeptTrace,
    chosen: Chosen,
    rule: str,
    pinned: PinnedCurve | None,
    line: str,
    assistant: AnnotationAssistant,
) -> list[Any]:
    layers = "\n".join([assistant.backbone_description, *kept.layers])
    edge = edge_value(kept, chosen, rule)
    return [curves_value(kept, pinned), edge, line, layers, kept]


def look_at_step(
    kept: KeptTrace | None, rule: str, chosen: Chosen, event: gr.EventData
) -> dict[str, Any] | None:
    """Note which step is looked at, and show its edge."""
    with user_errors():
        timestep = event._data["timestep"]
        chosen.pick(None if event._data["follow"] else int(timestep))
        return edge_value(kept, chosen, rule)


def cut_by_hand(chosen: Chosen, event: gr.EventData) -> None:
    """Note thresholds that were moved, or that the rule's are back; the browser shows them."""
    with user_errors():
        moved = event._data
        timestep = int(moved["timestep"])
        if moved["by_hand"]:
            chosen.cut(timestep, float(moved["lower"]), float(moved["upper"]))
        else:
            chosen.cuts.pop(timestep, None)


def change_rule(kept: KeptTrace | None, rule: str, chosen: Chosen) -> tuple[Any, str]:
    """Cut by another rule; values for (edge, the rule's explanation)."""
    with user_errors():
        chosen.cuts.clear()
        return edge_value(kept, chosen, rule), RULES[rule]


def pin(kept: KeptTrace | None) -> tuple[Any, Any, Any]:
    """Keep this run's curve; values for (view, pinned, Unpin button)."""
    with user_errors():
        if kept is None:
            raise InputError("There is no run to pin yet: press Run first.")
        pinned = pinned_curve(kept)
        return curves_value(kept, pinned), pinned, gr.update(interactive=True)


def unpin(kept: KeptTrace | None) -> tuple[Any, None, Any]:
    """Take the pinned curve out of the chart; values for (view, pinned, Unpin button)."""
    return curves_value(kept, None), None, gr.update(interactive=False)


def export(which: str, kept: KeptTrace | None, rule: str, chosen: Chosen) -> str:
    """Write a run's files and return the wanted one: "arrays", "table" or "archive"."""
    with user_errors():
        if kept is None:
            raise InputError("There is nothing to download yet: press Run first.")
        path: Path = getattr(export_trace(kept, chosen, rule), which)
        return str(path)


def take_drawing(event: gr.EventData) -> Drawing | None:
    """Keep what was drawn, for the next run."""
    with user_errors():
        return read_drawing(event._data)


def begin_drawing(photo: Upload | None) -> tuple[dict[str, Any] | None, None]:
    """Put a new photo under the brush; values for (painter, drawing).

    Curve and edge stay: they show a photo and a name of their own. So does a mask file.
    """
    try:
        return _canvas(photo), None
    except InputError:
        return None, None  # a broken photo is told as it arrives


def _canvas(photo: Upload | None) -> dict[str, Any] | None:
    """Return the painter's value for a photo."""
    if photo is None:
        return None
    image = Image.fromarray(load_rgb(photo["path"], upload_name(photo)))
    rows, columns = painted_size(*image.size)
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    folder = new_folder()
    image.save(folder / "photo.jpg", quality=85)
    file = gr.FileData(path=str(folder / "photo.jpg")).model_dump()
    return {"key": folder.name, "photo": file, "rows": rows, "columns": columns}


def reset_trace_buttons(kept: KeptTrace | None) -> list[Any]:
    """After work: updates for (Run, Stop, Pin, three downloads)."""
    there = gr.update(interactive=kept is not None)
    return [*reset_buttons(), there, there, there, there]
