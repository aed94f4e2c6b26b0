"""What the mask editor asks of the server between events: small, frequent, and answered at once.

Gradio runs these functions outside its queue, and turns an exception into silence, so each answers
with a dict: what was done, or {"error": sentence}. Nothing that arrives is trusted.
"""

from __future__ import annotations

import base64
import binascii
import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from segdemo.datatypes import InputError, RGBImage
from segdemo.editing.image import Change, EditedImage, EditLockLostError, RevisionConflictError
from segdemo.editing.patches import DAMAGED, Patch, pack, unpack_labels
from segdemo.editing.sessions import Session, SessionStore
from segdemo.editing.storage import Instance
from segdemo.images import load_rgb
from segdemo.prompting.interface import PromptedMask
from segdemo.prompting.prompts import Prompt
from segdemo.ui.errors import UNEXPECTED, public_words
from segdemo.ui.refine.messages import described, queue_of
from segdemo.ui.refine.opening import PHOTO, THUMBNAIL
from segdemo.ui.refine.operations import OPERATIONS, Context
from segdemo.ui.refine.prompts import read_prompt

Request = dict[str, Any]
Answer = dict[str, Any]
AskPrompter = Callable[[RGBImage, Sequence[Prompt]], list[PromptedMask]]

LARGEST_PACKET = 32 * 2**20  # characters of base64; a whole map of 24 megapixels needs less
MOST_SESSIONS = 100  # told of at once
LONGEST_NAME = 100  # characters, of a class

logger = logging.getLogger(__name__)


class EditorService:
    """The server functions of the mask editor, over a store of sessions."""

    def __init__(self, store: SessionStore, prompt: AskPrompter) -> None:
        """Serve the sessions of a store; prompt: see `AnnotationAssistant.prompt`."""
        self._store, self._prompt = store, prompt
        self._last_image: tuple[Path, RGBImage] | None = None

    @property
    def functions(self) -> list[Callable[[Request], Answer]]:
        """The functions that the browser may call, by their names."""
        own = (
            self.apply_patch,
            self.save_all,
            self.describe,
            self.operate,
            self.accept,
            self.list_sessions,
            self.rename_session,
            self.delete_session,
            self.remove_image,
            self.prompt,
        )
        return [_answering(function) for function in own]

    def apply_patch(self, request: Request) -> Answer:
        """Apply an edit that the browser has made."""
        _, picture = self._find(request)
        width, height = int(request["width"]), int(request["height"])
        if not (0 < width <= picture.size[1] and 0 < height <= picture.size[0]):
            raise InputError(DAMAGED)
        labels = unpack_labels(_bytes(request["labels"]), height, width)
        patch = Patch(int(request["x"]), int(request["y"]), labels)
        instances = _instances(request.get("instances"), picture)
        what = str(request.get("what", ""))[:LONGEST_NAME]
        picture.apply(patch, int(request["revision"]), instances, what)
        return {"revision": picture.revision}

    def save_all(self, request: Request) -> Answer:
        """Replace the whole label map, after edits were missed."""
        _, picture = self._find(request)
        labels = unpack_labels(_bytes(request["labels"]), *picture.size)
        instances = _instances(request.get("instances"), picture)
        picture.replace_all(labels, int(request["revision"]), instances)
        return {"revision": picture.revision}

    def describe(self, request: Request) -> Answer:
        """Store what was said of instances, classes or the image."""
        session, picture = self._find(request)
        names = {int(k): str(v)[:LONGEST_NAME] for k, v in (request.get("classes") or {}).items()}
        if any(not 0 <= number < 2**31 for number in names):
            raise InputError(DAMAGED)
        if names:
            session.name_classes(names)
        checked = request.get("checked")
        instances = _instances(request.get("instances"), picture)
        picture.describe(instances, None if checked is None else bool(checked))
        return {"queue": queue_of(session)}

    def operate(self, request: Request) -> Answer:
        """Run an operation on whole instances."""
        session, picture = self._find(request)
        name, ids = str(request["operation"]), [int(number) for number in request["ids"]]
        if name not in OPERATIONS:
            raise InputError(f"There is no operation {name[:40]!r}.")
        words, operation = OPERATIONS[name]
        options = request.get("options") or {}
        context = Context(picture, lambda: self._photo(session, int(request["picture"])))
        change = picture.edit(
            lambda labels: operation(labels, ids, options, context),
            words,
            int(request["revision"]),
        )
        return _changed(change)

    def accept(self, request: Request) -> Answer:
        """Carry out some of the last preview's proposals."""
        _, picture = self._find(request)
        chosen = [int(index) for index in request["proposals"]]
        change = picture.accept(chosen, int(request["revision"]))
        return _changed(change)

    def prompt(self, request: Request) -> Answer:
        """Return the mask of the object that a box or clicks mean; nothing is changed."""
        session, picture = self._find(request)
        prompt = _read_prompt(request, picture)
        (found,) = self._prompt(self._photo(session, int(request["picture"])), [prompt])
        mask = found.mask > 0.5
        if not mask.any():
            raise InputError("No object was found there: drag a box around it.")
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        inside = mask[top:bottom, left:right].astype("<u2")
        return {
            "box": [int(side) for side in (left, top, right, bottom)],
            "labels": base64.b64encode(pack(inside)).decode(),
            "score": round(found.score, 3),
        }

    def list_sessions(self, request: Request) -> Answer:
        """Tell of the sessions whose tokens the browser keeps; what is not here is told as gone."""
        tokens = [token for token in request["tokens"] if isinstance(token, str)]
        return {"sessions": [self._overview(token) for token in tokens[:MOST_SESSIONS]]}

    def rename_session(self, request: Request) -> Answer:
        """Call a session something else."""
        session = self._store.open(request["token"])
        session.rename(" ".join(str(request["title"]).split())[:LONGEST_NAME])
        return {"title": session.title}

    def delete_session(self, request: Request) -> Answer:
        """Delete a session with all its images."""
        self._store.delete(request["token"])
        return {}

    def remove_image(self, request: Request) -> Answer:
        """Remove an image from its session."""
        session = self._store.open(request["token"])
        session.remove(int(request["picture"]))
        return {"queue": queue_of(session)}

    def _overview(self, token: str) -> Answer:
        try:
            session = self._store.find(token)
            used = session.used
        except EditLockLostError:
            return {"token": token, "gone": True}
        first = next(iter(session.indices), None)
        name = "" if first is None else session.names[first]
        about = {"token": token, "title": session.title, "first": name, "count": len(session)}
        thumbnail = None if first is None else session.file(first, THUMBNAIL)
        if thumbnail is not None and thumbnail.exists():
            encoded = base64.b64encode(thumbnail.read_bytes()).decode()
            about["thumb"] = f"data:image/jpeg;base64,{encoded}"
        return about | {"used": used}

    def _photo(self, session: Session, index: int) -> RGBImage:
        """Return an image's photo; the last one is kept decoded."""
        file, last = session.file(index, PHOTO), self._last_image
        if last is None or last[0] != file:
            self._last_image = last = file, load_rgb(file, session.names[index])
        return last[1]

    def _find(self, request: Request) -> tuple[Session, EditedImage]:
        session = self._store.open(request["token"])
        picture = session.image(int(request["picture"]))
        picture.check_lease(request.get("lease"))
        return session, picture


