"""The page: layout and handlers. Each handler collects, asks for one verb, and shows."""

from __future__ import annotations

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.editing.sessions import SessionStore
from segdemo.ui.batch_panel import build_batch_panel
from segdemo.ui.cutout_tab import build_cutout_tab
from segdemo.ui.handover import REFINE, Handover, wire_handover
from segdemo.ui.inspect_tab import build_inspect_tab
from segdemo.ui.refine_tab import build_refine_tab
from segdemo.ui.theme import HELP_READERS

QUEUE_LENGTH = 20
CACHE_SECONDS = (3600, 86400)  # look every hour for files older than a day

HELP = """
## What it does
segdemo finds the main object of a photo and gives back three pictures: a **mask** (white is the
object), its **edge**, and a **cut-out** with a transparent background. It runs the method DiffDIS,
a diffusion model that draws mask and edge together in a single step.

## When the mask is poor
- The model looks for *one* main object. Many small objects, or a subject that fills the whole
  picture, confuse it; crop the photo so that one object dominates.
- Try another **seed**, or an **ensemble** of 4: its median is steadier, and *Uncertainty* then
  shows where the predictions disagreed.
- A larger **working size** draws finer detail and costs time; far from the size the model was
  trained at, masks get worse, not better.
- The line at the top of the page says which model is loaded and how well it did when measured. The
  embedded models are small stand-ins; the official DiffDIS weights (`--model official`) are far
  better and need a graphics card to be quick.

## Inspect
The tab *Inspect* looks into a text-to-image model. Your photo is covered with noise, less from
step to step; at each step the picture shows what the model's **self-attention** groups together
(cells of one colour look at the same places). **PeakKL** picks the step where attention changes
most, **EdgeKL** turns one step's attention into edges: yellow is edge, blue is inside, hatched is
undecided; drag the two lines to move the thresholds.
- A peak is no proof that instances separate there. Give an **instance mask** (a file, a drawing, or
  the example): the curve below then says whether cells prefer their own instance to others equally
  far away. At 1.0 they do not.
- The embedded models share one small prior: its edges come from a fixed, nearly clean step unless
  you switch *Follow PeakKL* on. Real Stable Diffusion models are opened with `--backbone FOLDER`.

## Refine
The tab *Refine* mends instance masks of any method. Open photos with their masks, or start from
none and press *Propose*; *Send mask* and *Send edge* bring results of the other tabs.
- **Edges** come from a file, from DiffEGG or DiffDIS, or from plain gradients. Select an instance:
  pink lines show where they would cut it; move the threshold, look at the parts (X), apply (X).
- **RIP** looks at all instances at once: it cuts merged ones along the edges, lets the parts walk
  until edges stop them, and joins those that end in the same place. *Preview* lists what it would
  do; nothing changes before you accept. *careful* changes a mask only where whole borders stand
  out; *robust* cuts at every edge and closes gaps, *paper* takes edges as they are.
- **By hand**: brush, polygon, a line that splits, seeds (one stroke in each object, Enter divides),
  merge, pieces, holes, smooth, grow and shrink. Press ? on the picture for all keys.
- Every edit is kept at once and survives a reload, a closed tab or a restarted server for a day
  after the last one.
- With the embedded models, predicted edges of real photos are far from perfect: expect wrong
  proposals, fewest with *careful*. Edges drawn by a person do better.

## Files
PNG, JPEG, WebP, TIFF, BMP, PPM and GIF (first picture), up to 50 MB each. Phone photos are turned
upright. Results have the photo's size and name: `cat.jpg` gives `cat_mask.png`, `cat_edge.png` and
`cat_cutout.png`.

## Your pictures
Everything is computed by the program that serves this page; your pictures go nowhere else. Uploads
and results lie in its temporary folder and are deleted within about a day. What is open in *Refine*
lies in a folder of its own until a day after the last edit.
"""


def build_demo(assistant: AnnotationAssistant, store: SessionStore) -> gr.Blocks:
    """Build the page around an assistant, whose models may be loaded later.

    store: where annotators' sessions lie.
    """
    with gr.Blocks(title="segdemo", analytics_enabled=False, delete_cache=CACHE_SECONDS) as demo:
        gr.Markdown(
            f"# segdemo\n{assistant.description} · runs on {assistant.device_name}",
            elem_id="header",
        )
        with gr.Tabs() as tabs:
            with gr.Tab("Cut out"):
                cutout = build_cutout_tab(assistant)
                build_batch_panel(assistant, cutout.options)
            with gr.Tab("Inspect"):
                inspect = build_inspect_tab(assistant)
            with gr.Tab("Refine", id=REFINE):
                refine = build_refine_tab(assistant, store)
            with gr.Tab("Help"):
                gr.Markdown(HELP)
        wire_handover(demo, Handover(store), cutout, inspect, refine, tabs)
        demo.load(None, js=HELP_READERS)
    demo.queue(max_size=QUEUE_LENGTH)
    return demo
