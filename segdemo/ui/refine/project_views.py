"""Pictures of a project's images for the page, made when they are needed or a moment before."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from segdemo.datatypes import InputError
from segdemo.images import load_rgb
from segdemo.projects.board import ImageRecord
from segdemo.projects.project import Project
from segdemo.ui.refine.opening import VIEW, photo_views

logger = logging.getLogger(__name__)

KEPT_VIEWS = 8  # of the images opened last


class Views:
    """Pictures of a project's images for the page, of the last few."""

    def __init__(self) -> None:
        """Make nothing yet."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], Mapping[str, Path]] = OrderedDict()

    def get_next_ready(self, project: Project, index: int, who: str) -> None:
        """Make the pictures of the image that comes next, and let programs do its tasks first."""

        def ready() -> None:
            try:
                record = project.leases.peek_next(who, project.board.get(index).name)
                if record is not None:
                    project.tasks.urge(record)
                    found = project.board.get(record)
                    self.file(found, project.path(found))
            except Exception:  # it is tried again, and told of, when the image is opened
                logger.debug("the next image was not got ready", exc_info=True)

        threading.Thread(target=ready, daemon=True).start()

    def file(self, record: ImageRecord, path: Path, kept: str = VIEW) -> Path:
        """Return one of `photo_views`; raises InputError for what is no image."""
        try:
            key = record.id, path.stat().st_mtime_ns
        except OSError as error:
            raise InputError(f"{record.name} cannot be read ({error.strerror}).") from error
        with self._lock:
            files = self._kept.get(key)
        if files is None or not files[kept].exists():
            files = photo_views(load_rgb(path, record.name), record.name)
        with self._lock:
            self._kept[key] = files
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_VIEWS:
                _, old = self._kept.popitem(last=False)
                for file in old.values():
                    file.unlink(missing_ok=True)
        return files[kept]
