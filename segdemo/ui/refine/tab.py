"""The tab "Refine": bring masks, let edges split and merge them, finish by hand, take them away."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError
from segdemo.editing.sessions import DAY, SessionStore
from segdemo.images import SUFFIXES
from segdemo.rip.settings import PRESET_TITLES, PRESETS
from segdemo.ui.editor import mask_editor
from segdemo.ui.errors import user_errors
from segdemo.ui.events import (
    MODEL_RUNS,
    PRIVATE,
    QUIET,
    RIP_QUEUE,
    TOKEN_OF_BROWSER,
    Updates,
    wire_download,
)
from segdemo.ui.forms import label_of
from segdemo.ui.refine.api import build_refine_api
from segdemo.ui.refine.export import FORMATS, SCOPES, export_masks
from segdemo.ui.refine.handlers import (
    OWN_CLASSES,
    PROPOSALS,
    RefineHandlers,
    RefineTab,
    edge_sources,
)
from segdemo.ui.refine.service import EditorService
from segdemo.ui.status_line import status_line

MASK_FILES = [".json", ".png", ".npz", ".npy", ".txt", ".zip", ".tif", ".tiff", ".bmp", ".gif"]
INTRODUCTION = (
    "Bring photos with masks of any method. What is merged is split along edges, what is broken is "
    "joined where none lies between; you accept or reject each change, correct the rest by hand, "
    "and export."
)
FILES = (
    "Masks: COCO JSON, indexed or panoptic PNG, NPZ, YOLO, LabelMe, or a zip of these, matched to "
    "the photos by name; or class maps, PNGs of class numbers, whose regions become instances. "
    "Edge maps: PNG, white is edge, `<photo>_edge.png`."
)
CLASS_MAPS = [
    ("instances", ""),
    ("class maps, VOC's classes", "voc"),
    ("class maps, COCO's 80 classes", "coco"),
    ("class maps, COCO's ids to 90", "coco-ids"),
    ("class maps, COCO's panoptic classes", "coco-panoptic"),
    ("class maps, own classes", OWN_CLASSES),
]
SAY_REFUSED = '() => { document.dispatchEvent(new Event("segdemo-refused")); }'
# One at a time for each visitor's browser, in order: `always_last` repeats the first event's data
EVENTS = PRIVATE | {"trigger_mode": "multiple"}


@dataclass(frozen=True)
class OpenPanel:
    """What files are brought with."""

    panel: gr.Accordion
    photos: gr.File
    masks: gr.File
    edges: gr.File
    classes: gr.Dropdown
    own_classes: gr.Textbox
    stuff: gr.Textbox
    open: gr.Button
    example: gr.Button
    report: gr.HTML


@dataclass(frozen=True)
class ExportPanel:
    """What files are taken away with."""

    mask_format: gr.Dropdown
    scope: gr.Radio
    export: gr.DownloadButton
    report: gr.HTML


def build_refine_tab(assistant: AnnotationAssistant, store: SessionStore) -> RefineTab:
    """Lay out the tab and wire it."""
    bring = _build_open()
    editor = mask_editor(
        "mask-editor",
        EditorService(store, assistant.prompt).functions,
        rip_presets(),
        PRESET_TITLES,
        edge_sources(assistant),
        PROPOSALS,
    )
    take = _build_export(store.lifetime)
    # In the browser, unlike gr.State: after a restart of the server they are as before
    token = gr.Textbox("", visible="hidden", label="Work")
    current = gr.Number(0, precision=0, visible="hidden", label="Photo")
    tab = RefineTab(editor, token, current, bring.panel)
    handlers = RefineHandlers(assistant, store, tab, bring.report)
    opened = bring.open.click(
        handlers.open,
        [
            tab.token,
            bring.photos,
            bring.masks,
            bring.edges,
            bring.classes,
            bring.own_classes,
            bring.stuff,
        ],
        [*tab.all, bring.report],
        preprocess=False,
        js=TOKEN_OF_BROWSER,
        **EVENTS,
    )
    # they are open now: masks that are added later come alone
    fields = [bring.photos, bring.masks, bring.edges]
    opened.success(None, None, fields, js="() => [null, null, null]", **QUIET)
    bring.example.click(
        handlers.open_example,
        tab.token,
        [*tab.all, bring.report],
        js=TOKEN_OF_BROWSER,
        **EVENTS,
    )
    asked = [
        editor.hello(handlers.hello, None, tab.all, **EVENTS),
        editor.show(handlers.show, None, tab.all, **EVENTS),
        editor.edges(handlers.find_edges, None, editor, **EVENTS, **MODEL_RUNS),
        editor.propose(handlers.propose, None, editor, **EVENTS, **MODEL_RUNS),
        editor.preview(handlers.preview, None, editor, **EVENTS, **RIP_QUEUE),
    ]
    for event in asked:  # the editor waits for an answer
        event.failure(None, None, None, js=SAY_REFUSED, **QUIET)
    editor.opened(handlers.opened, None, [tab.token, tab.current], **EVENTS)
    wire_download(
        take.export,
        functools.partial(export, store, take),
        [tab.token, tab.current, take.scope, take.mask_format],
        outputs=[take.export, take.report],
        js=TOKEN_OF_BROWSER,
        **EVENTS,
    )
    build_refine_api(assistant)
    return tab


def export(
    store: SessionStore, take: ExportPanel, token: str, current: int, scope: str, mask_format: Any
) -> Updates:
    """Write the masks as one file, and say what the format could not hold."""
    with user_errors():
        if not token:
            raise InputError("There is nothing to export yet: open photos first.")
        file, losses = export_masks(store.open(token), current, scope, mask_format)
        said = " ".join([f"{file.name} is ready.", *losses])
        return {take.export: str(file), take.report: said}


def rip_presets() -> dict[str, list[dict[str, Any]]]:
    """Describe each preset's parameters for the page: those of its algorithm only."""
    return {
        name: [
            {
                "name": entry.name,
                "label": label_of(entry),
                "help": entry.metadata["help"],
                "low": entry.metadata["minimum"],
                "high": entry.metadata["maximum"],
                "unit": entry.metadata.get("unit", ""),
                "step": 1 if isinstance(entry.default, int) else "any",
                "value": getattr(preset, entry.name),
            }
            for entry in fields(preset)
        ]
        for name, preset in PRESETS.items()
    }


