"""Write a trained network's panoptic predictions, in the layouts that evaluation.wps reads.

    python -m training.panoptic.predict --model runs/panoptic/export --images val --output_dir maps
    python -m training.panoptic.predict --model runs/panoptic/export --images val2017 \
--annotations panoptic_val2017.json --output_dir maps

Without --annotations: an image of codes for each photo, the class in red and the instance in green,
which suits VOC. With it: `predictions.json` with its PNGs, for the images and by the numbers of
that panoptic JSON.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segdemo.datatypes import InputError
from segdemo.diffusion import pick_device
from segdemo.files import find_images, write_json, write_png
from segdemo.images import load_rgb
from segdemo.panoptic_quality import Segments
from segdemo.settings import setting
from training.loop.settings import Settings, required
from training.panoptic.data import read_panoptic_set
from training.panoptic.network import SIDE_MULTIPLE, PanopticModel, load_model
from training.program import run_program

logger = logging.getLogger(__name__)

LARGEST_CODE = 255


@dataclass(frozen=True, kw_only=True)
class PredictSettings(Settings):
    """What is predicted, and by what."""

    model: str = required("Folder that training.panoptic exported.")
    images: str = required("Folder of photos.")
    annotations: str = setting("", "Panoptic JSON whose images are wanted.")
    output_dir: str = required("Where the predictions go.")
    size: int = setting(
        640, "Longer side of the images for the network.", minimum=SIDE_MULTIPLE, unit="pixels"
    )
    device: str = setting("auto", "auto, cpu or cuda.")


def predict(settings: PredictSettings) -> int:
    """Predict all images; 1 where one cannot be read. Raises InputError."""
    model = load_model(Path(settings.model)).to(pick_device(settings.device))
    folder = Path(settings.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if settings.annotations:
        return _write_listed(model, settings, folder)
    if any(one.number > LARGEST_CODE for one in model.classes):
        raise InputError("Classes above 255 have no code: give --annotations.")
    failed = 0
    for file in find_images([Path(settings.images)], folder):
        try:
            found = model.predict(load_rgb(file.path), settings.size)
        except InputError as error:
            logger.warning("%s: %s", file.path, error)
            failed += 1
            continue
        target = folder / f"{file.stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_png(to_codes(found), target)
    return 1 if failed else 0


def to_codes(found: Segments) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return (H, W, 3): the class in red, its instance from 1 in green; 0 where there is none."""
    codes = np.zeros((*found.ids.shape, 3), np.uint8)
    counts: dict[int, int] = {}
    for number, category in found.categories.items():
        counts[category] = counts.get(category, 0) + 1
        codes[found.ids == number] = (category, counts[category] % (LARGEST_CODE + 1), 0)
    return codes


def _write_listed(model: PanopticModel, settings: PredictSettings, folder: Path) -> int:
    wanted = read_panoptic_set(Path(settings.annotations), Path(settings.images))
    for problem in wanted.problems:
        logger.warning("%s", problem)
    target = folder / "predictions"
    target.mkdir(exist_ok=True)

    def records() -> Iterator[dict[str, object]]:
        for image in wanted.images:
            found = model.predict(load_rgb(image.photo), settings.size)
            file = target / f"{image.number}.png"
            write_png((found.ids[..., None] // [1, 256, 65536] % 256).astype(np.uint8), file)
            segments = [{"id": n, "category_id": c} for n, c in found.categories.items()]
            yield {"image_id": image.number, "file_name": file.name, "segments_info": segments}

    write_json({"annotations": list(records())}, folder / "predictions.json")
    return 1 if wanted.problems else 0


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    return run_program(predict, PredictSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
