"""Edit instance masks on the photo: paint, split along edges, merge, accept what RIP proposes.

The page's part is ES modules: `core/` works on label maps and knows of no page (node tests it),
`view/` draws, `input/` acts on pointer and keys, `panels/` are around the canvas, `sync/` talks to
the server.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import gradio as gr

from segdemo.ui.kept_files import process_folder

HERE = Path(__file__).parent
EVENTS = ("hello", "opened", "show", "edges", "preview", "propose")
# The address is relative to the page, so that it works behind a proxy's prefix as well. Gradio
# accepts custom events whose quoted names it finds in the script.
LOAD = """
// events: %s
const modules = new URL(%s, document.baseURI);
import(modules).then(({ start }) => start({ element, props, server, trigger, watch }));
"""

_served: list[TemporaryDirectory[str]] = []  # removed when the program ends


def mask_editor(
    elem_id: str,
    server_functions: Sequence[Callable[..., Any]],
    rip_presets: Mapping[str, Sequence[Mapping[str, Any]]],
    preset_titles: Mapping[str, str],
    sources: Sequence[Sequence[str]],
    methods: Sequence[Sequence[str]],
    debug: bool = False,
    project: Mapping[str, Any] | None = None,
) -> gr.HTML:
    """Build the component.

    Its value is a message of `segdemo.ui.refine.messages`, or None; its events are `EVENTS`. The
    server functions are those of `segdemo.ui.refine.service.EditorService`, each taking and
    returning one dict. The browser owns the label map of the open image and sends what changed;
    names reach the page as text nodes only.

    Args:
        elem_id: Id of the element.
        server_functions: The functions above.
        rip_presets: RIP's parameters by name of the preset, the first is the default; each is
            {"name", "label", "help", "low", "high", "unit", "step", "value"}.
        preset_titles: What each preset runs, by its name.
        sources: Where edges can come from: [value, label].
        methods: What can propose first masks: [value, label].
        debug: Whether the element shows its state and timings to benchmarks (`maskEditor`).
        project: {"name", "count" of images, "ask": whether visitors say their names} or None.
    """
    address = f"gradio_api/file={quote(_serve_modules().as_posix())}/index.js"
    return gr.HTML(
        value=None,
        html_template=(HERE / "editor.html").read_text(),
        css_template=(HERE / "editor.css").read_text(),
        js_on_load=LOAD % (json.dumps(EVENTS), json.dumps(address)),
        apply_default_css=False,
        elem_id=elem_id,
        server_functions=list(server_functions),
        rip_presets={name: [dict(one) for one in some] for name, some in rip_presets.items()},
        preset_titles=dict(preset_titles),
        sources=[list(entry) for entry in sources],
        methods=[list(entry) for entry in methods],
        debug=debug,
        project=None if project is None else dict(project),
    )


def _serve_modules() -> Path:
    """Let Gradio serve the JavaScript; returns the folder that it serves.

    A copy, in a folder of another name at each start: browsers keep modules by their address, and
    must not mix those of two versions.
    """
    _served.append(process_folder("segdemo-editor-"))
    folder = Path(_served[-1].name).resolve()
    ignore = shutil.ignore_patterns("__pycache__", "*.py", "*.html", "*.css")
    shutil.copytree(HERE, folder, ignore=ignore, dirs_exist_ok=True)
    gr.set_static_paths([folder])
    return folder
