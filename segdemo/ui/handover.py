"""Sending a mask or an edge from the other tabs to the tab "Refine"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt

from segdemo.datatypes import EdgeMap, InputError, Labels
from segdemo.diffegg.pseudo_edge import edge_map
from segdemo.edge_files import read_edge_map
from segdemo.editing.image import EditedImage
from segdemo.editing.seeds import new_ids
from segdemo.editing.sessions import Session, SessionStore
from segdemo.images import load_rgb
from segdemo.ui.cutout.batch import BatchPanel, BatchResult
from segdemo.ui.cutout.options import read_threshold
from segdemo.ui.cutout.results import KeptResult, result_of
from segdemo.ui.cutout.tab import CutoutTab
from segdemo.ui.errors import user_errors
from segdemo.ui.events import PRIVATE, TOKEN_OF_BROWSER, Updates
from segdemo.ui.inspect.tab import InspectTab
from segdemo.ui.inspect.traces import Chosen, KeptTrace, edge_of, restored
from segdemo.ui.refine.handlers import RefineTab
from segdemo.ui.refine.opening import add_photo

REFINE = "refine"  # the tab's id
HARD = 0.5  # a soft mask's threshold: an instance has a pixel or has it not


class Handover:
    """Puts what other tabs made into a session: the photo is opened where it is not yet."""

    def __init__(self, store: SessionStore, refine: RefineTab, tabs: gr.Tabs) -> None:
        """Send to the sessions of a store, which the tab "Refine" shows."""
        self._store, self._refine, self._tabs = store, refine, tabs

    @property
    def outputs(self) -> list[Any]:
        """What sending changes."""
        return [*self._refine.all, self._tabs]

    @property
    def token(self) -> gr.Textbox:
        """The session's token."""
        return self._refine.token

    def send_mask(
        self, token: str, kept: KeptResult | None, soft: object, threshold: object
    ) -> Updates:
        """Send the subject as one instance, with its edge."""
        with user_errors():
            if kept is None:
                raise InputError("There is no mask to send yet: press Segment first.")
            result = result_of(kept)
            limit = read_threshold(soft, threshold)
            session, index = self._opened(token, kept.photo, kept.name)
            picture = session.image(index)
            _add_instance(picture, result.binary(HARD if limit is None else limit))
            picture.set_edges(result.known_edge, "diffdis", "DiffDIS")
            note = "The mask is here, with its edge."
            return self._shown(session, index, note)

    def send_batch_result(
        self, token: str, results: list[BatchResult], picked: int | None
    ) -> Updates:
        """Send the chosen result of a batch as one instance, with its edge."""
        with user_errors():
            if picked is None or not 0 <= picked < len(results):
                raise InputError("Choose a cut-out first: click one.")
            result = results[picked]
            if not result.mask.exists():
                raise InputError("These results were deleted after a long pause: segment again.")
            session, index = self._opened(token, result.photo, result.name.rsplit("/", 1)[-1])
            picture = session.image(index)
            _add_instance(picture, load_rgb(result.mask)[..., 0] > 255 * HARD)
            edge = read_edge_map(result.edge, picture.size)
            picture.set_edges(edge.probability, "diffdis", "DiffDIS")
            return self._shown(session, index, "The mask is here, with its edge.")

    def send_edge(self, token: str, kept: KeptTrace | None, chosen: Chosen, rule: str) -> Updates:
        """Send the edge of the step that is looked at."""
        with user_errors():
            if kept is None:
                raise InputError("There is no edge to send yet: press Run first.")
            step = restored(kept).steps[chosen.step_of(kept.curve)]
            session, index = self._opened(token, kept.photo, kept.name)
            picture = session.image(index)
            upper = edge_of(step, chosen, rule).upper
            edge: EdgeMap = edge_map(step.edge_score, upper, picture.size)
            picture.set_edges(edge.probability, "diffegg", f"EdgeKL, t = {step.timestep}")
            return self._shown(session, index, "The edge is here.")

    def _shown(self, session: Session, index: int, note: str) -> Updates:
        return self._refine.show(session, index, note) | {self._tabs: gr.update(selected=REFINE)}

    def _opened(self, token: str, photo: Path, name: str) -> tuple[Session, int]:
        session = self._store.open_or_create(token)
        index = add_photo(session, photo, name)
        session.take(index)  # of a project: before it is edited
        return session, index


def wire_handover(
    handover: Handover, cutout: CutoutTab, inspect: InspectTab, batch: BatchPanel
) -> None:
    """Connect the buttons that send."""
    outputs, token = handover.outputs, handover.token
    options = cutout.options
    cutout.send.click(
        handover.send_mask,
        [token, cutout.kept, options.soft, options.threshold],
        outputs,
        js=TOKEN_OF_BROWSER,
        **PRIVATE,
    )
    batch.send.click(
        handover.send_batch_result,
        [token, batch.results, batch.picked],
        outputs,
        js=TOKEN_OF_BROWSER,
        **PRIVATE,
    )
    inspect.send.click(
        handover.send_edge,
        [token, inspect.kept, inspect.chosen, inspect.rule],
        outputs,
        js=TOKEN_OF_BROWSER,
        **PRIVATE,
    )


def _add_instance(picture: EditedImage, mask: npt.NDArray[np.bool_]) -> None:
    """Draw a mask over background, as a new instance."""

    def draw(labels: Labels) -> Labels:
        free = mask & (labels == 0)
        if not free.any():
            raise InputError("The mask covers nothing that has no instance yet.")
        result = labels.copy()
        (result[free],) = new_ids(labels, 1, picture.highest)
        return result

    picture.edit(draw, "Mask from Cut out")
