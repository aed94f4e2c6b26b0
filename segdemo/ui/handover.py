"""Sending a mask or an edge from the other tabs to the tab "Refine"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt

from segdemo.datatypes import EdgeMap, InputError
from segdemo.diffegg.pseudo_edge import edge_map
from segdemo.editing.picture import EditedPicture
from segdemo.editing.sessions import Session, SessionStore
from segdemo.editing.splits import fresh_ids
from segdemo.editing.strokes import Labels
from segdemo.ui.cutout.options import read_threshold
from segdemo.ui.cutout.results import KeptResult, result_of
from segdemo.ui.cutout.tab import CutoutTab
from segdemo.ui.errors import user_errors
from segdemo.ui.inspect.tab import InspectTab
from segdemo.ui.inspect.traces import Chosen, KeptTrace, edge_of, restored
from segdemo.ui.refine.handlers import Shown, shown
from segdemo.ui.refine.opening import add_photo
from segdemo.ui.refine.tab import RefineTab

REFINE = "refine"  # the tab's id
# what mask_editor keeps over a reload; private windows may refuse storage
TOKEN_OF_BROWSER = """
() => {
  try {
    return sessionStorage.getItem("segdemo-refine") || "";
  } catch {
    return "";
  }
}
"""
HARD = 0.5  # a soft mask's threshold: an instance has a pixel or has it not

Sent = tuple[*Shown, Any]
"""Values for `Shown` and (tabs)."""


class Handover:
    """Puts what other tabs made into a session: the photo is opened where it is not yet."""

    def __init__(self, store: SessionStore) -> None:
        """Send to the sessions of a store."""
        self._store = store

    def send_mask(
        self, kept: KeptResult | None, soft: object, threshold: object, token: str
    ) -> Sent:
        """Send the subject as one instance, with its edge."""
        with user_errors():
            if kept is None:
                raise InputError("There is no mask to send yet: press Segment first.")
            result = result_of(kept)
            limit = read_threshold(soft, threshold)
            session, index = self._opened(token, kept.photo, kept.name)
            picture = session.picture(index)
            _add_instance(picture, result.binary(HARD if limit is None else limit))
            picture.set_edges(result.edge, "diffdis", "DiffDIS")
            note = "The mask is here, with its edge."
            return *shown(session, index, note), gr.update(selected=REFINE)

    def send_edge(self, kept: KeptTrace | None, chosen: Chosen, rule: str, token: str) -> Sent:
        """Send the edge of the step that is looked at."""
        with user_errors():
            if kept is None:
                raise InputError("There is no edge to send yet: press Run first.")
            step = restored(kept).steps[chosen.step_of(kept.curve)]
            session, index = self._opened(token, kept.photo, kept.name)
            picture = session.picture(index)
            upper = edge_of(step, chosen, rule).upper
            edge: EdgeMap = edge_map(step.edge_score, upper, picture.size)
            picture.set_edges(edge.probability, "diffegg", f"EdgeKL, t = {step.timestep}")
            return *shown(session, index, "The edge is here."), gr.update(selected=REFINE)

    def remember(self, token: str) -> str:
        """Take the token that the browser kept over a reload, before the editor is opened."""
        try:
            return self._store.open(token).token
        except InputError:
            return ""

    def _opened(self, token: str, photo: Path, name: str) -> tuple[Session, int]:
        known = self.remember(token)
        session = self._store.open(known) if known else self._store.create()
        return session, add_photo(session, photo, name)


def wire_handover(
    demo: gr.Blocks,
    handover: Handover,
    cutout: CutoutTab,
    inspect: InspectTab,
    refine: RefineTab,
    tabs: gr.Tabs,
) -> None:
    """Connect the buttons that send."""
    outputs = [*refine.shown, tabs]
    options = cutout.options
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    kept = gr.Textbox(visible=False)
    demo.load(handover.remember, kept, refine.token, js=TOKEN_OF_BROWSER, **quiet)
    cutout.send.click(
        handover.send_mask,
        [cutout.kept, options.soft, options.threshold, refine.token],
        outputs,
        **quiet,
    )
    inspect.send.click(
        handover.send_edge,
        [inspect.kept, inspect.chosen, inspect.rule, refine.token],
        outputs,
        **quiet,
    )


def _add_instance(picture: EditedPicture, mask: npt.NDArray[np.bool_]) -> None:
    """Draw a mask over background, as a new instance."""

    def draw(labels: Labels) -> Labels:
        free = mask & (labels == 0)
        if not free.any():
            raise InputError("The mask covers nothing that has no instance yet.")
        result = labels.copy()
        (result[free],) = fresh_ids(labels, 1)
        return result

    picture.edit(draw, "Mask from Cut out")
