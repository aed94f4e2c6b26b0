"""A line that says how work goes and is read out when it changes."""

from __future__ import annotations

import gradio as gr

TEMPLATE = '<p class="line" role="status" aria-live="polite"></p>'
STYLE = ".line { margin: 0; min-height: 1.6rem; font-variant-numeric: tabular-nums; }"
# as text, for it may name a file
SCRIPT = """
const line = element.querySelector(".line");
const say = () => { line.textContent = props.value || ""; };
watch("value", say);
say();
"""


def status_line(value: str, elem_id: str) -> gr.HTML:
    """Build the component; its value is plain text. Unlike Markdown's, its words stay words."""
    return gr.HTML(
        value=value,
        html_template=TEMPLATE,
        css_template=STYLE,
        js_on_load=SCRIPT,
        apply_default_css=False,
        elem_id=elem_id,
    )
