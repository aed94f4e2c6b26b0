"""What all verbs share between their flags and their models: which pictures, and how it went."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from segdemo.batch import FileStatus, Handler
from segdemo.datatypes import InputError, RGBImage
from segdemo.files import ImageFile, find_images

DONE, SOME_FAILED, STOPPED = 0, 1, 130  # argparse leaves by 2 on wrong usage


def list_pictures(
    inputs: Sequence[Path], output_dir: Path, results: Callable[[str], Iterable[Path]]
) -> list[ImageFile]:
    """List what is to be done, named as typed; raises InputError where nothing or harm would be.

    results: names the files that will be written for a stem.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"--output_dir {output_dir} is a file: name a folder.")
    if any(given.resolve() == output_dir.resolve() for given in inputs):
        raise InputError(
            f"{output_dir} is both an input and --output_dir: results would be taken for photos "
            "the next time; choose another folder."
        )
    found = find_images(inputs, output_dir)
    if not found:
        raise InputError(f"Nothing to do: no photos in {', '.join(map(str, inputs))}.")
    pictures = [replace(picture, name=str(picture.path)) for picture in found]
    _keep_inputs(pictures, results)
    return pictures


def make_folder(folder: Path) -> None:
    """Make --output_dir; raises InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--output_dir {folder} cannot be made ({error.strerror}): choose another folder."
        ) from error


def follow(statuses: Iterator[FileStatus], total: int, output_dir: Path) -> int:
    """Show how pictures go, a line each and a bar, and the outcome; returns the exit code."""
    with tqdm(total=total, unit="picture", disable=None) as bar:
        failed = []
        for status in statuses:
            if status.succeeded:
                bar.write(f"{status.name}: {status.message}, {status.seconds:.1f} s")
            else:
                failed.append(status)
            bar.update()
    return _report(failed, total, output_dir)


class RefusedError(Exception):
    """A model will not work with these settings, whatever the picture."""


def refuse_early(handle: Handler) -> Handler:
    """Let an InputError end the walk by RefusedError as long as no picture has succeeded.

    Some settings can only be checked by a loaded model, such as a filter on its layers; pictures
    that cannot be read fail before they come here, so what it complains of first holds for all.
    """
    succeeded = False

    def handle_or_refuse(picture: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
        nonlocal succeeded
        try:
            outcome = handle(picture, image)
        except InputError as error:
            if succeeded:
                raise
            raise RefusedError(str(error)) from error
        succeeded = True
        return outcome

    return handle_or_refuse


def _keep_inputs(pictures: Iterable[ImageFile], results: Callable[[str], Iterable[Path]]) -> None:
    """Raise InputError if a result would replace one of the photos."""
    photos = {picture.path.resolve() for picture in pictures}
    for picture in pictures:
        for file in results(picture.stem):
            if file.resolve() in photos:
                raise InputError(
                    f"{file} is one of the photos, and the results of {picture.name} would replace "
                    "it: choose another --output_dir."
                )


def _report(failed: Sequence[FileStatus], total: int, output_dir: Path) -> int:
    """Print the outcome, one line a failed picture; returns the exit code."""
    print(f"{total - len(failed)} of {total} done, results in {output_dir}")
    if not failed:
        return DONE
    print(f"{len(failed)} failed:", file=sys.stderr)
    for status in failed:
        print(f"  {status.message}", file=sys.stderr)
    return SOME_FAILED
