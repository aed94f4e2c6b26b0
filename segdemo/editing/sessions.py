"""Sessions: the images of one annotator, on disk, found again by a secret token."""

from __future__ import annotations

import json
import logging
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from segdemo.annotations import Instances
from segdemo.datatypes import InputError
from segdemo.editing import journal, storage
from segdemo.editing.image import EditedImage, EditLockLostError
from segdemo.editing.masks import add_instances, flatten_masks
from segdemo.editing.storage import Summary

logger = logging.getLogger(__name__)

DAY = 24 * 3600.0  # seconds
UNFINISHED = 3600  # seconds after which a file that was being written never will be
MAX_IMAGES = 200  # a session
KEPT_OPEN = 16  # images in memory, over all sessions
META = "session.json"
TOKEN = re.compile(r"[\w-]{22}", re.ASCII)
NO_IMAGE = "There is no such image in this session."
EXPIRED = "That work is not here any more: it was deleted, or the server uses another folder."


class Session:
    """Images in the order they were opened, and the classes their instances may have.

    names: by index, "" for an image that was removed. title: what its annotator calls it.
    token: what the annotator's browser proves itself with. classes: names by number. stuff: numbers
    of the classes without instances, which RIP leaves alone.
    """

    def __init__(self, folder: Path, store: SessionStore) -> None:
        """Open a session's folder; raises InputError when it is gone."""
        self.token = folder.name
        self._folder, self._store = folder, store
        self._lock = threading.Lock()
        meta = _read_meta(folder)
        self.names: list[str] = meta["names"]
        self.title: str = str(meta.get("title", ""))
        self.classes: dict[int, str] = {int(k): v for k, v in meta["classes"].items()}
        self.stuff: frozenset[int] = frozenset(map(int, meta.get("stuff", ())))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.indices)

    @property
    def indices(self) -> list[int]:
        """The indices of its images: those of removed ones are not given again."""
        return [index for index, name in enumerate(self.names) if name]

    @property
    def used(self) -> float:
        """When it was used last, in seconds since 1970."""
        return (self._folder / META).stat().st_mtime

    def add(
        self,
        name: str,
        masks: Instances,
        files: Mapping[str, Path],
        stuff: Collection[str] = (),
    ) -> list[str]:
        """Add an image called `name`; returns what was left out, in sentences.

        files: what to keep copies of beside it, such as the photo, by the name that `file` takes.
        stuff: names of classes without instances.
        A class that the session knows under another number gets that number. Raises InputError.
        """
        with self._lock:
            if len(self) >= MAX_IMAGES:
                raise InputError(f"A session holds at most {MAX_IMAGES} images.")
            if name in self.names:
                raise InputError(f"{name} is open already: give the other photo another name.")
            known_classes = dict(self.classes)
            own = renumber_classes(known_classes, masks)
            labels, known, losses = flatten_masks(own)
            index = len(self.names)
            place = self._place(index)
            shutil.rmtree(place, ignore_errors=True)  # of an addition that was cut short
            EditedImage.create(place, name, labels, known)
            for kept, path in files.items():
                with journal.durable_write(place / kept) as stream, path.open("rb") as source:
                    shutil.copyfileobj(source, stream)
            self._save([*self.names, name], known_classes, stuff=stuff)
            return losses

    def image(self, index: int) -> EditedImage:
        """Return an image; the same object to all who ask. Raises InputError."""
        if not (0 <= index < len(self.names) and self.names[index]):
            raise InputError(NO_IMAGE)
        return self._store.opened(self._place(index))

    def take(self, index: int) -> str:
        """Let one page change an image from now on; returns what it must show for it.

        Raises InputError.
        """
        return self.image(index).take_lease()

    def hold(self, index: int, lease: object) -> EditedImage:
        """Return an image to the page that has it; raises EditLockLostError for another page."""
        picture = self.image(index)
        picture.check_lease(lease)
        return picture

    def summary(self, index: int) -> Summary:
        """Summarise an image without reading its pixels; for a damaged one too."""
        return storage.summary(self._place(index), self.names[index])

    def file(self, index: int, kept: str) -> Path:
        """Return one of the files that `add` was given."""
        return self._place(index) / kept

    def add_masks(self, index: int, masks: Instances, stuff: Collection[str] = ()) -> list[str]:
        """Add instances to an image as one edit, where it has none yet. stuff: see `add`.

        Returns what was left out, in sentences. Raises InputError.
        """
        with self._lock:
            known_classes = dict(self.classes)
            labels, known, losses = flatten_masks(renumber_classes(known_classes, masks))
            if known_classes != self.classes or stuff:
                self._save(self.names, known_classes, stuff=stuff)
        return losses + add_instances(self.image(index), labels, known)

    def remove(self, index: int) -> None:
        """Remove an image with its masks; raises InputError where there is none."""
        with self._lock:
            if index not in self.indices:
                raise InputError(NO_IMAGE)
            names = ["" if place == index else name for place, name in enumerate(self.names)]
            self._save(names, self.classes)
        self._store.forget(self._place(index))
        shutil.rmtree(self._place(index), ignore_errors=True)

    def rename(self, title: str) -> None:
        """Call the session something else."""
        with self._lock:
            self._save(self.names, self.classes, title)

    def name_classes(self, classes: Mapping[int, str]) -> None:
        """Add classes or give them other names; a class whose name is "" is removed."""
        with self._lock:
            named = {n: name for n, name in (self.classes | dict(classes)).items() if name}
            self._save(self.names, named)

    def _place(self, index: int) -> Path:
        return self._folder / f"{index:04d}"

    def _save(
        self,
        names: list[str],
        classes: dict[int, str],
        title: str | None = None,
        stuff: Collection[str] = (),
    ) -> None:
        """Write the session's own facts, and know them once they are written; raises OSError."""
        title = self.title if title is None else title
        added = {number for number, name in classes.items() if name in stuff}
        without_instances = self.stuff | added
        meta = {
            "names": names,
            "classes": classes,
            "title": title,
            "stuff": sorted(without_instances),
        }
        with journal.durable_write(self._folder / META) as stream:
            stream.write(json.dumps(meta).encode())
        self.names, self.classes, self.title = names, classes, title
        self.stuff = without_instances


