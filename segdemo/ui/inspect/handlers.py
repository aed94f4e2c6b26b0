"""What happens in the tab "Inspect" when something is pressed, clicked, moved or drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gradio as gr
import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.annotations.stored_ids import read_label_image
from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError, RGBImage
from segdemo.diffegg.pseudo_edge import RULES
from segdemo.diffegg.settings import TraceSettings
from segdemo.images import load_rgb
from segdemo.ui.errors import Stopped, user_errors
from segdemo.ui.events import StopSignal, Updates
from segdemo.ui.forms import Form
from segdemo.ui.inspect.instances import (
    Drawing,
    fitted,
    painted_size,
    read_drawing,
)
from segdemo.ui.inspect.traces import (
    PREVIEW_SIDE,
    KeptTrace,
    discard_trace,
    export_trace,
    trace_photo,
)
from segdemo.ui.inspect.values import (
    curves_value,
    discard_pinned,
    edge_value,
    pinned_run,
    summary,
)
from segdemo.ui.kept_files import new_folder
from segdemo.ui.uploads import Upload, served, upload_name
from segdemo.ui.waiting import Place, follow

FIRST_STEP = "Working on the first step ..."

Values = Mapping[Any, Any]
"""The inputs of a handler, by component."""


class ChoiceEvent(gr.EventData):
    """Something was chosen; sent: when, by the browser's clock in milliseconds."""

    sent: float


class StepEvent(ChoiceEvent):
    """A step was chosen; follow: PeakKL's, whichever it is."""

    timestep: int
    follow: bool


class ThresholdEvent(ChoiceEvent):
    """A step's thresholds were moved; by_hand is false when the rule's are back."""

    timestep: int
    lower: float
    upper: float
    by_hand: bool


class CellEvent(ChoiceEvent):
    """A cell was clicked: x and y in [0, 1) of the photo's sides, or None where it is left."""

    x: float | None
    y: float | None


class DrawingEvent(gr.EventData):
    """Instances were drawn; labels: base64 of rows * columns bytes."""

    rows: int
    columns: int
    labels: str


@dataclass(frozen=True)
class InspectInput:
    """The left side."""

    photo: gr.Image
    buttons: tuple[gr.Button, gr.Button]
    status: gr.HTML
    settings: Form[TraceSettings]
    mask: gr.Image
    painter: gr.HTML


@dataclass(frozen=True)
class InspectResult:
    """The right side."""

    view: gr.HTML
    layers: gr.Textbox
    rule: gr.Dropdown
    rule_note: gr.Markdown
    edge: gr.HTML
    pin: gr.Button
    unpin: gr.Button
    downloads: dict[ExportKind, gr.DownloadButton]
    send: gr.Button


@dataclass(frozen=True)
class InspectState:
    """What a session remembers."""

    kept: gr.State
    pinned: gr.State
    drawing: gr.State
    stop: gr.State
    chosen: gr.State


ExportKind = Literal["arrays", "table", "archive"]


