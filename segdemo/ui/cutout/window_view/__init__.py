"""The cut-out to touch up: a window for the model to look closer, and a soft brush."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent


class WindowEvent(gr.EventData):
    """A window was drawn or moved; box: left, top, right and bottom in [0, 1], or None."""

    box: list[float] | None


class StrokeEvent(gr.EventData):
    """A stroke was drawn; points: x and y in [0, 1], each; size: relative to the longer side."""

    points: list[list[float]]
    size: float
    add: bool


def window_view(elem_id: str) -> gr.HTML:
    """Build the component; its events are `mark`, a `WindowEvent`, and `stroke`, a `StrokeEvent`.

    Its value is that of `window_value`, or None for nothing yet. Mouse, pen, finger and keys draw.
    """
    return gr.HTML(
        value=None,
        html_template=(HERE / "window_view.html").read_text(),
        css_template=(HERE / "window_view.css").read_text(),
        js_on_load=(HERE / "window_view.js").read_text(),
        apply_default_css=False,
        elem_id=elem_id,
    )


def window_value(key: str, url: str) -> dict[str, Any]:
    """Return a value; key: of the result, a new one begins without a window. url: of an image."""
    return {"key": key, "url": url}
