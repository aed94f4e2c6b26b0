"""The project's board: its images with their states, filtered, searched and counted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from segdemo.datatypes import InputError
from segdemo.projects.database import Database, Row

State = Literal["new", "in work", "checked", "rejected"]
"""rejected: a reviewer sent it back with a note."""
STATES: tuple[State, ...] = get_args(State)
OPEN_STATES = ("rejected", "in work", "new")  # images that somebody has to work on
MASKS_UNCOUNTED = -1  # masks were found and not looked into yet

_COLUMNS = "id, name, result, state, count, note, who, changed, unsaved"


@dataclass(frozen=True)
class ImageRecord:
    """What the database knows of an image; changed: seconds since 1970, 0 for never.

    result: path of its result below `annotations`, without ending. count: of instances, or
    `MASKS_UNCOUNTED`. unsaved: whether its journal is ahead of its result.
    """

    id: int
    name: str
    result: str
    state: State
    count: int
    note: str
    who: str
    changed: float
    unsaved: bool


@dataclass(frozen=True)
class Page:
    """Some rows of the board; total: of all that fit filter and search. number: from 0."""

    rows: list[ImageRecord]
    number: int
    total: int


class Board:
    """Images by id, in the order of their names."""

    def __init__(self, database: Database) -> None:
        """Read and write a project's database."""
        self._database = database

    def register(self, results: Mapping[str, str]) -> list[ImageRecord]:
        """Make known which images the folder has; returns those that are new.

        results: each image's result by its name. Images that are gone keep what is known of them,
        and are not shown.
        """
        with self._database.writing() as write:
            known = {row["name"]: row["present"] for row in write.execute("SELECT * FROM images")}
            taken = {row["result"] for row in write.execute("SELECT result FROM images")}
            fresh = [name for name in results if name not in known]
            for name in fresh:
                # an image that came later may have the stem of one whose result has a name already
                result = results[name] if results[name] not in taken else name
                taken.add(result)
                write.execute("INSERT INTO images (name, result) VALUES (?, ?)", (name, result))
            changed = [(int(name in results), name) for name, present in known.items()]
            write.executemany(
                "UPDATE images SET present = ?1 WHERE name = ?2 AND present <> ?1", changed
            )
        added = set(fresh)
        return [record for record in self.all() if record.name in added]

    def get(self, image: int) -> ImageRecord:
        """Return an image; raises InputError for an unknown one."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM images WHERE id = ?", (image,))
        if row is None:
            raise InputError("There is no such image in this project.")
        return _record(row)

    def all(self, states: Iterable[State] = STATES) -> list[ImageRecord]:
        """Return the images that are in the folder and in one of the states."""
        return [
            _record(row)
            for row in self._database.rows(
                f"SELECT {_COLUMNS} FROM images WHERE present AND state IN {_marks(states)} "
                "ORDER BY name",
                tuple(states),
            )
        ]

    def find(self, name: str) -> ImageRecord | None:
        """Return the image of a name."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM images WHERE name = ?", (name,))
        return None if row is None else _record(row)

    def unsaved(self) -> list[ImageRecord]:
        """Return the images whose journal is ahead of their result."""
        query = f"SELECT {_COLUMNS} FROM images WHERE unsaved AND present"
        return [_record(row) for row in self._database.rows(query)]

    def page(
        self, size: int, number: int = 0, states: Iterable[State] = STATES, search: str = ""
    ) -> Page:
        """Return one page of those in some states whose name holds a text, capitals aside."""
        where, values = _where(states, search)
        total = self._database.count(f"SELECT count(*) FROM images WHERE {where}", values)
        number = max(0, min(number, (total - 1) // size))
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM images WHERE {where} ORDER BY name LIMIT ? OFFSET ?",
            (*values, size, number * size),
        )
        return Page([_record(row) for row in rows], number, total)

    def place(self, name: str, states: Iterable[State] = STATES, search: str = "") -> int:
        """Return how many of them are before a name."""
        where, values = _where(states, search)
        query = f"SELECT count(*) FROM images WHERE {where} AND name < ?"
        return self._database.count(query, (*values, name))

    def neighbour(self, name: str, by: int) -> ImageRecord | None:
        """Return the image after (by > 0) or before a name, None at the end."""
        after, order = (">", "ASC") if by > 0 else ("<", "DESC")
        row = self._database.row(
            f"SELECT {_COLUMNS} FROM images WHERE present AND name {after} ? "
            f"ORDER BY name {order} LIMIT 1",
            (name,),
        )
        return None if row is None else _record(row)

    def counts(self) -> dict[State, int]:
        """Return how many images are in each state."""
        query = "SELECT state, count(*) AS count FROM images WHERE present GROUP BY state"
        found = {row["state"]: row["count"] for row in self._database.rows(query)}
        return {state: int(found.get(state, 0)) for state in STATES}

    def set(self, image: int, **values: object) -> None:
        """Change columns of an image."""
        names = ", ".join(f"{name} = ?" for name in values)
        with self._database.writing() as write:
            write.execute(f"UPDATE images SET {names} WHERE id = ?", (*values.values(), image))

    def log(self, who: str, what: str, image: int | None = None) -> None:
        """Note who did what, now."""
        with self._database.writing() as write:
            write.execute(
                "INSERT INTO events (at, who, image, what) VALUES (?, ?, ?, ?)",
                (time.time(), who, image, what),
            )

    def log_edit(self, who: str, image: int) -> None:
        """Note that somebody edits an image: one line as long as nothing else happens to it."""
        with self._database.writing() as write:
            last = write.execute(
                "SELECT id, who, what FROM events WHERE image = ? ORDER BY id DESC LIMIT 1",
                (image,),
            ).fetchone()
            if last is not None and (last["who"], last["what"]) == (who, "edited"):
                write.execute("UPDATE events SET at = ? WHERE id = ?", (time.time(), last["id"]))
            else:
                self.log(who, "edited", image)

    def events(self, image: int | None = None, most: int = 100) -> list[Row]:
        """Return the last things that were done: at, who, image (its name), what."""
        where = "" if image is None else "WHERE events.image = ?"
        values = () if image is None else (image,)
        return self._database.rows(
            "SELECT events.at, events.who, images.name AS image, events.what FROM events "
            f"LEFT JOIN images ON images.id = events.image {where} ORDER BY events.id DESC LIMIT ?",
            (*values, most),
        )


def _where(states: Iterable[State], search: str) -> tuple[str, tuple[object, ...]]:
    chosen = tuple(states)
    where = f"present AND state IN {_marks(chosen)}"
    if not search:
        return where, chosen
    return f"{where} AND instr(lower(name), lower(?)) > 0", (*chosen, search)


def _marks(values: Iterable[object]) -> str:
    return f"({', '.join('?' for _ in values)})"


def _record(row: Row) -> ImageRecord:
    fields = dict(row)
    return ImageRecord(**(fields | {"unsaved": bool(fields["unsaved"])}))
