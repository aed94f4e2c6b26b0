"""What a session keeps of a trace: its steps in a folder, one by one as they come."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import (
    AttentionStep,
    AttentionTrace,
    FloatMap,
    InputError,
    KLCurve,
    PseudoEdge,
    RGBImage,
)
from segdemo.diffegg.pseudo_edge import pseudo_edge, split_score
from segdemo.diffegg.settings import TraceSettings
from segdemo.trace_files import write_trace
from segdemo.ui.kept_files import download_folder, file_stem, new_folder, pack
from segdemo.ui.uploads import Upload, upload_name

PREVIEW_SIDE = 640  # pixels
PHOTO = "photo.jpg"
TIDIED = "This run was deleted after a long pause: press Run again."


@dataclass(frozen=True, eq=False)
class KeptTrace:
    """A trace on disk, as far as it has come; its steps lie in `folder`.

    photo: the file it is of. name: what that is called. ratios: `attention_ratio` of each step.
    aspect: the photo's width over its height. seconds: how long it took so far.
    """

    folder: Path
    photo: Path
    name: str
    settings: TraceSettings
    curve: KLCurve
    ratios: tuple[float | None, ...]
    layers: tuple[str, ...]
    size: int
    aspect: float
    seconds: float

    @property
    def grid(self) -> tuple[int, ...]:
        """The timesteps that are run: of a backbone that sees no noise, the only one there is."""
        planned = self.settings.timesteps
        return planned if self.curve.timesteps[0] == planned[0] else self.curve.timesteps

    @property
    def stem(self) -> str:
        """Return what its exported files begin with."""
        return file_stem(self.name)


class Chosen:
    """Which step and thresholds a session looks at; the running trace reads what clicks write.

    timestep: the one to show, or None to follow PeakKL. picked: a person chose it, not the model's
    own settings. cuts: by timestep, (lower, upper) where they were set by hand. cell: the place
    whose attention is shown, x and y in [0, 1) of the photo's sides, or None.
    """

    def __init__(self) -> None:
        """Start with PeakKL's choice and the rule's thresholds."""
        self.timestep: int | None = None
        self.picked = False
        self.cuts: dict[int, tuple[float, float]] = {}
        self.cell: tuple[float, float] | None = None
        self._sent: dict[str, float] = {}

    def overtaken(self, kind: str, sent: float) -> bool:
        """Say whether a later choice of this kind was heard before; else note this one as heard.

        sent: the browser's clock in milliseconds. Two requests of a page travel on connections of
        their own, so a busy server may read the later one first.
        """
        late = sent < self._sent.get(kind, -math.inf)
        if not late:
            self._sent[kind] = sent
        return late

    def mark(self, x: float | None, y: float | None) -> None:
        """Show where a place looks, or none; raises InputError for one beside the photo."""
        if x is None or y is None:
            self.cell = None
        elif 0 <= x < 1 and 0 <= y < 1:
            self.cell = x, y
        else:
            raise InputError("Click inside the photo to see a cell's attention.")

    def cut(self, timestep: int, lower: float, upper: float) -> None:
        """Set a step's thresholds by hand; raises InputError for what is no pair of numbers."""
        if not -math.inf < lower <= upper < math.inf:
            raise InputError("The lower threshold must not exceed the upper one.")
        self.cuts[timestep] = (lower, upper)

    def pick(self, timestep: int | None) -> None:
        """Show a step, or None for PeakKL's, from now on."""
        self.timestep, self.picked = timestep, True

    def start(self, fixed_timestep: int | None) -> None:
        """Begin a run with the step its settings name, unless a person chose one before."""
        if not self.picked:
            self.timestep = fixed_timestep

    def step_of(self, curve: KLCurve) -> int:
        """Return the index of the step to show: the nearest one where a grid lacks it."""
        return curve.peak if self.timestep is None else curve.nearest(self.timestep)


def trace_photo(
    assistant: AnnotationAssistant,
    image: RGBImage,
    photo: Upload,
    settings: TraceSettings,
    instances: npt.NDArray[np.int64] | None = None,
) -> Generator[KeptTrace, None, None]:
    """Trace a photo and keep every step as it comes; yields what is there so far.

    image: the photo's pixels. instances: (H, W) ids for the instance check. Raises InputError.
    """
    folder = new_folder()
    height, width = image.shape[:2]
    preview = Image.fromarray(image)
    preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    preview.save(folder / PHOTO, quality=88)
    started = time.perf_counter()
    kept = None
    try:
        for trace in assistant.trace(image, settings, instances):
            _keep(trace.steps[-1], folder, len(trace.steps) - 1)
            kept = KeptTrace(
                folder,
                Path(photo["path"]),
                upload_name(photo),
                settings,
                trace.curve,
                tuple(step.attention_ratio for step in trace.steps),
                trace.layers,
                trace.size,
                width / height,
                time.perf_counter() - started,
            )
            yield kept
    except Exception:
        if kept is None:  # else what was yielded is shown, and its steps are wanted
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _keep(step: AttentionStep, folder: Path, index: int) -> None:
    """Write one step; its pictures as PNGs of one pixel a cell, small enough to show at once."""
    Image.fromarray(step.picture).save(_picture(folder, index))
    Image.fromarray(_score_picture(step.edge_score)).save(_edge_picture(folder, index))
    np.savez(
        _arrays(folder, index),
        picture=step.picture,
        edge_score=step.edge_score,
        attention=step.attention,
    )


