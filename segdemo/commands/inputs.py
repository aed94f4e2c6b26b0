"""The images that a verb reads, and its output folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from segdemo.datatypes import InputError
from segdemo.files import ImageFile, find_images
from segdemo.regular_files import real_path


def list_images(
    inputs: Sequence[Path], output_dir: Path, results: Callable[[str], Iterable[Path]]
) -> list[ImageFile]:
    """List the images to process, named as typed; raises InputError.

    Refused are no images at all, and results that would replace an image or be read as one.

    results: names the files that will be written for a stem.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"--output_dir {output_dir} is a file: name a folder.")
    if any(real_path(given) == real_path(output_dir) for given in inputs):
        raise InputError(
            f"{output_dir} is both an input and --output_dir: results would be taken for photos "
            "the next time; choose another folder."
        )
    found = find_images(inputs, output_dir)
    if not found:
        raise InputError(f"Nothing to do: no photos in {', '.join(map(str, inputs))}.")
    image_files = [replace(image_file, name=str(image_file.path)) for image_file in found]
    _check_overwriting(image_files, results)
    return image_files


def create_folder(folder: Path) -> None:
    """Create --output_dir; raises InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--output_dir {folder} cannot be created ({error.strerror}): choose another folder."
        ) from error


def _check_overwriting(
    image_files: Iterable[ImageFile], results: Callable[[str], Iterable[Path]]
) -> None:
    """Raise InputError if a result would replace one of the images."""
    photos = {real_path(image_file.path) for image_file in image_files}
    for image_file in image_files:
        for file in results(image_file.stem):
            if real_path(file) in photos:
                raise InputError(
                    f"{file} is one of the photos, and the results of {image_file.name} would "
                    "replace it: choose another --output_dir."
                )
