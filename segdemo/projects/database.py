"""The project's SQLite file: one connection a process, shared by threads and other processes."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segdemo.datatypes import InputError

logger = logging.getLogger(__name__)

VERSION = 1
PATIENCE = 20.0  # seconds that a process waits for another one's transaction
FILE = "project.sqlite"

SCHEMA = """
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,           -- path below the project's folder, with slashes
    result TEXT NOT NULL UNIQUE,         -- path of its result below `annotations`, without ending
    present INTEGER NOT NULL DEFAULT 1,  -- whether the folder had it when it was opened last
    state TEXT NOT NULL DEFAULT 'new',
    count INTEGER NOT NULL DEFAULT 0,    -- of instances
    note TEXT NOT NULL DEFAULT '',       -- of the reviewer who sent it back
    who TEXT NOT NULL DEFAULT '',        -- who worked on it last
    changed REAL NOT NULL DEFAULT 0,     -- seconds since 1970
    unsaved INTEGER NOT NULL DEFAULT 0   -- whether the journal is ahead of the result
);
CREATE INDEX images_by_state ON images (state, present);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, image INTEGER, what TEXT NOT NULL
);
CREATE INDEX events_by_image ON events (image);
CREATE TABLE annotators (token TEXT PRIMARY KEY, name TEXT NOT NULL, used REAL NOT NULL);
CREATE TABLE leases (
    image INTEGER PRIMARY KEY, who TEXT NOT NULL, token TEXT NOT NULL, until REAL NOT NULL
);
CREATE TABLE tasks (
    image INTEGER NOT NULL, kind TEXT NOT NULL, settings TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'waiting', said TEXT NOT NULL DEFAULT '',
    urgent REAL NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '', until REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (image, kind)
);
CREATE TABLE taken (
    image INTEGER PRIMARY KEY, source TEXT NOT NULL, kind TEXT NOT NULL, content BLOB NOT NULL,
    boxes INTEGER NOT NULL               -- without masks
);
CREATE TABLE sources (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL, said TEXT NOT NULL, shared TEXT NOT NULL
);
CREATE TABLE thumbnails (image INTEGER PRIMARY KEY, stamp TEXT NOT NULL, jpeg BLOB NOT NULL);
"""

Row = sqlite3.Row


class Database:
    """A project's SQLite file in WAL mode; methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Open the file in a folder, or make it; one that is damaged is moved aside.

        Raises InputError where it cannot be written or is of a later version.
        """
        self.path = folder / FILE
        self._lock = threading.RLock()
        try:
            folder.mkdir(exist_ok=True)
            try:
                self._connection = _connect(self.path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._set_aside()
                self._connection = _connect(self.path)
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"{self.path} cannot be written ({getattr(error, 'strerror', None) or error}): a "
                "project needs a folder on a local disk that you may write to."
            ) from error

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run a query that reads."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> Row | None:
        """Run a query that reads; the first row or None."""
        with self._lock:
            found: Row | None = self._connection.execute(query, values).fetchone()
            return found

    def count(self, query: str, values: Sequence[Any] = ()) -> int:
        """Run a query that counts."""
        row = self.row(query, values)
        return 0 if row is None else int(row[0] or 0)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction, alone among all processes; it is undone where something raises."""
        with self._lock:
            if self._connection.in_transaction:  # inside another one of this thread
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.commit()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _set_aside(self) -> None:
        mark = time.strftime("damaged-%Y%m%d-%H%M%S")
        logger.warning("%s is damaged: it was moved aside, and states begin again", self.path)
        for ending in ("", "-wal", "-shm"):
            file = self.path.with_name(FILE + ending)
            if file.exists():
                file.rename(file.with_name(f"{FILE}.{mark}{ending}"))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        # of a power cut it may lose the last states, never masks: those are files of their own
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.commit()
        if version > VERSION:
            raise InputError(f"{path} is of a later segdemo: update this one.")
    except BaseException:
        connection.close()
        raise
    return connection
