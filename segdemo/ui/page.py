"""The page: its tabs, the queue, and the help text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.editing.sessions import SessionStore
from segdemo.ui.cutout.batch import build_batch_panel
from segdemo.ui.cutout.tab import build_cutout_tab
from segdemo.ui.events import QUIET, THREADS
from segdemo.ui.handover import REFINE, Handover, wire_handover
from segdemo.ui.inspect.tab import build_inspect_tab
from segdemo.ui.refine.tab import build_refine_tab
from segdemo.ui.theme import HELP_READERS

AT_ONCE = 8  # events of a kind that has no limit of its own
CACHE_SECONDS = (3600, 86400)  # look every hour for files older than a day

HELP = (Path(__file__).parent / "help.md").read_text()
SEED_ADVICE = "another **seed**, or "


def build_demo(assistant: AnnotationAssistant, store: SessionStore) -> gr.Blocks:
    """Build the page around an assistant, whose models may be loaded later.

    store: where annotators' sessions lie.
    """
    with gr.Blocks(title="segdemo", analytics_enabled=False, delete_cache=CACHE_SECONDS) as demo:
        heading = gr.Markdown(heading_text(assistant.model_name), elem_id="header")
        with gr.Tabs() as tabs:
            with gr.Tab("Cut out"):
                cutout = build_cutout_tab(assistant)
                batch = build_batch_panel(assistant, cutout.options)
            with gr.Tab("Inspect"):
                inspect = build_inspect_tab(assistant)
            with gr.Tab("Refine", id=REFINE):
                refine = build_refine_tab(assistant, store)
            with gr.Tab("Help"):
                descriptions = [assistant.description_of(name) for name in assistant.models]
                gr.Markdown(help_text(assistant.seed_matters, descriptions))
        wire_handover(Handover(store, refine, tabs), cutout, inspect, batch)
        demo.load(None, js=HELP_READERS)
        # not before the page is there: to look for a device takes PyTorch, whose import takes long
        demo.load(
            lambda: heading_text(f"{assistant.model_name} on {assistant.device_name}"),
            None,
            heading,
            **QUIET,
        )
    # No bound: it would count runs that wait for models, and then refuse an editor's events
    demo.max_threads = THREADS
    demo.queue(max_size=None, default_concurrency_limit=AT_ONCE)
    return demo


def heading_text(model: str) -> str:
    """Return what the page is called and shows, and the way to the help, as Markdown."""
    return f"# segdemo\n{model} · [what it is and how good](#help)"


def help_text(seed_matters: bool, models: Sequence[str]) -> str:
    """Return the help, which advises another seed only where that changes the mask.

    models: a line about each of those that segment.
    """
    listed = "\n".join(f"- {model}" for model in models)
    advice = SEED_ADVICE if seed_matters else ""
    return HELP.replace("{MODELS}", listed).replace("{SEED_ADVICE}", advice)
