"""The progress of a verb over many images: a line each, the outcome, the exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from segdemo.batch import FileStatus, Handler
from segdemo.datatypes import InputError, RGBImage
from segdemo.files import ImageFile
from segdemo.terminal import printable

DONE, SOME_FAILED, STOPPED = 0, 1, 130  # argparse leaves by 2 on wrong usage


def report_progress(
    statuses: Iterator[FileStatus], total: int | None, output_dir: Path | str
) -> int:
    """Print a line for each image, a progress bar and the outcome; returns the exit code.

    The bar has images per second and the time left. total: None where it is known at the end only.
    """
    with tqdm(total=total, unit="image", disable=None, smoothing=0.1) as bar:
        failed: list[FileStatus] = []
        count = 0
        for status in statuses:
            count += 1
            if status.succeeded:
                line = f"{status.name}: {status.message}, {status.seconds:.1f} s"
                bar.write(printable(line))
            else:
                failed.append(status)
            bar.update()
    return _report(failed, count if total is None else total, output_dir)


class FailFastError(Exception):
    """A model does not work with these settings, whatever the image."""


def fail_fast(handle: Handler) -> Handler:
    """Turn an InputError into a FailFastError, which ends the run, until an image has succeeded.

    Some settings can only be checked by a loaded model, such as a filter on its layers; images that
    cannot be read fail before they come here, so its first error holds for all.
    """
    succeeded = False

    def handle_or_stop(image_file: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
        nonlocal succeeded
        try:
            outcome = handle(image_file, image)
        except InputError as error:
            if succeeded:
                raise
            raise FailFastError(str(error)) from error
        succeeded = True
        return outcome

    return handle_or_stop


def _report(failed: Sequence[FileStatus], total: int, output_dir: Path | str) -> int:
    """Print the outcome, one line a failed image; returns the exit code."""
    print(f"{total - len(failed)} of {total} done, results in {printable(str(output_dir))}")
    if not failed:
        return DONE
    print(f"{len(failed)} failed:", file=sys.stderr)
    for status in failed:
        print(f"  {printable(status.message)}", file=sys.stderr)
    return SOME_FAILED
