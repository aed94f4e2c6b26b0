"""A trace to look through: curve, instance check, filmstrip, the chosen step beside the photo.

One component, because all four show one step: the browser keeps which one, so that a click shows
its picture at once and the server hears of it afterwards.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent
SCRIPTS = ("curves.js", "pictures.js", "trace_view.js")


def trace_view(elem_id: str) -> gr.HTML:
    """Build the component.

    Its event `pick` tells {"timestep": int, "follow": bool}, its event `cell` {"x", "y"} in [0, 1)
    of the photo's sides, or null for both; each with "sent", the browser's clock in milliseconds.
    Its value is that of `segdemo.ui.inspect.values.curves_value`, or None for nothing yet. File
    names and other people's words reach the page as text nodes only, never through the template.
    """
    return gr.HTML(
        value=None,
        html_template=(HERE / "trace_view.html").read_text(),
        css_template=(HERE / "trace_view.css").read_text(),
        js_on_load="".join((HERE / name).read_text() for name in SCRIPTS),
        apply_default_css=False,
        elem_id=elem_id,
    )