def _read_prompt(request: Request, picture: EditedImage) -> Prompt:
    """Read what the editor asks about an image: box, clicks, and the mask so far."""
    given, mask = request.get("mask"), None
    if given is not None:
        left, top, right, bottom = (int(side) for side in given["box"])
        height, width = picture.size
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise InputError(DAMAGED)
        mask = np.zeros(picture.size, np.float32)
        inside = unpack_labels(_bytes(given["labels"]), bottom - top, right - left)
        mask[top:bottom, left:right] = inside > 0
    return read_prompt(request.get("box"), request.get("clicks"), mask)


def _answering(function: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
    """Turn whatever goes wrong into an answer; the browser keeps the edit."""

    @functools.wraps(function)
    def answered(request: Request) -> Answer:
        try:
            return function(request)
        except RevisionConflictError as error:
            return {"error": public_words(error), "behind": True}
        except EditLockLostError as error:
            return {"error": public_words(error), "final": True}
        except InputError as error:
            return {"error": public_words(error)}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return {"error": DAMAGED}
        except OSError as error:  # a full disk, above all
            logger.error("an edit could not be written: %s", error)
            return {"error": f"The server cannot write this ({error.strerror})."}
        except Exception:
            logger.exception("unexpected error in the mask editor's service")
            return {"error": UNEXPECTED}

    return answered


def _changed(change: Change) -> Answer:
    if change.patch is None:
        raise InputError(f"{change.what} changes nothing here.")
    patch = change.patch
    return {
        "revision": change.revision,
        "what": change.what,
        "x": patch.x,
        "y": patch.y,
        "width": patch.labels.shape[1],
        "height": patch.labels.shape[0],
        "labels": base64.b64encode(pack(patch.labels.astype("<u2"))).decode(),
        "instances": described(change.instances),
        "note": f"{change.what}.",
    }


def _instances(given: object, picture: EditedImage) -> dict[int, Instance]:
    """Read what the browser says of instances; what it does not know of them stays."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InputError(DAMAGED)
    known = picture.instances
    read = {}
    for key, said in given.items():
        category = said.get("class")
        read[int(key)] = replace(
            known.get(int(key), Instance()),
            category=None if category is None else int(category),
            hidden=bool(said.get("hidden")),
            locked=bool(said.get("locked")),
        )
    if any(not 0 < number < 2**16 for number in read):
        raise InputError(DAMAGED)
    if any(i.category is not None and not 0 <= i.category < 2**31 for i in read.values()):
        raise InputError(DAMAGED)
    return read


def _bytes(text: object) -> bytes:
    if not isinstance(text, str) or len(text) > LARGEST_PACKET:
        raise InputError(DAMAGED)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InputError(DAMAGED) from error
