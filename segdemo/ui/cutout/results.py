"""A segmented image as a session keeps it: previews in memory, full maps on disk, no files yet.

A result of a 12-megapixel image is 100 MB of arrays, and sessions may be many and idle. What is
shown has at most `PREVIEW_SIDE` pixels a side: 12 MB, whatever the image's size.
"""

from __future__ import annotations

import base64
import io
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.cutouts import WHITE, Finish, over_background
from segdemo.datatypes import FloatMap, InputError, Progress, RGBImage, SegmentationResult
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.files import write_png
from segdemo.images import load_rgb, to_grey
from segdemo.ui.kept_files import download_folder, file_stem, new_folder, pack
from segdemo.ui.uploads import Upload, upload_name

PREVIEW_SIDE = 1280  # pixels; downloads are full size
PREVIEW_QUALITY = 90
CHECKER_SIDE = 16  # pixels
CHECKERS = 246, 214  # grey values

MAPS, MASK = "maps.npz", "mask.npy"  # the mask apart: a window changes it alone

Kind = Literal["mask", "edge", "cutout"]
KINDS: tuple[Kind, ...] = ("mask", "edge", "cutout")


@dataclass(frozen=True, eq=False)
class Segmented:
    """An image with its maps.

    summary: one line, such as "256 px, 1 pass, cpu, 1.4 s". model: see `segment_upload`.
    """

    path: Path
    name: str
    image: RGBImage
    result: SegmentationResult
    summary: str
    model: str = ""

    @property
    def stem(self) -> str:
        """Return what its files are called, without `_mask.png`."""
        return file_stem(self.name)


@dataclass(frozen=True, eq=False)
class KeptResult:
    """A result while it is shown.

    folder: holds the full maps. photo: the upload. image, mask: previews of one size, (h, w, 3) in
    0 to 255 and (h, w) in [0, 1]. model: see `segment_upload`.
    """

    folder: Path
    photo: Path
    name: str
    summary: str
    found_something: bool
    image: RGBImage
    mask: FloatMap
    model: str = ""


def segment_upload(
    assistant: AnnotationAssistant,
    upload: Upload | None,
    settings: DiffDISSettings,
    progress: Progress,
    model: str = "",
) -> Segmented:
    """Run a model on an upload, by default the assistant's first; raises InputError."""
    if upload is None:
        raise InputError("There is no photo yet: drop one, paste one, or click an example.")
    name = upload_name(upload)
    changes: list[str] = []
    image = load_rgb(upload["path"], name, changes.append)
    passes = 1

    def counted(done: int, total: int) -> None:
        nonlocal passes
        passes = total
        progress(done, total)

    started = time.perf_counter()
    result = assistant.segment(image, settings, counted, model=model)
    seconds = time.perf_counter() - started
    size = settings.size or assistant.native_size_of(model)
    count = "1 pass" if passes == 1 else f"{passes} passes"
    summary = f"{size} px, {count}, {assistant.device_name}, {seconds:.1f} s"
    summary = ". ".join([summary, *changes])
    if len(assistant.models) > 1:
        summary = f"{model or assistant.models[0]}: {summary}"
    return Segmented(Path(upload["path"]), name, image, result, summary, model)


def keep(segmented: Segmented) -> KeptResult:
    """Write the full maps to disk, and make the previews."""
    result, folder = segmented.result, new_folder()
    nothing = np.empty(0, np.float32)
    np.savez(
        folder / MAPS,
        edge=result.known_edge,
        mask_range=np.array(result.mask_range),
        uncertainty=nothing if result.uncertainty is None else result.uncertainty,
    )
    write_mask(folder, result.mask)
    return KeptResult(
        folder,
        segmented.path,
        segmented.name,
        segmented.summary,
        result.found_something,
        reduced(segmented.image),
        reduced(result.mask),
        segmented.model,
    )


