"""Work that waits for a program rather than a person: one task an image and kind, in the database.

Whoever claims a task has it for a while; of a program that was killed others take it up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from segdemo.datatypes import InputError
from segdemo.projects.database import Database

TaskKind = Literal["edges", "propose", "boxes", "rip"]
"""edges: find them. propose: first masks. boxes: a mask in each box found. rip: proposals of splits
and merges, which a person decides on. In this order: the later need the earlier."""
KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
SECONDS = 600.0  # a claim lasts

WAITING, DONE, FAILED, SEEN = "waiting", "done", "failed", "seen"


@dataclass(frozen=True)
class Task:
    """settings: what the kind needs, such as the edge source or the method, as text."""

    image: int
    kind: TaskKind
    settings: str


class Tasks:
    """The tasks of a project."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        """Read and write a project's database. clock: seconds since 1970."""
        self._database, self._clock = database, clock

    def add(self, kind: TaskKind, images: Iterable[int], settings: str = "") -> int:
        """Ask for something of images that have not got it with these settings; returns how many.

        Raises InputError for another kind.
        """
        if kind not in KINDS:
            raise InputError(f"{kind} is not done for all: choose one of {', '.join(KINDS)}.")
        added = 0
        with self._database.writing() as write:
            for image in images:
                cursor = write.execute(
                    "INSERT INTO tasks (image, kind, settings) VALUES (?1, ?2, ?3) "
                    "ON CONFLICT (image, kind) DO UPDATE SET settings = ?3, state = 'waiting', "
                    "said = '', until = 0 WHERE settings <> ?3 OR state IN ('failed', 'seen')",
                    (image, kind, settings),
                )
                added += cursor.rowcount
        return added

    def claim(self, worker: str) -> Task | None:
        """Take the next task that nobody has: what an annotator needs first, then by name."""
        order = " ".join(f"WHEN '{kind}' THEN {place}" for place, kind in enumerate(KINDS))
        with self._database.writing() as write:
            row = write.execute(
                "SELECT tasks.* FROM tasks JOIN images ON images.id = tasks.image "
                "WHERE tasks.state = 'waiting' AND until <= ? AND present "
                f"ORDER BY urgent DESC, CASE kind {order} END, name LIMIT 1",
                (self._clock(),),
            ).fetchone()
            if row is None:
                return None
            task = Task(int(row["image"]), row["kind"], row["settings"])
            self._set(task, worker=worker, until=self._clock() + SECONDS)
        return task

    def finish(self, task: Task, said: str, state: str = DONE) -> None:
        """Note what became of a task."""
        self._set(task, state=state, said=said)

    def postpone(self, task: Task, seconds: float) -> None:
        """Let a task wait: an annotator has its image."""
        self._set(task, until=self._clock() + seconds)

    def urge(self, image: int) -> None:
        """Let an image's tasks come next: an annotator will open it."""
        with self._database.writing() as write:
            write.execute(
                "UPDATE tasks SET urgent = ? WHERE image = ? AND state = 'waiting'",
                (self._clock(), image),
            )

    def seen(self, image: int) -> None:
        """Note that an annotator has an image open with what was prepared for it."""
        with self._database.writing() as write:
            write.execute(
                "UPDATE tasks SET state = 'seen' WHERE image = ? AND state = 'done'", (image,)
            )

    def stop(self, kind: TaskKind | None = None) -> None:
        """Take back what waits, of one kind or all."""
        with self._database.writing() as write:
            write.execute(
                "DELETE FROM tasks WHERE state = 'waiting' AND (?1 IS NULL OR kind = ?1)", (kind,)
            )

    def counts(self) -> dict[TaskKind, dict[str, int]]:
        """Return how many tasks are in each state, by kind, of those that have some.

        done: prepared, and waiting for an annotator. seen: an annotator has opened it.
        """
        found: dict[TaskKind, dict[str, int]] = {}
        query = (
            "SELECT kind, tasks.state AS state, count(*) AS count FROM tasks "
            "JOIN images ON images.id = tasks.image WHERE present GROUP BY kind, tasks.state"
        )
        for row in self._database.rows(query):
            kind = found.setdefault(row["kind"], dict.fromkeys((WAITING, DONE, FAILED, SEEN), 0))
            kind[row["state"]] = int(row["count"])
        return {kind: found[kind] for kind in KINDS if kind in found}

    def failures(self, most: int = 20) -> list[str]:
        """Return why tasks failed, a sentence each."""
        query = "SELECT said FROM tasks WHERE state = 'failed' LIMIT ?"
        return [str(row["said"]) for row in self._database.rows(query, (most,))]

    def _set(self, task: Task, **values: object) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        with self._database.writing() as write:
            write.execute(
                f"UPDATE tasks SET {names} WHERE image = ? AND kind = ?",
                (*values.values(), task.image, task.kind),
            )
