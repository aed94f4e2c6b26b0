"""Sessions: the images of one annotator, on disk, found again by a secret token."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

from segdemo.datatypes import InputError, InstanceMasks
from segdemo.editing.image import EditedImage, EditLockLostError, Summary
from segdemo.editing.masks import flatten_masks
from segdemo.files import write_json

LIFETIME = 24 * 3600  # seconds without an edit
MAX_IMAGES = 200  # a session
KEPT_OPEN = 16  # images in memory, over all sessions
TOKEN = re.compile(r"[\w-]{22}", re.ASCII)
EXPIRED = "That work is not here any more: it is kept for a day after the last edit."


class Session:
    """Images in the order they were opened, and the classes their instances may have.

    token: what the annotator's browser proves itself with. classes: names by number.
    """

    def __init__(self, folder: Path, store: SessionStore) -> None:
        """Open a session's folder; raises InputError when it is gone."""
        self.token = folder.name
        self._folder, self._store = folder, store
        self._lock = threading.Lock()
        try:
            meta = json.loads((folder / "session.json").read_text())
        except (OSError, ValueError) as error:
            raise EditLockLostError(EXPIRED) from error
        self.names: list[str] = meta["names"]
        self.classes: dict[int, str] = {int(k): v for k, v in meta["classes"].items()}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    def add(self, name: str, masks: InstanceMasks, files: Mapping[str, Path]) -> list[str]:
        """Add an image called `name`; returns what was left out, in sentences.

        files: what to keep copies of beside it, such as the photo, by the name that `file` takes.
        A class that the session knows under another number gets that number. Raises InputError.
        """
        with self._lock:
            if len(self.names) >= MAX_IMAGES:
                raise InputError(f"A session holds at most {MAX_IMAGES} images.")
            if name in self.names:
                raise InputError(f"{name} is open already: give the other photo another name.")
            labels, known, losses = flatten_masks(self._with_own_classes(masks))
            index = len(self.names)
            place = self._place(index)
            shutil.rmtree(place, ignore_errors=True)  # of an addition that was cut short
            EditedImage.create(place, name, labels, known)
            for kept, path in files.items():
                shutil.copyfile(path, place / kept)
            self.names.append(name)
            self._save()
            return losses

    def image(self, index: int) -> EditedImage:
        """Return an image; the same object to all who ask. Raises InputError."""
        if not 0 <= index < len(self.names):
            raise InputError("There is no such image in this session.")
        return self._store.opened(self._place(index))

    def summary(self, index: int) -> Summary:
        """Summarise an image without reading its pixels."""
        return EditedImage.summary(self._place(index))

    def file(self, index: int, kept: str) -> Path:
        """Return one of the files that `add` was given."""
        return self._place(index) / kept

    def name_classes(self, classes: Mapping[int, str]) -> None:
        """Add classes or give them other names."""
        with self._lock:
            self.classes |= classes
            self._save()

    def _with_own_classes(self, masks: InstanceMasks) -> InstanceMasks:
        """Give each class the number that the session has for its name, or a free one."""
        if masks.category_ids is None:
            return masks
        number_of = {name: number for number, name in self.classes.items()}
        used = {int(n) for n in np.unique(masks.category_ids)}
        renumber = {}
        for old in sorted({*masks.names, *used}):
            name = masks.names.get(old, f"class {old}")
            if name not in number_of:
                free = old if old not in self.classes else max(self.classes) + 1
                number_of[name] = free
                self.classes[free] = name
            renumber[old] = number_of[name]
        ids = np.array([renumber[int(n)] for n in masks.category_ids], np.int64)
        return replace(masks, category_ids=ids, names=self.classes)

    def _place(self, index: int) -> Path:
        return self._folder / f"{index:04d}"

    def _save(self) -> None:
        write_json({"names": self.names, "classes": self.classes}, self._folder / "session.json")


class SessionStore:
    """All sessions below one folder, which only its owner can read."""

    def __init__(self, root: Path, lifetime: float = LIFETIME) -> None:
        """Use a folder, which is made when needed; raises InputError where that fails."""
        self._root, self._lifetime = root, lifetime
        self._lock = threading.Lock()
        self._sessions: WeakValueDictionary[str, Session] = WeakValueDictionary()
        # one object an image, so that its lock counts: the last few, and all that are in use
        self._recent: OrderedDict[Path, EditedImage] = OrderedDict()
        self._in_use: WeakValueDictionary[Path, EditedImage] = WeakValueDictionary()
        try:
            root.mkdir(parents=True, exist_ok=True)
            root.chmod(0o700)
        except OSError as error:
            raise InputError(f"{root} cannot be written: give another folder.") from error

    def create(self) -> Session:
        """Create a session; expired ones are deleted."""
        self.tidy()
        token = secrets.token_urlsafe(16)
        folder = self._root / token
        folder.mkdir(mode=0o700)
        (folder / "session.json").write_text(json.dumps({"names": [], "classes": {}}))
        return self.open(token)

    def open(self, token: str) -> Session:
        """Find a session again; raises EditLockLostError for a token that is unknown or too old."""
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise EditLockLostError(EXPIRED)
        if self._expired(self._root / token):
            raise EditLockLostError(EXPIRED)
        with self._lock:
            session = self._sessions.get(token)
            if session is None:
                session = self._sessions[token] = Session(self._root / token, self)
        (self._root / token / "session.json").touch()
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

    def tidy(self) -> None:
        """Delete sessions whose last use is longer ago than their lifetime."""
        for folder in self._root.iterdir():
            if self._expired(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def _expired(self, folder: Path) -> bool:
        try:
            return time.time() - (folder / "session.json").stat().st_mtime > self._lifetime
        except OSError:  # not there, or on its way out
            return False
