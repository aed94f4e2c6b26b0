"""What `prompt` does to one image, and what is done with all results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segdemo.annotations import rle
from segdemo.annotations.notes import MALFORMED
from segdemo.commands.box_file import Box
from segdemo.commands.digests import file_digest
from segdemo.commands.resumable_run import ResultStore
from segdemo.commands.stored_run import MakeResult
from segdemo.datatypes import InputError, RGBImage
from segdemo.files import ImageFile
from segdemo.prompting.interface import PromptedMask
from segdemo.prompting.prompts import Prompt

AskPrompter = Callable[[RGBImage, Sequence[Prompt]], Sequence[PromptedMask]]


@dataclass(frozen=True)
class PromptWork:
    """Makes a mask of each box of an image; see `stored_run.ImageWork`.

    boxes: by the image's path. The other fields are flags.
    """

    boxes: Mapping[Path, Sequence[Box]]
    prompter: str
    device: str
    precision: str

    def fingerprint(self, image_file: ImageFile) -> str:
        """Return a hash of the photo: boxes are among the settings. Raises InputError."""
        return file_digest(image_file.path)

    def load(self) -> MakeResult:
        """Load the prompter; raises InputError."""
        from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

        assistant = AnnotationAssistant(
            device=self.device, precision=self.precision, prompter=self.prompter
        )
        assistant.load_prompter()

        def answer(image_file: ImageFile, image: RGBImage) -> tuple[dict[str, Any], str]:
            boxes = self.boxes[image_file.path]
            result = answer_boxes(image, boxes, assistant.prompt)
            return result, f"{len(result['answers'])} of {len(boxes)} boxes"

        return answer


def answer_boxes(image: RGBImage, boxes: Iterable[Box], ask: AskPrompter) -> dict[str, Any]:
    """Return what the annotations of an image get, ready for JSON.

    answers: segmentation and area by the annotation's place. problems: a sentence by the place of
    each one that gets no mask.
    """
    answers: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for place, (left, top, width, height) in boxes:
        prompt = Prompt(np.array([left, top, left + width, top + height]))
        try:
            (found,) = ask(image, [prompt])
        except InputError as error:
            problems[str(place)] = str(error)
            continue
        mask = found.mask > 0.5
        if mask.any():
            answers[str(place)] = {"segmentation": rle.encode(mask), "area": int(mask.sum())}
        else:
            problems[str(place)] = "no mask was found in its box."
    return {"answers": answers, "problems": problems}


def stored_answers(
    store: ResultStore, image_files: Iterable[ImageFile]
) -> tuple[dict[int, Mapping[str, Any]], list[str]]:
    """Return what all annotations get by their places, and a sentence for each that gets no mask.

    Raises InputError where a result is damaged.
    """
    answers: dict[int, Mapping[str, Any]] = {}
    problems: list[str] = []
    for image_file in image_files:
        content = store.content(image_file.stem)
        try:
            answers |= {int(place): answer for place, answer in content["answers"].items()}
            problems += [
                f"{image_file.name}, annotation {int(place) + 1}: {sentence}"
                for place, sentence in content["problems"].items()
            ]
        except MALFORMED as error:
            raise store.damaged(image_file.stem) from error
    return answers, problems
