"""An EdgeKL score, its histogram with two lines to move, and the edge that follows at once.

The browser gets the score itself and cuts it while a line moves; the server hears of the result.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent


def threshold_chart(elem_id: str) -> gr.HTML:
    """Build the component; its event `cut` tells the thresholds once they stopped moving.

    {"timestep": int, "lower": float, "upper": float, "by_hand": bool, "sent": float}; by_hand is
    false when the rule's are back, sent is the browser's clock in milliseconds. Its value is that
    of `segdemo.ui.inspect.values.edge_value`, or None for nothing yet.
    """
    return gr.HTML(
        value=None,
        html_template=(HERE / "threshold_chart.html").read_text(),
        css_template=(HERE / "threshold_chart.css").read_text(),
        js_on_load=(HERE / "threshold_chart.js").read_text(),
        apply_default_css=False,
        elem_id=elem_id,
    )