def _read_meta(folder: Path) -> dict[str, Any]:
    """Read a session's facts, or put them together from its images where they are damaged."""
    try:
        meta = json.loads((folder / META).read_text())
        if isinstance(meta["names"], list) and isinstance(meta["classes"], dict):
            return dict(meta)
    except OSError as error:
        raise EditLockLostError(EXPIRED) from error
    except (ValueError, KeyError, TypeError):
        logger.warning("a session's list of images was damaged: rebuilt from its folders")
    places = sorted(place for place in folder.iterdir() if re.fullmatch(r"\d{4}", place.name))
    names = [f"image {number + 1}" for number in range(int(places[-1].name) + 1 if places else 0)]
    for place in places:
        header = journal.last_header(place / storage.WHOLE)
        if header is not None:
            names[int(place.name)] = str(header.get("name"))
    names = [
        name if (folder / f"{number:04d}").is_dir() else "" for number, name in enumerate(names)
    ]
    return {"names": names, "classes": {}}


def renumber_classes(classes: dict[int, str], masks: Instances) -> Instances:
    """Give each class the number that `classes` has for its name, or a free one, which is added."""
    if masks.category_ids is None:
        return masks
    number_of = {name: number for number, name in classes.items()}
    used = {int(n) for n in np.unique(masks.category_ids)}
    renumber = {}
    for old in sorted({*masks.names, *used}):
        name = masks.names.get(old, f"class {old}")
        if name not in number_of:
            free = old if old not in classes else max(classes) + 1
            number_of[name] = free
            classes[free] = name
        renumber[old] = number_of[name]
    ids = np.array([renumber[int(n)] for n in masks.category_ids], np.int64)
    return replace(masks, category_ids=ids, names=classes)