def _score_picture(score: FloatMap) -> npt.NDArray[np.uint8]:
    """Return a score (h, w) as grey, white at the highest of all but the top 0.5 %."""
    top = max(float(np.quantile(score, 0.995)), 1e-12)
    # the square root, as in the chart of thresholds: most scores are small
    return np.rint(255 * np.sqrt((score / top).clip(0, 1))).astype(np.uint8)


def _picture(folder: Path, index: int) -> Path:
    return folder / f"step_{index:03d}.png"


def _edge_picture(folder: Path, index: int) -> Path:
    return folder / f"edge_{index:03d}.png"


def photo_of(kept: KeptTrace) -> Path:
    """Return a small copy of the photo."""
    return kept.folder / PHOTO


def pictures_in(folder: Path, count: int) -> tuple[list[Path], list[Path]]:
    """Return the colours and the edge scores of the first steps, PNGs of one pixel a cell."""
    return (
        [_picture(folder, index) for index in range(count)],
        [_edge_picture(folder, index) for index in range(count)],
    )


def copy_pictures(kept: KeptTrace) -> Path:
    """Copy the steps' pictures to a folder of their own; raises InputError when they are gone."""
    folder = new_folder()
    try:
        for group in pictures_in(kept.folder, len(kept.curve.timesteps)):
            for picture in group:
                shutil.copyfile(picture, folder / picture.name)
    except OSError as error:
        raise InputError(TIDIED) from error
    return folder


def _arrays(folder: Path, index: int) -> Path:
    return folder / f"step_{index:03d}.npz"


def score_of(kept: KeptTrace, index: int) -> FloatMap:
    """Return a step's edge score (h, w); raises InputError when it is gone after a long pause."""
    try:
        with np.load(_arrays(kept.folder, index)) as arrays:
            score: FloatMap = arrays["edge_score"]
            return score
    except OSError as error:
        raise InputError(TIDIED) from error


def attention_of(kept: KeptTrace, index: int, place: tuple[float, float]) -> FloatMap:
    """Return where a cell looks at a step, (k, k) with mass 1.

    place: x and y in [0, 1) of the photo's sides. Raises InputError when the step is gone.
    """
    try:
        with np.load(_arrays(kept.folder, index)) as arrays:
            attention = arrays["attention"]  # (h, w, k, k)
    except OSError as error:
        raise InputError(TIDIED) from error
    height, width = attention.shape[:2]
    found: FloatMap = attention[int(place[1] * height), int(place[0] * width)].astype(np.float32)
    return found


def restored(kept: KeptTrace) -> AttentionTrace:
    """Read a whole trace back; raises InputError when it is gone after a long pause."""
    steps = []
    for index, timestep in enumerate(kept.curve.timesteps):
        try:
            with np.load(_arrays(kept.folder, index)) as arrays:
                step = AttentionStep(
                    timestep,
                    arrays["picture"],
                    arrays["edge_score"],
                    arrays["attention"],
                    kept.ratios[index],
                )
        except OSError as error:
            raise InputError(TIDIED) from error
        steps.append(step)
    return AttentionTrace(tuple(steps), kept.curve, kept.layers, kept.size)


def discard_trace(kept: KeptTrace | None) -> None:
    """Delete a trace's folder; what was already handed out stays downloadable."""
    if kept is not None:
        shutil.rmtree(kept.folder, ignore_errors=True)


def edge_of(step: AttentionStep, chosen: Chosen, rule: str) -> PseudoEdge:
    """Split a step's score by the thresholds set by hand, else by the rule."""
    by_hand = chosen.cuts.get(step.timestep)
    if by_hand is not None:
        return split_score(step.edge_score, *by_hand)
    return pseudo_edge(step.edge_score, rule)


@dataclass(frozen=True)
class Export:
    """A trace's files under the image's name: arrays, table, and everything packed."""

    arrays: Path
    table: Path
    archive: Path


def export_trace(kept: KeptTrace, chosen: Chosen, rule: str) -> Export:
    """Write all files of a trace, with the edge of the step that is looked at.

    Raises InputError when the trace is gone after a long pause.
    """
    trace, index = restored(kept), chosen.step_of(kept.curve)
    edge = edge_of(trace.steps[index], chosen, rule)
    fixed = None if chosen.timestep is None else trace.steps[index].timestep
    settings = replace(kept.settings, fixed_timestep=fixed)
    return write_export(trace, edge, settings, kept.stem, index)


def write_export(
    trace: AttentionTrace, edge: PseudoEdge, settings: TraceSettings, stem: str, index: int
) -> Export:
    """Write all files of a trace; index: of the step whose edge it is."""
    folder = download_folder()
    files = write_trace(trace, edge, settings, folder / stem, index)
    archive = pack(files, folder / f"{stem}_trace.zip", below=folder)
    arrays = files.arrays.rename(folder / f"{stem}_trace.npz")
    table = files.curve.rename(folder / f"{stem}_kl_curve.csv")
    shutil.rmtree(folder / stem)
    return Export(arrays, table, archive)
