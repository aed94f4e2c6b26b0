"""Paint instances on the photo: each gets a number, for the instance check."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent


def instance_painter(elem_id: str) -> gr.HTML:
    """Build the component; `drawn` tells {"rows", "columns", "labels": base64 of uint8 ids}.

    Its value is {"key": str, "photo": file, "rows": int, "columns": int}; another key starts a
    new drawing.
    """
    return gr.HTML(
        value=None,
        html_template=(HERE / "instance_painter.html").read_text(),
        css_template=(HERE / "instance_painter.css").read_text(),
        js_on_load=(HERE / "instance_painter.js").read_text(),
        apply_default_css=False,
        elem_id=elem_id,
    )