class SessionStore:
    """All sessions below one folder, each of which only its owner can read."""

    def __init__(self, root: Path, lifetime: float | None = None) -> None:
        """Use a folder, which is made when needed; raises InputError where that fails.

        lifetime: seconds after the last use, None for ever.
        """
        self.root, self.lifetime = root, lifetime
        self._lock = threading.Lock()
        self._sessions: WeakValueDictionary[str, Session] = WeakValueDictionary()
        # one object an image, so that its lock counts: the last few, and all that are in use
        self._recent: OrderedDict[Path, EditedImage] = OrderedDict()
        self._in_use: WeakValueDictionary[Path, EditedImage] = WeakValueDictionary()
        try:
            self._make_root()
            self._delete_unfinished()
        except OSError as error:
            raise InputError(f"{root} cannot be written: give another folder.") from error

    def create(self) -> Session:
        """Create a session; expired ones are deleted."""
        self._make_root()  # somebody may have deleted it
        self.tidy()
        token = secrets.token_urlsafe(16)
        folder = self.root / token
        folder.mkdir(mode=0o700)
        with journal.durable_write(folder / META) as stream:
            stream.write(json.dumps({"names": [], "classes": {}}).encode())
        return self.open(token)

    def open(self, token: str) -> Session:
        """Find a session again, which counts as use; raises EditLockLostError as `find` does."""
        session = self.find(token)
        (self.root / token / META).touch()
        return session

    def open_or_create(self, token: str) -> Session:
        """Find a session again; a new one for a token that is empty, unknown or too old."""
        try:
            return self.open(token)
        except EditLockLostError:
            return self.create()

    def find(self, token: str) -> Session:
        """Find a session; raises EditLockLostError for a token that is unknown or too old."""
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise EditLockLostError(EXPIRED)
        if self._expired(self.root / token):
            raise EditLockLostError(EXPIRED)
        with self._lock:
            session = self._sessions.get(token)
            if session is None:
                session = self._sessions[token] = Session(self.root / token, self)
        if not (self.root / token).is_dir():  # deleted under a page
            raise EditLockLostError(EXPIRED)
        return session

    def opened(self, place: Path) -> EditedImage:
        """Return the image of a folder, from memory where it is in use or was lately."""
        with self._lock:
            image = self._in_use.get(place)
            if image is None:
                image = self._in_use[place] = EditedImage(place)
            self._recent[place] = image
            self._recent.move_to_end(place)
            while len(self._recent) > KEPT_OPEN:
                self._recent.popitem(last=False)
            return image

    def delete(self, token: str) -> None:
        """Delete a session with all its images; raises EditLockLostError for an unknown token."""
        self.open(token)
        with self._lock:
            self._sessions.pop(token, None)
            for place in [place for place in self._recent if place.parent.name == token]:
                del self._recent[place]
        shutil.rmtree(self.root / token, ignore_errors=True)

    def forget(self, place: Path) -> None:
        """Keep an image that was removed in memory no longer."""
        with self._lock:
            self._recent.pop(place, None)
            self._in_use.pop(place, None)

    def tidy(self) -> None:
        """Delete sessions whose last use is longer ago than their lifetime."""
        for folder in self.root.iterdir():
            if TOKEN.fullmatch(folder.name) and self._expired(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def _make_root(self) -> None:
        """Make the folder for its owner alone; one that is there keeps its mode."""
        if not self.root.is_dir():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _delete_unfinished(self) -> None:
        """Delete what a server was writing when it was killed."""
        for pattern in ("*/.*.part", "*/*/.*.part"):
            for file in self.root.glob(pattern):
                with suppress(OSError):
                    if time.time() - file.stat().st_mtime > UNFINISHED:
                        file.unlink()

    def _expired(self, folder: Path) -> bool:
        if self.lifetime is None:
            return False
        try:
            return time.time() - (folder / META).stat().st_mtime > self.lifetime
        except OSError:  # not there, or on its way out
            return False