def _build_open() -> OpenPanel:
    with gr.Accordion("Open photos and masks", open=True, elem_id="refine-open") as panel:
        gr.Markdown(f"{INTRODUCTION}\n\n{FILES}")
        with gr.Row():
            photos = _files("Photos", [*sorted(SUFFIXES), ".zip"], "refine-photos")
            masks = _files("Masks (optional)", MASK_FILES, "refine-masks")
            edges = _files("Edge maps (optional)", sorted(SUFFIXES), "refine-edges")
        with gr.Row():
            classes = gr.Dropdown(CLASS_MAPS, value="", label="What masks are", elem_id="mask-kind")
            own = gr.Textbox(
                label="Classes, one a line (`number: name`, or names from 1)",
                lines=2,
                visible=False,
                elem_id="own-classes",
            )
            stuff = gr.Textbox(
                label="Classes without instances (stuff), such as: sky, road",
                visible=False,
                elem_id="stuff-classes",
            )
        classes.change(
            lambda kind: (gr.update(visible=kind == OWN_CLASSES), gr.update(visible=bool(kind))),
            classes,
            [own, stuff],
            **QUIET,
        )
        with gr.Row():
            start = gr.Button("Open", variant="primary", scale=3, elem_id="refine-open-files")
            example = gr.Button("Open the example", scale=1, min_width=160)
    report = status_line("", "refine-report")
    return OpenPanel(panel, photos, masks, edges, classes, own, stuff, start, example, report)


def _files(label: str, types: list[str], elem_id: str) -> gr.File:
    return gr.File(
        file_count="multiple", file_types=types, label=label, height=140, elem_id=elem_id
    )


def kept_for(seconds: float) -> str:
    """Say how long work is kept."""
    days = seconds / DAY
    return "This server keeps work for %s after its last use: export what you need." % (
        "1 day" if days == 1 else f"{days:g} days"
    )


def _build_export(lifetime: float | None) -> ExportPanel:
    with gr.Accordion("Export", open=lifetime is not None, elem_id="refine-export"):
        if lifetime is not None:
            gr.Markdown(kept_for(lifetime))
        with gr.Row():
            mask_format = gr.Dropdown(FORMATS, value="coco", label="Format", elem_id="mask-format")
            scope = gr.Radio(SCOPES, value=SCOPES[0], label="Which photos")
        button = gr.DownloadButton("Download masks", variant="primary", elem_id="take-masks")
        report = status_line("", "export-report")
    return ExportPanel(mask_format, scope, button, report)
