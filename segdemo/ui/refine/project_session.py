"""A project as the tab "Refine" knows sessions: one annotator's page on images that all share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from segdemo.annotations import Instances
from segdemo.datatypes import InputError
from segdemo.editing.image import EditedImage, EditLockLostError
from segdemo.editing.proposals import Proposals
from segdemo.editing.sessions import Session, SessionStore
from segdemo.editing.storage import Summary
from segdemo.projects.background import Worker
from segdemo.projects.board import ImageNames, ImageRecord
from segdemo.projects.leases import LeaseTakenError
from segdemo.projects.project import Project
from segdemo.ui.refine.opening import PHOTO
from segdemo.ui.refine.project_views import Views

NOT_HERE = "The images of a project are those of its folder: put photos there, then start again."
NOTHING_LEFT = "Nothing is left to do: every image is checked, or open at somebody else's."

Step = Literal["next", "forward", "back"]
"""To the next image that needs work, or to the neighbour in the list."""
STEPS: tuple[Step, ...] = get_args(Step)


class ProjectSession(Session):
    """A project's images by their ids, for one page of an annotator.

    token: what the page proves itself with. who: the annotator's name.
    """

    def __init__(self, project: Project, token: str, who: str, views: Views) -> None:
        """Work under a name; views: pictures for the page, made when needed."""
        self.project, self.token, self.who = project, token, who
        self._views = views

    @property
    def title(self) -> str:  # type: ignore[override]
        """What the project is called."""
        return self.project.name

    @property
    def names(self) -> ImageNames:  # type: ignore[override]
        """Names by id."""
        return ImageNames(self.project.board)

    @property
    def indices(self) -> list[int]:
        """The ids of its images."""
        return [record.id for record in self.project.board.all()]

    @property
    def classes(self) -> dict[int, str]:  # type: ignore[override]
        """The project's classes by number."""
        return dict(self.project.classes.known.names)

    @property
    def stuff(self) -> frozenset[int]:  # type: ignore[override]
        """Numbers of the classes without instances."""
        return self.project.classes.known.stuff

    @property
    def used(self) -> float:
        """When it was used last: when anything was done in the project."""
        events = self.project.board.events(most=1)
        return float(events[0]["at"]) if events else self.project.root.stat().st_mtime

    def __len__(self) -> int:
        """Return the number of images."""
        return sum(self.project.board.counts().values())

    def image(self, index: int) -> EditedImage:
        """Return an image; raises InputError."""
        return self.project.image(index)

    def take(self, index: int) -> str:
        """Lease an image to this page, and give up the one that it had; see `Session.take`."""
        self.project.leases.take(index, self.who, self.token)
        try:
            lease = self.image(index).take_lease()
        except InputError:
            self.project.leases.release(self.token, index)
            raise
        self.release_others(index)
        return lease

    def open_prepared(self, index: int) -> Proposals | None:
        """Take what was prepared for the image that was leased; see `Project.open_prepared`.

        The next image that needs work is got ready meanwhile.
        """
        proposals = self.project.open_prepared(index)
        self._views.get_next_ready(self.project, index, self.who)
        return proposals

    def hold(self, index: int, lease: object) -> EditedImage:
        """See `Session.hold`; the lease lasts as long again."""
        try:
            self.project.leases.keep(index, self.who, self.token)
        except LeaseTakenError as error:
            raise EditLockLostError(str(error)) from error
        problem = self.project.edited.saver.problem(index)
        if problem:
            self.project.edited.saver.request(index)
            raise InputError(f"The server cannot write the result beside the image ({problem}).")
        return super().hold(index, lease)

    def step(self, index: int, step: Step) -> int:
        """Lease another image than `index` and return it; raises InputError where there is none."""
        record = self._record(index)
        if step == "next":
            name = "" if record is None else record.name
            found = self.project.leases.take_next(self.who, self.token, name)
            if found is None:
                raise InputError(NOTHING_LEFT)
            return found
        by = 1 if step == "forward" else -1
        while record is not None:
            record = self.project.board.neighbour(record.name, by)
            if record is None:
                break
            try:
                self.project.leases.take(record.id, self.who, self.token)
            except LeaseTakenError:
                continue
            return record.id
        raise InputError("This is the last photo." if by > 0 else "This is the first photo.")

    def release_others(self, kept: int) -> None:
        """Give up what the page has open beside an image; its results are written then."""
        for lease in self.project.leases.all():
            if lease.token == self.token and lease.image != kept:
                self.project.edited.settle(lease.image)
                self.project.leases.release(self.token, lease.image)

    def summary(self, index: int) -> Summary:
        """Summarise an image without reading its pixels."""
        record = self.project.board.get(index)
        return Summary(max(record.count, 0), int(record.changed > 0), record.state == "checked")

    def file(self, index: int, kept: str) -> Path:
        """Return an image's own file, or a picture of it for the page."""
        record = self.project.board.get(index)
        path = self.project.path(record)
        return path if kept == PHOTO else self._views.file(record, path, kept)

    def name_classes(self, classes: Mapping[int, str]) -> None:
        """Add classes to the project or give them other names."""
        self.project.classes.name(classes)

    def add(
        self,
        name: str,
        masks: Instances,
        files: Mapping[str, Path],
        stuff: Collection[str] = (),
    ) -> list[str]:
        """Raise InputError: images come from the folder."""
        raise InputError(NOT_HERE)

    def add_masks(self, index: int, masks: Instances, stuff: Collection[str] = ()) -> list[str]:
        """Raise InputError: masks are imported."""
        raise InputError("Masks are taken into a project by `segdemo project DIR import`.")

    def remove(self, index: int) -> None:
        """Raise InputError: images stay in the folder."""
        raise InputError("A project never deletes images: take the file out of its folder.")

    def rename(self, title: str) -> None:
        """Raise InputError: a project is called like its folder."""
        raise InputError("A project is called like its folder.")

    def _record(self, index: int) -> ImageRecord | None:
        try:
            return self.project.board.get(index)
        except InputError:
            return None


class ProjectStore(SessionStore):
    """The sessions of uploads, and beside them one project that all pages share."""

    def __init__(
        self, sessions: SessionStore, project: Project, worker: Worker, asks_names: bool
    ) -> None:
        """Use the same folder as `sessions`; asks_names: of visitors, who do not log in.

        worker: carries out the project's tasks.
        """
        super().__init__(sessions.root, sessions.lifetime)
        self.project, self.worker, self._asks_names = project, worker, asks_names
        self._views = Views()

    @property
    def described(self) -> dict[str, Any]:
        """What the page says of the project before anybody works in it."""
        count = sum(self.project.board.counts().values())
        return {"name": self.project.name, "count": count, "ask": self._asks_names}

    def enter(self, name: str) -> ProjectSession:
        """Let a page work in the project under a name; raises InputError without one."""
        return self._session(self.project.annotators.enter(name), " ".join(name.split()))

    def find(self, token: str) -> Session:
        """Find the project by a page's token, else a session; see `SessionStore.find`."""
        who = self.project.annotators.name(token) if isinstance(token, str) else None
        return super().find(token) if who is None else self._session(token, who)

    def open(self, token: str) -> Session:
        """See `find`."""
        session = self.find(token)
        return session if isinstance(session, ProjectSession) else super().open(token)

    def delete(self, token: str) -> None:
        """Delete a session; raises InputError for the project."""
        if isinstance(self.find(token), ProjectSession):
            raise InputError("A project is deleted on its disk, not here.")
        super().delete(token)

    def _session(self, token: str, who: str) -> ProjectSession:
        return ProjectSession(self.project, token, who, self._views)
