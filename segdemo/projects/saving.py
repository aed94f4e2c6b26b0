"""Writing results behind the edits: one thread, and of each image only its latest state."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Saver:
    """Calls a function for each image that was asked for; in between it is asked as often as may.

    A failure is kept by image until the next success, see `problem`.
    """

    def __init__(self, save: Callable[[int], None]) -> None:
        """save: writes an image's result; raises OSError."""
        self._save = save
        self._condition = threading.Condition()
        self._waiting: dict[int, None] = {}  # in order
        self._writing: int | None = None
        self._problems: dict[int, str] = {}
        self._thread: threading.Thread | None = None

    def request(self, image: int) -> None:
        """Let an image be saved soon."""
        with self._condition:
            self._waiting[image] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._condition.notify_all()

    def settle(self, image: int | None = None) -> None:
        """Wait until an image, by default all, is saved or could not be."""

        def done() -> bool:
            if image is None:
                return not self._waiting and self._writing is None
            return image not in self._waiting and self._writing != image

        with self._condition:
            self._condition.wait_for(done)

    def problem(self, image: int) -> str:
        """Return why an image could not be saved the last time, or ""."""
        return self._problems.get(image, "")

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._condition.wait_for(lambda: bool(self._waiting), timeout=5):
                    self._thread = None  # the next request starts another
                    return
                self._writing = next(iter(self._waiting))
                del self._waiting[self._writing]
                image = self._writing
            try:
                self._save(image)
                self._problems.pop(image, None)
            except OSError as error:
                logger.error("the result of image %d was not written: %s", image, error)
                self._problems[image] = error.strerror or str(error)
            except Exception as error:
                logger.exception("the result of image %d was not written", image)
                self._problems[image] = type(error).__name__
            finally:
                with self._condition:
                    self._writing = None
                    self._condition.notify_all()