class InspectHandlers:
    """The handlers of the tab; each returns new values by component."""

    def __init__(
        self,
        assistant: AnnotationAssistant,
        left: InspectInput,
        right: InspectResult,
        state: InspectState,
    ) -> None:
        """Work on the tab's components."""
        self._assistant = assistant
        self._left, self._right, self._state = left, right, state

    @property
    def run_inputs(self) -> set[Any]:
        """What `run` takes."""
        left, state = self._left, self._state
        return {
            left.photo,
            left.mask,
            *left.settings.components.values(),
            self._right.rule,
            *(state.kept, state.pinned, state.drawing, state.stop, state.chosen),
        }

    @property
    def result_inputs(self) -> set[Any]:
        """What handlers of a finished or running trace take."""
        state = self._state
        return {state.kept, self._right.rule, state.chosen, state.pinned}

    def run(self, values: Values) -> Iterator[Updates]:
        """Trace the image and show every step as it comes; on Stop those that are there stay."""
        status, state = self._left.status, self._state
        stop, chosen, previous = (values[s] for s in (state.stop, state.chosen, state.kept))
        with user_errors():
            settings = self._left.settings.read(values, self._assistant.trace_defaults)
            chosen.start(settings.fixed_timestep)
            photo = values[self._left.photo]
            if photo is None:
                raise InputError("There is no photo yet: drop one, paste one, or click an example.")
            changes: list[str] = []
            image = load_rgb(photo["path"], upload_name(photo), changes.append)
            instances = _instances(image, values[self._left.mask], values[state.drawing])
            yield {status: FIRST_STEP}
            kept = None
            try:
                for news in follow(
                    lambda _: trace_photo(self._assistant, image, photo, settings, instances), stop
                ):
                    if not isinstance(news, KeptTrace):
                        yield {status: self._waiting(kept, news)} if news else gr.skip()
                        continue
                    kept = news
                    if len(kept.curve.timesteps) == 1:
                        chosen.cuts.clear()
                        chosen.mark(None, None)
                    yield self._shown(values, kept)
                    if previous is not None:  # only now: a run that fails at once removes nothing
                        discard_trace(previous)
                        previous = None
                if kept is not None and changes:
                    yield {status: " ".join([self._line(kept), *changes])}
            except Stopped:
                said = "Stopped. Press Run to start again."
                if kept is not None:
                    said = f"Stopped: {self._summary(kept)}"
                yield {status: said, state.kept: kept}

    def look_at_step(self, values: Values, event: StepEvent) -> Updates:
        """Note which step is looked at, and show its edge."""
        with user_errors():
            chosen = values[self._state.chosen]
            if chosen.overtaken("step", float(event.sent)):
                return {}
            chosen.pick(None if event.follow else int(event.timestep))
            shown = {self._right.edge: self._edge(values)}
            return shown if chosen.cell is None else shown | self._view(values)

    def look_at_cell(self, values: Values, event: CellEvent) -> Updates:
        """Show where a cell looks, at the step that is looked at."""
        with user_errors():
            chosen = values[self._state.chosen]
            if chosen.overtaken("cell", float(event.sent)):
                return {}
            chosen.mark(event.x, event.y)
            return self._view(values)

    def _view(self, values: Values) -> Updates:
        state = self._state
        value = curves_value(values[state.kept], values[state.pinned], values[state.chosen])
        return {self._right.view: value}

    def set_thresholds(self, values: Values, event: ThresholdEvent) -> None:
        """Note thresholds that were moved, or that the rule's are back; the browser shows them."""
        with user_errors():
            chosen, timestep = values[self._state.chosen], int(event.timestep)
            if chosen.overtaken(f"thresholds of {timestep}", float(event.sent)):
                return
            if event.by_hand:
                chosen.cut(timestep, float(event.lower), float(event.upper))
            else:
                chosen.cuts.pop(timestep, None)

    def change_rule(self, values: Values) -> Updates:
        """Set the thresholds by another rule, and explain it."""
        with user_errors():
            values[self._state.chosen].cuts.clear()
            note = RULES[values[self._right.rule]]
            return {self._right.edge: self._edge(values), self._right.rule_note: note}

    def pin(self, values: Values) -> Updates:
        """Keep this run's curve and pictures beside later ones."""
        with user_errors():
            kept, state = values[self._state.kept], self._state
            if kept is None:
                raise InputError("There is no run to pin yet: press Run first.")
            pinned = pinned_run(kept)
            discard_pinned(values[state.pinned])
            return {
                self._right.view: curves_value(kept, pinned, values[state.chosen]),
                self._state.pinned: pinned,
                self._right.unpin: gr.update(interactive=True),
            }

    def unpin(self, values: Values) -> Updates:
        """Remove the pinned run."""
        discard_pinned(values[self._state.pinned])
        kept, chosen = values[self._state.kept], values[self._state.chosen]
        return {
            self._right.view: curves_value(kept, None, chosen),
            self._state.pinned: None,
            self._right.unpin: gr.update(interactive=False),
        }

    def export(self, kind: ExportKind, values: Values) -> str:
        """Write a run's files and return the wanted one."""
        with user_errors():
            kept = values[self._state.kept]
            if kept is None:
                raise InputError("There is nothing to download yet: press Run first.")
            files = export_trace(kept, values[self._state.chosen], values[self._right.rule])
            return str(getattr(files, kind))

    def keep_drawing(self, event: DrawingEvent) -> Drawing | None:
        """Keep what was drawn, for the next run."""
        with user_errors():
            return read_drawing(event.rows, event.columns, event.labels)

    def new_photo(self, photo: Upload | None, stop: StopSignal) -> Updates:
        """Put a new photo under the brush, and stop a run that works on the one before.

        A curve and an edge that are there stay: they show a photo and a name of their own. So does
        a mask file.
        """
        stop.press_for_new(photo)
        try:
            canvas = _canvas(photo)
        except InputError:
            canvas = None  # a broken photo is reported as it arrives
        return {self._left.painter: canvas, self._state.drawing: None}

    def _waiting(self, kept: KeptTrace | None, place: Place) -> str:
        """Say how far a run is and, where others come first, how many."""
        return f"{self._line(kept)} {place.words}".rstrip() if kept else place.words or FIRST_STEP

    def _line(self, kept: KeptTrace) -> str:
        done, total = len(kept.curve.timesteps), len(kept.grid)
        return self._summary(kept) if done == total else f"Step {done} of {total} ..."

    def _shown(self, values: Values, kept: KeptTrace) -> Updates:
        layers = "\n".join([self._assistant.backbone_description, *kept.layers])
        edge = edge_value(kept, values[self._state.chosen], values[self._right.rule])
        return {
            **self._view({**values, self._state.kept: kept}),
            self._right.edge: edge,
            self._left.status: self._line(kept),
            self._right.layers: layers,
            self._state.kept: kept,
        }

    def _summary(self, kept: KeptTrace) -> str:
        return summary(kept, self._assistant.device_name, kept.seconds)

    def _edge(self, values: Values) -> dict[str, Any] | None:
        chosen, rule = values[self._state.chosen], values[self._right.rule]
        return edge_value(values[self._state.kept], chosen, rule)


def _instances(
    image: RGBImage, mask: Upload | None, drawing: Drawing | None
) -> npt.NDArray[np.int64] | None:
    if mask is not None:
        name = upload_name(mask)
        labels = read_label_image(Path(mask["path"]), name)
        return fitted(labels, image.shape[:2], name)
    if drawing is not None:
        return fitted(drawing.label_map(), image.shape[:2], "The drawing")
    return None


def _canvas(photo: Upload | None) -> dict[str, Any] | None:
    """Return the painter's value for a photo."""
    if photo is None:
        return None
    image = Image.fromarray(load_rgb(photo["path"], upload_name(photo)))
    rows, columns = painted_size(*image.size)
    image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    folder = new_folder()
    image.save(folder / "photo.jpg", quality=85)
    return {
        "key": folder.name,
        "photo": served(folder / "photo.jpg"),
        "rows": rows,
        "columns": columns,
    }
