"""What a session keeps of a photo's result: files in a folder of its own, not arrays in memory.

A result of a 12-megapixel photo is 100 MB of arrays; sessions may be many and idle.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.batch import write_segmentation
from segdemo.datatypes import InputError, Progress, RGBImage, SegmentationResult
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.images import cut_out, load_rgb, to_grey
from segdemo.ui.kept_files import file_stem, new_folder, pack
from segdemo.ui.uploads import Upload, upload_name

PREVIEW_SIDE = 1280  # pixels; what the comparing slider shows, the downloads are full size
CHECKER_SIDE = 16  # pixels


@dataclass(frozen=True)
class KeptResult:
    """A result on disk. summary: one line, such as "256 px, 1 pass, cpu, 1.4 s"."""

    folder: Path
    photo: Path
    name: str
    summary: str
    found_something: bool

    @property
    def stem(self) -> str:
        """Return what its files are called, without `_mask.png`."""
        return file_stem(self.name)


@dataclass(frozen=True)
class CutoutView:
    """The files that the page shows and offers. before, after: previews of one size."""

    before: Path
    after: Path
    mask: Path
    edge: Path
    cutout: Path
    uncertainty: Path | None
    archive: Path


def read_settings(
    size: object, seed: object, augment: object, ensemble: object, follow: object
) -> DiffDISSettings:
    """Check what the page's fields or a caller gave; raises InputError."""
    numbers = {}
    for label, value in (("Working size", size), ("Seed", seed), ("Ensemble", ensemble)):
        try:
            numbers[label] = int(str(value).removesuffix(".0"))
        except ValueError as error:
            raise InputError(f"{label} must be a whole number.") from error
    if not 0 <= numbers["Seed"] < 2**63:
        raise InputError("Seed must be a whole number from 0 up.")
    return DiffDISSettings(
        size=numbers["Working size"],
        seed=numbers["Seed"],
        augment=bool(augment),
        follow=bool(follow),
        ensemble=numbers["Ensemble"],
    )


def read_threshold(soft: object, threshold: object) -> float | None:
    """Return None for a soft mask, else the threshold in [0, 1]; raises InputError."""
    if soft:
        return None
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise InputError("Threshold must be a number from 0 to 1.")
    return float(threshold)


def segment_upload(
    assistant: AnnotationAssistant,
    upload: Upload | None,
    settings: DiffDISSettings,
    progress: Progress,
) -> KeptResult:
    """Run the model on an upload and keep the maps on disk; raises InputError."""
    if upload is None:
        raise InputError("There is no photo yet: drop one, paste one, or click an example.")
    name = upload_name(upload)
    image = load_rgb(upload["path"], name)
    passes = 1

    def counted(done: int, total: int) -> None:
        nonlocal passes
        passes = total
        progress(done, total)

    started = time.perf_counter()
    result = assistant.segment(image, settings, counted)
    seconds = time.perf_counter() - started
    folder = new_folder()
    _keep(result, folder)
    size = settings.size or assistant.native_size
    summary = _summary(size, passes, assistant.device_name, seconds)
    return KeptResult(folder, Path(upload["path"]), name, summary, result.found_something)


def view_of(kept: KeptResult, threshold: float | None) -> CutoutView:
    """Write the files of a kept result, soft or cut at a threshold; no model runs.

    Raises InputError when the photo or the result is gone after a long pause.
    """
    result = result_of(kept)
    image = load_rgb(kept.photo, kept.name)
    files = write_segmentation(result, image, kept.stem, kept.folder, threshold)
    uncertainty = None
    if result.uncertainty is not None:
        uncertainty = kept.folder / f"{kept.stem}_uncertainty.png"
        Image.fromarray(to_grey(result.uncertainty)).save(uncertainty)
    alpha = result.mask if threshold is None else result.binary(threshold).astype(np.float32)
    before, after = _write_previews(kept, image, cut_out(image, alpha))
    archive = kept.folder / f"{kept.stem}_segdemo.zip"
    pack([*files, *([uncertainty] if uncertainty else [])], archive)
    return CutoutView(before, after, files.mask, files.edge, files.cutout, uncertainty, archive)


def describe(kept: KeptResult) -> dict[str, object]:
    """Return what a program may want to know of a result."""
    return {
        "name": kept.name,
        "summary": kept.summary,
        "found_something": kept.found_something,
    }


def discard(kept: KeptResult | None) -> None:
    """Delete a kept result's folder; what was already handed out stays downloadable."""
    if kept is not None:
        shutil.rmtree(kept.folder, ignore_errors=True)


def _keep(result: SegmentationResult, folder: Path) -> None:
    nothing = np.empty(0, np.float32)
    np.savez(
        folder / "maps.npz",
        mask=result.mask,
        edge=result.edge,
        mask_range=np.array(result.mask_range),
        uncertainty=nothing if result.uncertainty is None else result.uncertainty,
    )


def result_of(kept: KeptResult) -> SegmentationResult:
    """Read a result back; raises InputError when it or its photo is gone after a long pause."""
    if not (kept.folder / "maps.npz").exists() or not kept.photo.exists():
        raise InputError("This result was tidied away after a long pause: press Segment again.")
    with np.load(kept.folder / "maps.npz") as maps:
        low, high = maps["mask_range"].tolist()
        uncertainty = maps["uncertainty"]
        return SegmentationResult(
            maps["mask"], maps["edge"], (low, high), uncertainty if uncertainty.size else None
        )


def _summary(size: int, passes: int, device: str, seconds: float) -> str:
    count = "1 pass" if passes == 1 else f"{passes} passes"
    return f"{size} px, {count}, {device}, {seconds:.1f} s"


def _write_previews(
    kept: KeptResult, image: RGBImage, cutout: npt.NDArray[np.uint8]
) -> tuple[Path, Path]:
    """Write photo and cut-out over a checkerboard as JPEGs; returns their paths."""
    photo, subject = Image.fromarray(image), Image.fromarray(cutout)
    for picture in (photo, subject):
        picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    ground = _checkerboard(subject.size)
    ground.paste(subject, mask=subject.getchannel("A"))
    before, after = kept.folder / "photo.jpg", kept.folder / f"{kept.stem}_preview.jpg"
    photo.save(before, quality=88)
    ground.save(after, quality=88)
    return before, after


def _checkerboard(size: tuple[int, int]) -> Image.Image:
    columns, rows = (np.arange(side) // CHECKER_SIDE for side in size)
    light = (rows[:, None] + columns) % 2 == 0  # (H, W)
    return Image.fromarray(np.where(light, 246, 214).astype(np.uint8)).convert("RGB")
