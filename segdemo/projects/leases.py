"""Who has which image open: a lease that one annotator holds, and that ends when it is not kept.

They lie in the project's database, so they hold between the threads and processes that serve it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from segdemo.datatypes import InputError
from segdemo.projects.board import OPEN_STATES
from segdemo.projects.database import Database

SECONDS = 120.0  # a lease lasts unless it is kept; the page does so three times in this time
TOKEN_BYTES = 16


class LeaseTakenError(InputError):
    """Somebody else has the image open."""


@dataclass(frozen=True)
class Lease:
    """who: the annotator's name. token: of the page that has it open. until: since 1970."""

    image: int
    who: str
    token: str
    until: float


class Leases:
    """The leases of a project. An annotator may take an image over from another page of theirs."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Read and write a project's database. clock: seconds since 1970."""
        self._database, self._clock = database, clock
        self._tokens: set[str] = set()  # of pages that this process serves

    def take(self, image: int, who: str, token: str) -> None:
        """Lease an image to a page; raises LeaseTakenError where somebody else has it."""
        with self._database.writing() as write:
            holder = self.holder(image)
            if holder is not None and holder.who != who:
                raise LeaseTakenError(f"{holder.who} has this image open: take another one.")
            write.execute(
                "INSERT OR REPLACE INTO leases (image, who, token, until) VALUES (?, ?, ?, ?)",
                (image, who, token, self._clock() + SECONDS),
            )
        self._tokens.add(token)

    def take_next(self, who: str, token: str, after: str = "") -> int | None:
        """Lease the next image that needs work and that nobody else has; None for no more.

        after: the name of the image to go on from; at the end it begins again at the first. Images
        that a reviewer sent back come in their order, as the others.
        """
        with self._database.writing():
            found = self.peek_next(who, after)
            if found is not None:
                self.take(found, who, token)
        return found

    def peek_next(self, who: str, after: str = "") -> int | None:
        """Return the image that `take_next` would lease."""
        states = ", ".join(f"'{state}'" for state in OPEN_STATES)
        row = self._database.row(
            f"SELECT id FROM images WHERE present AND state IN ({states}) AND name <> ?1 "
            "AND id NOT IN (SELECT image FROM leases WHERE until > ?2 AND who <> ?3) "
            "ORDER BY name <= ?1, name LIMIT 1",
            (after, self._clock(), who),
        )
        return None if row is None else int(row["id"])

    def keep(self, image: int, who: str, token: str) -> None:
        """Keep a lease, or take it again where nobody has meanwhile; raises LeaseTakenError."""
        with self._database.writing():
            holder = self.holder(image)
            if holder is not None and holder.token != token and holder.who == who:
                raise LeaseTakenError("You opened this image in another tab: go on there.")
            self.take(image, who, token)

    def release(self, token: str, image: int | None = None) -> None:
        """Give up what a page has open, or one image of it."""
        query, values = "DELETE FROM leases WHERE token = ?", [token]
        if image is not None:
            query, values = query + " AND image = ?", [token, str(image)]
        with self._database.writing() as write:
            write.execute(query, values)

    def release_all(self) -> None:
        """Give up what the pages of this process have open: nobody can edit by it any more."""
        for token in self._tokens:
            self.release(token)
        self._tokens.clear()

    def holder(self, image: int) -> Lease | None:
        """Return who has an image now."""
        row = self._database.row(
            "SELECT * FROM leases WHERE image = ? AND until > ?", (image, self._clock())
        )
        return None if row is None else Lease(**dict(row))

    def all(self) -> list[Lease]:
        """Return the leases that hold now."""
        rows = self._database.rows("SELECT * FROM leases WHERE until > ?", (self._clock(),))
        return [Lease(**dict(row)) for row in rows]


class Annotators:
    """Names by the tokens that their pages prove themselves with, known to all processes."""

    def __init__(self, database: Database) -> None:
        """Read and write a project's database."""
        self._database = database

    def enter(self, name: str) -> str:
        """Let a page work under a name; returns its token. Raises InputError without a name."""
        name = " ".join(name.split())[:60]
        if not name:
            raise InputError("Say your name first: your work is noted under it.")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._database.writing() as write:
            write.execute("INSERT INTO annotators VALUES (?, ?, ?)", (token, name, time.time()))
        return token

    def name(self, token: str) -> str | None:
        """Return whose token it is, None for nobody's."""
        row = self._database.row("SELECT name FROM annotators WHERE token = ?", (token,))
        return None if row is None else str(row["name"])

    def names(self) -> list[str]:
        """Return all names that ever worked here."""
        rows = self._database.rows("SELECT DISTINCT name FROM annotators ORDER BY name")
        return [str(row["name"]) for row in rows]
