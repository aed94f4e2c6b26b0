"""Edit instance masks on the photo: paint, split along edges, merge, accept what RIP proposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent
CORE_SCRIPTS = ("label_map", "painting", "splitting", "picture")  # without a page: tests run them
SCRIPTS = (
    *(f"core/{name}.js" for name in CORE_SCRIPTS),
    *(f"view/{name}.js" for name in ("state", "palette", "viewport", "layers", "rims", "drawing")),
    *(f"link/{name}.js" for name in ("payloads", "saving", "messages")),
    *(
        f"hands/{name}.js"
        for name in ("actions", "splits", "imported", "tools", "pointer", "keyboard")
    ),
    *(
        f"panels/{name}.js"
        for name in ("toolbar", "queue", "instances", "edges", "proposals", "help", "begin")
    ),
)


def mask_editor(
    elem_id: str,
    server_functions: Sequence[Callable[..., Any]],
    rip_presets: Mapping[str, Sequence[Mapping[str, Any]]],
    sources: Sequence[Sequence[str]],
    methods: Sequence[Sequence[str]],
    debug: bool = False,
) -> gr.HTML:
    """Build the component.

    Its value is a message of `segdemo.ui.refine_tab`, or None; its events are `hello`, `show`,
    `edges`, `preview` and `propose`. The server functions are `apply_patch`, `save_all`,
    `describe`, `operate` and `accept`, each taking and returning one dict. The browser owns the
    label map of the open picture and sends what changed; names reach the page as text nodes only.

    Args:
        elem_id: Id of the element.
        server_functions: The five functions above.
        rip_presets: RIP's parameters by name of the preset, the first is the default; each is
            {"name", "label", "help", "low", "high", "unit", "step", "value"}.
        sources: Where edges can come from: [value, label].
        methods: What can propose first masks: [value, label].
        debug: Whether the element shows its state and timings to benchmarks (`maskEditor`).
    """
    return gr.HTML(
        value=None,
        html_template=(HERE / "mask_editor.html").read_text(),
        css_template=(HERE / "mask_editor.css").read_text(),
        js_on_load="\n".join((HERE / name).read_text() for name in SCRIPTS),
        apply_default_css=False,
        elem_id=elem_id,
        server_functions=list(server_functions),
        rip_presets={name: [dict(one) for one in some] for name, some in rip_presets.items()},
        sources=[list(entry) for entry in sources],
        methods=[list(entry) for entry in methods],
        debug=debug,
    )
