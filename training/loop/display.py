"""What a run says while it trains: a bar on a terminal, a line a minute in a file."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import ExitStack

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

logger = logging.getLogger(__name__)

LINE_SECONDS = 60.0


class Display:
    """Steps done, an estimate of all steps, images a second and the time left."""

    def __init__(self, step: int, images_per_step: int, shown: bool) -> None:
        """Start at a step. shown: False for processes that stay silent."""
        self._first, self._images, self._shown = step, images_per_step, shown
        self._said = step  # of the last line
        self._start = self._last = time.monotonic()
        self._context = ExitStack()
        self._bar: tqdm[object] | None = None
        if shown and sys.stderr.isatty():
            self._bar = tqdm(initial=step, unit="step")
            self._context.enter_context(logging_redirect_tqdm())  # messages go above the bar

    def update(self, step: int, progress: float) -> None:
        """Show a finished step. progress: share of the run that is done, by steps or by time."""
        total = max(step, round(step / progress)) if progress else step
        if self._bar is not None:
            self._bar.total = total
            self._bar.set_postfix_str(self._pace(step), refresh=False)
            self._bar.update(step - self._bar.n)
        elif time.monotonic() - self._last >= LINE_SECONDS:
            self._line(step, total)

    def close(self, step: int) -> None:
        """Show the last step."""
        if self._bar is not None:
            self._bar.close()
        elif step > self._said:
            self._line(step, step)
        self._context.close()

    def _line(self, step: int, total: int) -> None:
        if not self._shown:
            return
        self._last, self._said = time.monotonic(), step
        left = (total - step) * (self._last - self._start) / max(1, step - self._first) / 60
        parts = [f"step {step} of {total}", self._pace(step), f"{left:.0f} min left" * (left >= 1)]
        logger.info(", ".join(filter(None, parts)))

    def _pace(self, step: int) -> str:
        if not self._images:
            return ""
        seconds = max(1e-9, time.monotonic() - self._start)
        return f"{self._images * (step - self._first) / seconds:.1f} images/s"