def result_of(kept: KeptResult) -> SegmentationResult:
    """Read a result back; raises InputError when it or its image is gone after a long pause."""
    if not (kept.folder / MAPS).exists() or not kept.photo.exists():
        raise InputError("This result was deleted after a long pause: press Segment again.")
    with np.load(kept.folder / MAPS) as maps:
        low, high = maps["mask_range"].tolist()
        uncertainty = maps["uncertainty"]
        return SegmentationResult(
            np.load(kept.folder / MASK),
            maps["edge"],
            (low, high),
            uncertainty if uncertainty.size else None,
        )


def write_mask(folder: Path, mask: FloatMap) -> None:
    """Write the mask of a kept result; those before it are replaced."""
    np.save(folder / MASK, mask)


def discard(kept: KeptResult | None) -> None:
    """Delete a kept result's folder; what was already handed out stays downloadable."""
    if kept is not None:
        shutil.rmtree(kept.folder, ignore_errors=True)


# Downloads ----------------------------------------------------------------------------------------


def write_download(kept: KeptResult, kind: Kind, finish: Finish) -> Path:
    """Write one file: mask and edge are PNGs of the image's size. Raises InputError."""
    segmented = _restored(kept)
    return _write(segmented, kind, finish, download_folder())


def write_all_downloads(kept: KeptResult, finish: Finish) -> Path:
    """Write all files of a result as one zip, the uncertainty among them where there is one."""
    segmented, folder = _restored(kept), download_folder()
    files = write_files(segmented, finish, folder)
    uncertainty = segmented.result.uncertainty
    if uncertainty is not None:
        files.append(folder / f"{segmented.stem}_uncertainty.png")
        write_png(to_grey(uncertainty), files[-1])
    archive = pack(files, folder / f"{segmented.stem}_segdemo.zip")
    for file in files:
        file.unlink()
    return archive


def write_files(segmented: Segmented, finish: Finish, folder: Path) -> list[Path]:
    """Write mask and edge as PNGs of the image's size, and the cut-out; returns them in order."""
    return [_write(segmented, kind, finish, folder) for kind in KINDS]


def _write(segmented: Segmented, kind: Kind, finish: Finish, folder: Path) -> Path:
    result, name = segmented.result, f"{segmented.stem}_{kind}"
    if kind == "cutout":
        return finish.write(segmented.image, result.mask, folder, name)
    path = folder / f"{name}.png"
    shown = finish.levels.apply(result.mask) if kind == "mask" else result.known_edge
    write_png(to_grey(shown), path)
    return path


def _restored(kept: KeptResult) -> Segmented:
    result = result_of(kept)
    return Segmented(kept.photo, kept.name, load_rgb(kept.photo, kept.name), result, kept.summary)


# Previews -----------------------------------------------------------------------------------------


def preview(pixels: npt.NDArray[np.uint8], name: str) -> dict[str, Any]:
    """Return pixels as an image component shows them, without a file: a JPEG inside the value.

    pixels: (h, w) or (h, w, 3). For events with `postprocess=False`.
    """
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=PREVIEW_QUALITY)
    encoded = base64.b64encode(stream.getvalue()).decode()
    return {"path": name, "orig_name": name, "url": f"data:image/jpeg;base64,{encoded}"}


def cutout_preview(kept: KeptResult, finish: Finish) -> npt.NDArray[np.uint8]:
    """Return the subject over its background, else over a checkerboard, (h, w, 3); not trimmed."""
    rows, columns = (np.arange(side) // CHECKER_SIDE for side in kept.mask.shape)
    light = (rows[:, None] + columns) % 2 == 0  # (h, w)
    checkers = np.where(light, *CHECKERS).astype(np.uint8)  # (h, w)
    ground = finish.background
    if ground is None:
        ground = WHITE if finish.file_format == "jpeg" else np.dstack([checkers] * 3)
    return over_background(kept.image, finish.levels.apply(kept.mask), ground)


def reduced(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Reduce an image or a map to at most `PREVIEW_SIDE` pixels a side, by areas' means."""
    picture = Image.fromarray(pixels)
    scale = PREVIEW_SIDE / max(picture.size)
    if scale >= 1:
        return pixels
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))
