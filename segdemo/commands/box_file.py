"""COCO's JSON of boxes, and the masks that a prompter makes of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from segdemo.annotations import rle
from segdemo.annotations.file_names import without_suffix
from segdemo.batch import FileStatus, process_images
from segdemo.datatypes import InputError, RGBImage
from segdemo.files import ImageFile, find_images
from segdemo.prompting.prompts import Prompt
from segdemo.regular_files import read_regular

MOST_BYTES = 4_000_000_000  # of a JSON of boxes

Answer = dict[str, Any]
"""What an annotation gets: segmentation, area and score."""
AskPrompter = Callable[[RGBImage, Sequence[Prompt]], Sequence[Any]]
"""From an image and prompts to a `PromptedMask` each."""


@dataclass(frozen=True)
class BoxFile:
    """A parsed JSON and the images it is about.

    boxes: [place in the list of annotations, left, top, width, height] by image's path. problems:
    a sentence for each entry that gets no mask. digest: of the file.
    """

    content: dict[str, Any]
    image_files: list[ImageFile]
    boxes: dict[Path, list[tuple[int, list[float]]]]
    digest: str
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path, images: Iterable[Path], replace: bool) -> BoxFile:
        """Read the JSON and find its images; raises InputError where there is nothing to do."""
        try:
            data = read_regular(file, MOST_BYTES)
            content = json.loads(data)
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}).") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file} is corrupt or no JSON: export it again.") from error
        lists = (
            content.get(name) if isinstance(content, dict) else None
            for name in ("images", "annotations")
        )
        if not all(isinstance(one, list) for one in lists):
            raise InputError(f"{file} is not COCO's JSON: it needs `images` and `annotations`.")
        problems: list[str] = []
        owners = _match_images(content["images"], find_images(images), problems)
        boxes: dict[Path, list[tuple[int, list[float]]]] = {}
        for place, entry in enumerate(content["annotations"]):
            name = f"{file.name}: annotation {place + 1}"
            if isinstance(entry, dict) and entry.get("segmentation") and not replace:
                continue
            owner, box = _owner_and_box(entry, owners)
            if isinstance(box, str) or owner is None:
                problems.append(f"{name} {box}")
            else:
                boxes.setdefault(owner.path, []).append((place, box))
        files = [one for one in dict.fromkeys(filter(None, owners.values())) if one.path in boxes]
        if not files:
            said = " ".join(problems[:3]) or "every annotation has a segmentation already."
            raise InputError(f"{file} has no box to make a mask of: {said}")
        return cls(content, files, boxes, hashlib.blake2b(data).hexdigest(), problems)

    def answer(self, ask: AskPrompter, stored: StoredAnswers) -> Iterator[FileStatus]:
        """Make the masks of all images that are not stored yet, and store them."""

        def handle(image_file: ImageFile, image: RGBImage) -> tuple[Iterable[Path], str]:
            masks = self._answer_image(image_file, image, ask)
            stored.store(masks)
            return (), f"{len(masks)} of {len(self.boxes[image_file.path])} boxes"

        def is_done(file: ImageFile) -> bool:
            return all(str(place) in stored for place, _ in self.boxes[file.path])

        for file in self.image_files:
            if is_done(file):
                yield FileStatus(file.name, True, "done in an earlier run", 0.0, ())
            else:
                yield from process_images([file], handle)

    def _answer_image(
        self, file: ImageFile, image: RGBImage, ask: AskPrompter
    ) -> dict[str, Answer | None]:
        """Return what each annotation of an image gets, None where its box lies outside."""
        masks: dict[str, Answer | None] = {}
        for place, (left, top, width, height) in self.boxes[file.path]:
            prompt = Prompt(np.array([left, top, left + width, top + height]))
            try:
                (found,) = ask(image, [prompt])
            except InputError as error:
                self.problems.append(f"{file.name}, annotation {place + 1}: {error}")
                continue
            mask = found.mask > 0.5
            if not mask.any():
                self.problems.append(
                    f"{file.name}, annotation {place + 1}: no mask was found in its box."
                )
                continue
            masks[str(place)] = {
                "segmentation": rle.encode(mask),
                "area": int(mask.sum()),
                "score": round(found.score, 4),
            }
        return masks

    def filled(self, stored: StoredAnswers) -> dict[str, Any]:
        """Return the JSON with what is stored; boxes stay as they were given."""
        annotations = [
            entry | {name: v for name, v in stored[str(place)].items() if name != "score"}
            if str(place) in stored
            else entry
            for place, entry in enumerate(self.content["annotations"])
        ]
        return self.content | {"annotations": annotations}


class StoredAnswers(dict[str, Answer]):
    """Answers by the annotation's place, in a file beside the output until all are there.

    A context manager; the file is removed at its end if `done` was set.
    """

    def __init__(self, output: Path, digest: str, settings: Sequence[Any]) -> None:
        """Read what an earlier run left; raises InputError where that had other inputs."""
        super().__init__()
        self.done = False
        self._path = self._file_of(output)
        head: dict[str, Any] = {"boxes": digest, "settings": list(settings)}
        if self._path.exists():
            lines = read_regular(self._path, MOST_BYTES).decode(errors="replace").splitlines()
            if not lines or _parsed(lines[0]) != head:
                raise InputError(
                    f"{self._path} belongs to a run with other boxes or settings: give these "
                    "again, choose another --output, or delete that file to start again."
                )
            for line in lines[1:]:  # a kill may have left the last one unfinished
                self.update(_parsed(line) or {})
        self._lines: list[dict[str, Any]] = [head, dict(self)]

    def __enter__(self) -> Self:
        """Begin the file with what is known; raises InputError."""
        try:
            self._file = self._path.open("w")
            for line in self._lines:
                self._write(line)
        except OSError as error:
            raise InputError(f"{self._path} cannot be written ({error.strerror}).") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, and remove it if all is done."""
        self._file.close()
        if self.done:
            self._path.unlink(missing_ok=True)

    @classmethod
    def exist(cls, output: Path) -> bool:
        """Return whether an unfinished run left answers beside an output."""
        return cls._file_of(output).exists()

    @staticmethod
    def _file_of(output: Path) -> Path:
        return output.with_name(output.name + ".partial")

    def store(self, answers: dict[str, Any]) -> None:
        """Store the answers of an image; raises OSError."""
        self.update(answers)
        self._write(answers)

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _match_images(
    entries: Sequence[Any], files: Sequence[ImageFile], problems: list[str]
) -> dict[Any, ImageFile | None]:
    """Return the file of each image's id, by file name with or without folders and ending."""
    known: dict[str, ImageFile] = {}
    for file in reversed(files):
        for name in (file.path.stem, file.path.name, file.stem, file.name):
            known[name.casefold()] = file
    owners: dict[Any, ImageFile | None] = {}
    for place, entry in enumerate(entries, 1):
        try:
            name, number = str(entry["file_name"]).replace("\\", "/"), entry["id"]
            hash(number)
        except (KeyError, TypeError):
            problems.append(f"Image {place} of the list has no usable id and file_name.")
            continue
        short = name.rpartition("/")[2]
        tried = (name, without_suffix(name), short, without_suffix(short))
        owners[number] = next((known[t.casefold()] for t in tried if t.casefold() in known), None)
        if owners[number] is None:
            problems.append(f"{name}: no such photo among --images.")
    return owners


def _owner_and_box(
    entry: Any, owners: dict[Any, ImageFile | None]
) -> tuple[ImageFile | None, list[float] | str]:
    """Return an annotation's image and box, or what is wrong with it."""
    if not isinstance(entry, dict):
        return None, "is not an object with image_id and bbox."
    number = entry.get("image_id")
    try:
        owner = owners[number]
    except (KeyError, TypeError):
        return None, f"has the image_id {number!r:.40}, which the list of images lacks."
    if owner is None:
        return None, "belongs to a photo that is not there."
    try:
        box = [float(value) for value in entry["bbox"]]
    except (KeyError, TypeError, ValueError):
        return owner, "has no bbox of four numbers."
    if len(box) != 4 or not all(map(math.isfinite, box)) or min(box[2:]) <= 0:
        return owner, f"has the bbox {entry['bbox']!r:.60}: give left, top, width, height above 0."
    return owner, box
