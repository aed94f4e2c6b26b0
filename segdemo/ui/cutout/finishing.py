"""The fields that finish a cut-out: against haze, background, trimming, format."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from segdemo.cutouts import WHITE, Colour, Finish, ImageFormat, Levels
from segdemo.datatypes import InputError, RGBImage
from segdemo.images import load_rgb
from segdemo.ui.cutout.options import Options
from segdemo.ui.events import QUIET
from segdemo.ui.forms import read_number
from segdemo.ui.photo_field import photo_field
from segdemo.ui.uploads import Upload, upload_name

TRANSPARENT, COLOUR, PHOTO = "Transparent", "Colour", "Photo"
FORMATS = [("PNG", "png"), ("WebP", "webp"), ("JPEG", "jpeg")]
CLEAR_INFO = "Raise it against haze around the subject."
SOLID_INFO = "Lower it where the subject is see-through."


@dataclass(frozen=True)
class Finishing:
    """The fields. options: whose threshold comes first where the mask is not soft."""

    options: Options
    low: gr.Slider
    high: gr.Slider
    background: gr.Radio
    colour: gr.ColorPicker
    photo: gr.Image
    trim: gr.Checkbox
    file_format: gr.Radio

    @property
    def all(self) -> set[Any]:
        """Return every component that `read` takes, for events with `preprocess=False`."""
        own = {self.low, self.high, self.background, self.colour, self.photo, self.trim}
        return {*own, self.file_format, self.options.soft, self.options.threshold}

    def read(self, values: Mapping[Any, Any]) -> Finish:
        """Return what the fields say; raises InputError."""
        file_format = values[self.file_format]
        if file_format not in get_args(ImageFormat):
            raise InputError("Format: choose PNG, WebP or JPEG.")
        return Finish(
            self._levels(values), self._ground(values), bool(values[self.trim]), file_format
        )

    def _levels(self, values: Mapping[Any, Any]) -> Levels:
        threshold = self.options.read_threshold(values)
        if threshold is not None:
            return Levels.cutting_at(threshold)
        low = read_number("Clear up to", values[self.low], 0, 1)
        high = read_number("Solid from", values[self.high], 0, 1)
        return Levels(min(low, high), high)  # while one slider is dragged past the other

    def _ground(self, values: Mapping[Any, Any]) -> Colour | RGBImage | None:
        if values[self.background] == COLOUR:
            return read_colour(values[self.colour])
        photo: Upload | None = values[self.photo]
        if values[self.background] == PHOTO and photo is not None:
            return _loaded(photo["path"], upload_name(photo))
        return None


@functools.lru_cache(maxsize=2)
def _loaded(path: str, name: str) -> RGBImage:
    """Read a background once while sliders move: an upload's path does not change its content."""
    return load_rgb(Path(path), name)


def read_colour(given: object) -> Colour:
    """Read "#rrggbb" or "rgba(r, g, b, a)" of a colour picker; raises InputError."""
    text = str(given or "")
    if not text:
        return WHITE
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    numbers = [round(float(number)) for number in re.findall(r"\d+\.?\d*", text)[:3]]
    if not text.startswith("rgb") or len(numbers) < 3 or max(numbers) > 255:
        raise InputError(f"Colour {text[:30]!r}: give one such as #ffffff.")
    return numbers[0], numbers[1], numbers[2]


def build_finishing(options: Options) -> Finishing:
    """Lay out the fields below a result."""
    with gr.Row(elem_id="levels"):
        low = gr.Slider(
            *(0, 1, 0), step=0.01, label="Clear up to", info=CLEAR_INFO, elem_id="clear-up-to"
        )
        high = gr.Slider(
            *(0, 1, 1), step=0.01, label="Solid from", info=SOLID_INFO, elem_id="solid-from"
        )
    with gr.Accordion("Background, trim and format", open=False, elem_id="finishing"):
        with gr.Row():
            background = gr.Radio(
                [TRANSPARENT, COLOUR, PHOTO], value=TRANSPARENT, label="Background"
            )
            file_format = gr.Radio(
                FORMATS,
                value="png",
                label="Format of the cut-out",
                info="JPEG has no transparency: it gets white without a background.",
            )
        colour = gr.ColorPicker("#ffffff", label="Background colour", visible=False)
        photo = photo_field("Background photo", 200, "background-photo", visible=False)
        trim = gr.Checkbox(False, label="Trim to the subject", elem_id="trim")
    background.input(
        lambda chosen: (gr.update(visible=chosen == COLOUR), gr.update(visible=chosen == PHOTO)),
        background,
        [colour, photo],
        **QUIET,
    )
    options.soft.change(
        lambda soft: [gr.update(interactive=soft)] * 2, options.soft, [low, high], **QUIET
    )
    return Finishing(options, low, high, background, colour, photo, trim, file_format)
