"""What the mask editor is told: values of its component, each with a key of its own."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from segdemo.datatypes import FloatMap, Labels
from segdemo.editing.image import EditedImage, Instance
from segdemo.editing.patches import pack
from segdemo.editing.proposals import Proposals
from segdemo.editing.sessions import Session
from segdemo.ui.kept_files import new_folder
from segdemo.ui.refine.opening import THUMBNAIL, VIEW

Message = dict[str, Any]


def picture_message(session: Session, index: int, note: str | None = None) -> Message:
    """Show an image: photo, label map as it is and as it was opened, instances, edges, queue."""
    picture, folder = session.image(index), new_folder()
    edges = picture.edges
    return _message(
        "picture",
        token=session.token,
        note=note,
        queue=_with_thumbnails(session, queue_of(session)),
        classes={str(number): name for number, name in session.classes.items()},
        picture={
            "index": index,
            "lease": picture.take_lease(),
            "name": picture.name,
            "width": picture.size[1],
            "height": picture.size[0],
            "revision": picture.revision,
            "image": _copied(session.file(index, VIEW), folder),
            "labels": _packed(picture.labels, folder / "labels.gz"),
            "start": _packed(picture.start, folder / "start.gz"),
            "instances": described(picture.instances),
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
    note = None if changes else "RIP proposes no split, merge or drop with these edges."
    return _message(
        "proposals",
        picture=index,
        revision=picture.revision,
        preview=_packed(proposals.preview, new_folder() / "preview.gz"),
        proposals=changes,
        note=note,
    )


def empty_message(note: str | None = None) -> Message:
    """Show that nothing is open."""
    return _message("empty", token=None, note=note)


def note_message(text: str) -> Message:
    """Tell why work ended without a result."""
    return _message("note", text=text)


def queue_of(session: Session) -> list[Message]:
    """List the session's images for the queue beside the canvas."""
    rows = []
    for index, name in enumerate(session.names):
        summary = session.summary(index)
        state = "checked" if summary.checked else "edited" if summary.revision else "new"
        rows.append({"index": index, "name": name, "count": summary.count, "state": state})
    return rows


def _with_thumbnails(session: Session, queue: list[Message]) -> list[Message]:
    folder = new_folder()
    for row in queue:
        index = row["index"]
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
