"""What the mask editor is told: values of its component, each with a key of its own."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap, Labels
from segdemo.editing.image import EditedImage
from segdemo.editing.patches import pack
from segdemo.editing.proposals import Proposals
from segdemo.editing.sessions import Session
from segdemo.editing.storage import Instance
from segdemo.ui.kept_files import new_folder
from segdemo.ui.refine.opening import THUMBNAIL, VIEW
from segdemo.ui.refine.project_session import ProjectSession
from segdemo.ui.waiting import Place

Message = dict[str, Any]

MOST_STEP_PIXELS = 20_000_000  # that undo gets back after a reload, in all its steps


def picture_message(session: Session, index: int, note: str | None = None) -> Message:
    """Show an image: photo, label map as it is and as it was opened, instances, edges, queue."""
    lease = session.take(index)
    offered = session.open_prepared(index) if isinstance(session, ProjectSession) else None
    picture, folder = session.image(index), new_folder()
    edges = picture.edges
    return _message(
        "picture",
        token=session.token,
        note=" ".join(part for part in (note, picture.damage) if part) or None,
        **_list_of(session, index),
        proposals=offered and _proposals(session.image(index), index, offered),
        classes={str(number): name for number, name in session.classes.items()},
        stuff=sorted(session.stuff),
        picture={
            "index": index,
            "lease": lease,
            "name": picture.name,
            "width": picture.size[1],
            "height": picture.size[0],
            "revision": picture.revision,
            "image": _copied(session.file(index, VIEW), folder),
            "labels": _packed(picture.labels, folder / "labels.gz"),
            "start": _packed(picture.start, folder / "start.gz"),
            "instances": described(picture.known),
            "history": _history(picture, folder / "history.gz"),
            "highest": picture.highest,
            "checked": picture.checked,
            "edges": edges and _edges(picture, folder),
        },
    )


def edges_message(picture: EditedImage, index: int, note: str | None = None) -> Message:
    """Show the edges that an image has now."""
    return _message("edges", picture=index, edges=_edges(picture, new_folder()), note=note)


def proposals_message(picture: EditedImage, index: int, proposals: Proposals) -> Message:
    """Show what RIP would do."""
    note = None if proposals.changes else "No split, merge or drop is proposed with these edges."
    return _message("proposals", **_proposals(picture, index, proposals), note=note)


def _proposals(picture: EditedImage, index: int, proposals: Proposals) -> Message:
    changes = [
        {
            "kind": change.kind,
            "text": change.text,
            "inputs": list(change.inputs),
            "outputs": list(change.outputs),
            "iou": change.iou,
            "pixels": change.pixels,
        }
        for change in proposals.changes
    ]
    return {
        "picture": index,
        "revision": picture.revision,
        "preview": _packed(proposals.preview, new_folder() / "preview.gz"),
        "proposals": changes,
    }


def empty_message(token: str, note: str | None = None) -> Message:
    """Show that nothing is open. token: of a session without an image to show, or ""."""
    return _message("empty", token=token or None, note=note)


def note_message(text: str) -> Message:
    """Tell why work ended without a result."""
    return _message("note", text=text)


def place_message(place: Place) -> Message:
    """Tell how many are before work that goes on."""
    return _message("place", text=place.words or "Working ...")


def _list_of(session: Session, index: int) -> Message:
    """Tell of the images beside the canvas: all of a session, of a project the page asks for."""
    if isinstance(session, ProjectSession):
        return {"queue": [], "project": project_message(session, index)}
    return {"queue": _with_thumbnails(session, queue_of(session)), "project": None}


def project_message(session: ProjectSession, index: int) -> Message:
    """Tell of a project: how far it is, who asks, and what a reviewer says of the open image."""
    record = session.project.board.get(index)
    return {
        "name": session.project.name,
        "who": session.who,
        "counts": session.project.board.counts(),
        "state": record.state,
        "note": record.note if record.state == "rejected" else "",
    }


def queue_of(session: Session) -> list[Message]:
    """List the session's images for the queue beside the canvas; a project's are paged apart."""
    rows: list[Message] = []
    if isinstance(session, ProjectSession):
        return rows
    for index in session.indices:
        name = session.names[index]
        summary = session.summary(index)
        state = "checked" if summary.checked else "edited" if summary.revision else "new"
        row = {"index": index, "name": name, "count": summary.count, "state": state}
        rows.append(row | {"state": "damaged", "damage": summary.damage} if summary.damage else row)
    return rows


def _with_thumbnails(session: Session, queue: list[Message]) -> list[Message]:
    folder = new_folder()
    for row in queue:
        index = row["index"]
        with suppress(OSError):  # lost: the row has its name
            row["thumb"] = _copied(session.file(index, THUMBNAIL), folder, f"{index}.jpg")
    return queue


def described(instances: Mapping[int, Instance]) -> dict[str, Message]:
    """Say what the editor needs to know of instances."""
    return {
        str(number): {
            "class": instance.category,
            "hidden": instance.hidden,
            "locked": instance.locked,
        }
        for number, instance in instances.items()
    }


def _message(kind: str, **content: Any) -> Message:
    # equal values in a row would not reach the page
    return {"key": secrets.token_hex(8), "message": kind, **content}


def _history(picture: EditedImage, path: Path) -> Message:
    """Write the steps that undo and redo go back to, the latest that are not too large."""
    history, room = picture.history(), MOST_STEP_PIXELS
    kept: dict[str, list[Message]] = {}
    values: list[npt.NDArray[Any]] = []
    for way, steps in (("undo", history.undo), ("redo", history.redo)):
        kept[way] = []
        for step in reversed(steps):
            patch = step.before if way == "undo" else step.after
            room -= patch.labels.size
            if room < 0:
                break
            height, width = patch.labels.shape
            box = [patch.x, patch.y, patch.x + width, patch.y + height]
            what = step.what.removeprefix("Undo: ").removeprefix("Redo: ")
            kept[way].insert(0, {"what": what, "box": box, "place": sum(map(len, values))})
            values.append(patch.labels.ravel())
    pixels = np.concatenate(values) if values else np.zeros(0, np.uint16)
    return {**kept, "file": _written(pixels.astype("<u2"), path) if values else None}


def _edges(picture: EditedImage, folder: Path) -> Message | None:
    edge = picture.edge_map()
    if edge is None or picture.edges is None:
        return None
    source, label = picture.edges
    return {"source": source, "label": label, "file": _packed_edge(edge, folder / "edges.gz")}


def _packed_edge(edge: FloatMap, path: Path) -> Message:
    return _written((edge * 255).round().astype("u1"), path)


def _packed(labels: Labels, path: Path) -> Message:
    return _written(labels.astype("<u2"), path)


def _written(values: Any, path: Path) -> Message:
    path.write_bytes(pack(values))
    return dict(gr.FileData(path=str(path)).model_dump())


def _copied(file: Path, folder: Path, name: str | None = None) -> Message:
    """Copy a kept file to where Gradio may serve it from."""
    target = shutil.copyfile(file, folder / (name or file.name))
    return dict(gr.FileData(path=str(target)).model_dump())
