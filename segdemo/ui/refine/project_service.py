"""What the page asks of a project between events: its list, thumbnails, leases, sending back."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, get_args

from segdemo.datatypes import InputError
from segdemo.editing.sessions import SessionStore
from segdemo.projects.board import STATES, ImageRecord, State
from segdemo.rip.settings import PRESETS
from segdemo.ui.refine.project_session import ProjectSession, ProjectStore

Request = dict[str, Any]
Answer = dict[str, Any]

ROWS = 40  # of the list at once
MOST_THUMBNAILS = 10  # in one answer
LONGEST_NOTE = 500  # characters


class ProjectService:
    """Server functions of the mask editor for a project; each takes and returns one dict."""

    def __init__(self, store: SessionStore) -> None:
        """Serve the project of a store, if it has one."""
        self._store = store

    @property
    def functions(self) -> list[Callable[[Request], Answer]]:
        """The functions that the browser may call, by their names."""
        return [
            self.list_images,
            self.thumbnails,
            self.keep_lease,
            self.send_back,
            self.tasks,
            self.start_all,
            self.stop_all,
        ]

    def list_images(self, request: Request) -> Answer:
        """Return one page of the list: that with an image on it, or by its number."""
        session = self._session(request)
        board = session.project.board
        states = _states(request.get("state"))
        search = str(request.get("search") or "")[:LONGEST_NOTE]
        number = request.get("page")
        if number is None:
            record = board.get(int(request["picture"]))
            number = board.place(record.name, states, search) // ROWS
        page = board.page(ROWS, int(number), states, search)
        holders = {lease.image: lease.who for lease in session.project.leases.all()}
        return {
            "rows": [_row(record, holders.get(record.id), session.who) for record in page.rows],
            "page": page.number,
            "pages": max(1, -(-page.total // ROWS)),
            "total": page.total,
            "counts": board.counts(),
        }

    def thumbnails(self, request: Request) -> Answer:
        """Return small pictures of some images, as data addresses by index."""
        project = self._session(request).project
        found = {}
        for image in [int(number) for number in request["pictures"]][:MOST_THUMBNAILS]:
            with suppress(InputError):  # its row says what it is called
                encoded = base64.b64encode(project.thumbnail(project.board.get(image))).decode()
                found[str(image)] = f"data:image/jpeg;base64,{encoded}"
        return {"thumbs": found}

    def keep_lease(self, request: Request) -> Answer:
        """Keep the image that a page has open; see `leases.Leases`."""
        session = self._session(request)
        session.hold(int(request["picture"]), request.get("lease"))
        return {"counts": session.project.board.counts()}

    def send_back(self, request: Request) -> Answer:
        """Send an image back with a note of what is wrong with it."""
        session = self._session(request)
        note = " ".join(str(request.get("note") or "").split())[:LONGEST_NOTE]
        if not note:
            raise InputError("Say what is to be changed: the next annotator reads it.")
        image = int(request["picture"])
        session.hold(image, request.get("lease")).describe(checked=False)
        session.project.set_state(image, "rejected", session.who, note)
        return {"note": note, "counts": session.project.board.counts()}

    def tasks(self, request: Request) -> Answer:
        """Tell what is prepared for all images, and what waits."""
        tasks = self._session(request).project.tasks
        return {"tasks": tasks.counts(), "failures": tasks.failures()}

    def start_all(self, request: Request) -> Answer:
        """Let something be prepared for all images that it is good for."""
        session, kind = self._session(request), request["kind"]
        assert isinstance(self._store, ProjectStore)
        source, preset = str(request.get("source") or ""), str(request.get("preset") or "careful")
        if preset not in PRESETS:
            raise InputError(f"Preset {preset[:40]!r}: choose one of {', '.join(PRESETS)}.")
        settings = {
            "edges": source,
            "propose": str(request.get("method") or ""),
            "rip": f"{preset} {source}",
        }
        added = self._store.worker.add_for_all(kind, settings.get(kind, ""))
        if added:
            session.project.board.log(session.who, f"{kind} for all")
        return {"added": added, **self.tasks(request)}

    def stop_all(self, request: Request) -> Answer:
        """Take back what waits."""
        self._session(request).project.tasks.stop()
        return self.tasks(request)

    def _session(self, request: Request) -> ProjectSession:
        session = self._store.open(request["token"])
        if not isinstance(session, ProjectSession):
            raise InputError("This is no project: start the page with a folder of images.")
        return session


def _states(given: object) -> Sequence[State]:
    return [state for state in get_args(State) if state == given] or STATES


def _row(record: ImageRecord, holder: str | None, who: str) -> Answer:
    return {
        "index": record.id,
        "name": record.name,
        "count": record.count,
        "state": record.state,
        "note": record.note if record.state == "rejected" else "",
        "holder": "" if holder in (None, who) else holder,
    }
