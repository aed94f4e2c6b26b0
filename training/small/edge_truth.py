"""True edges of labelled images, as files that stage 2 of DiffEGG trains on.

    python -m training.small.edge_truth --material_dir train_mix --scenes runs/small/scenes \
        --output_dir runs/truth
    python -m training.diffegg --pictures runs/truth/pictures --pseudo_edges runs/truth/edges \
        --validation_pictures runs/truth/validation/pictures \
        --validation_pseudo_edges runs/truth/validation/edges ...

DiffEGG itself needs no labels: its stage 1 (`training.pseudo_edges`) reads edges from attention.
Where a model is too small for its attention to show instances, outlines of labelled instances, of
composed scenes and edges drawn by people can replace them. They are written as the same files.
"""

from __future__ import annotations

import logging
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.images import load_rgb
from segdemo.settings import setting
from training.loop.settings import Settings, required
from training.program import run_program
from training.small.scenes.compose import compose_crowd
from training.small.scenes.material import (
    IGNORED_INSTANCE,
    VALIDATION_SHARE,
    Material,
    in_validation,
    list_material,
)
from training.small.scenes.store import SceneStore
from training.stored_edges import TRUTH, StoredEdge, write_edge

logger = logging.getLogger(__name__)

LOWER, UPPER = 0.05, 0.3
"""Scores below are interior, above edge. Drawn edges are means over people: an edge that one of
five saw is uncertain. Lines blurred by resizing lie between the thresholds, too."""
UNKNOWN = (LOWER + UPPER) / 2
CROWD_SIZE = 320  # pixels


@dataclass(frozen=True, kw_only=True)
class EdgeTruthSettings(Settings):
    """Which images with known edges, and where they go."""

    own_folder = True

    material_dir: str = required("Folder of training/README.md's material.")
    scenes: str = setting("", "Folder of scenes that training.small composed; or none.")
    scene_count: int = setting(3000, "How many of them, from the first.", minimum=0)
    crowd_count: int = setting(0, "Scenes of many objects that touch, composed here.", minimum=0)
    photo_parts: int = setting(
        0,
        "Crops of each labelled photo, around objects that touch if there are any.",
        minimum=0,
    )
    seed: int = setting(0, "Seed of crowds and crops.", minimum=0)
    output_dir: str = setting(
        "runs/truth",
        "Gets pictures/ and edges/ for training.diffegg, and the same in validation/ of sources "
        "that are in none of the others.",
    )


def instance_edges(labels: npt.NDArray[np.integer]) -> FloatMap:
    """Score both sides of every border between instances, or instance and background, with 1.

    labels: (H, W), 0 is background. Pixels within `IGNORED_INSTANCE` and on its border are unknown.
    Returns (H, W) float32.
    """
    ignored = labels == IGNORED_INSTANCE
    edge, unknown = np.zeros(labels.shape, bool), ignored.copy()
    for before, after in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        differs = labels[before] != labels[after]
        doubtful = differs & (ignored[before] != ignored[after])
        for side in (before, after):
            edge[side] |= differs & ~doubtful
            unknown[side] |= doubtful
    return np.where(unknown & ~edge, UNKNOWN, edge).astype(np.float32)


def crop_window(labels: npt.NDArray[np.integer], rng: np.random.Generator) -> tuple[slice, slice]:
    """Choose a crop of a label map (H, W), a third to four fifths of its sides.

    Around a place where two instances touch, if there is one, else around a border of one.
    """
    things = np.where(labels == IGNORED_INSTANCE, 0, labels)
    touching = np.zeros(labels.shape, bool)
    border = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        here, there = things, np.roll(things, -1, axis)
        differs = here != there
        differs[(slice(None),) * axis + (-1,)] = False  # the last has no neighbour
        border |= differs
        touching |= differs & (here > 0) & (there > 0)
    places = np.argwhere(touching if touching.any() else border)
    share = rng.uniform(0.33, 0.8)
    middle = places[rng.integers(len(places))] if len(places) else np.array(labels.shape) // 2
    window = []
    for place, side in zip(middle, labels.shape, strict=True):
        length = max(1, round(share * side))
        start = int(np.clip(place - rng.uniform(0.25, 0.75) * length, 0, side - length))
        window.append(slice(start, start + length))
    return window[0], window[1]


def write_truth(settings: EdgeTruthSettings) -> int:
    """Write all images with their edges; returns how many. Raises InputError."""
    count = 0
    for known in tqdm(_known(settings), unit="image", disable=None):
        name, image, score = known.name, known.image, known.score
        if score.max() <= UPPER:
            continue  # nothing can be learned without an edge
        target = Path(settings.output_dir) / ("validation" if known.validation else "")
        image_file = target / "pictures" / f"{name}.png"
        image_file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(image_file)
        write_edge(_stored(score), target / "edges" / f"{name}.npz")
        count += 1
    return count


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""

    def run(settings: EdgeTruthSettings) -> None:
        logger.info("%d images in %s", write_truth(settings), settings.output_dir)

    return run_program(run, EdgeTruthSettings, argv, __doc__)


@dataclass(frozen=True, eq=False)
class _Known:
    """An image (H, W, 3) with its edge score (H, W), for validation or for training."""

    name: str
    image: RGBImage
    score: FloatMap
    validation: bool


def _known(settings: EdgeTruthSettings) -> Iterator[_Known]:
    """Yield all images."""
    material = Path(settings.material_dir)
    crowds = [_crowds(material, settings, validation) for validation in (False, True)]
    for labels in _truths(material / "coco" / "instances"):
        image = load_rgb(_picture(material / "coco" / "images", labels.stem))
        instances, kept = np.array(Image.open(labels), np.int64), in_validation(labels)
        yield _Known(f"coco/{labels.stem}", image, instance_edges(instances), kept)
        rng = np.random.default_rng([settings.seed, zlib.crc32(labels.stem.encode())])
        for part in range(settings.photo_parts):
            window = crop_window(instances, rng)
            edges = instance_edges(instances[window])
            yield _Known(f"coco/{labels.stem}-{part}", image[window], edges, kept)
    for drawn in _truths(material / "photos_bsds_boundaries"):
        image = load_rgb(_picture(material / "photos_bsds", drawn.stem))
        score = np.asarray(Image.open(drawn).convert("L"), np.float32) / np.float32(255)
        yield _Known(f"bsds/{drawn.stem}", image, score, in_validation(drawn))
    for side in crowds:
        yield from side
    if settings.scenes:
        yield from _scenes(Path(settings.scenes), settings.scene_count)


def _scenes(folder: Path, count: int) -> Iterator[_Known]:
    """Yield composed scenes, and those beside them whose sources they do not show."""
    kept = folder.with_name("validation")
    stores = [(SceneStore.open(folder).head(count), False)]
    if kept.is_dir():
        stores.append((SceneStore.open(kept), True))
    else:
        logger.warning("%s shows photos of the validation as well: compose it again", folder)
    for scenes, validation in stores:
        for index in range(len(scenes)):
            image, labels = np.array(scenes.images[index]), scenes.instances[index]
            yield _Known(f"scenes/{index:05d}", image, instance_edges(labels), validation)


def _crowds(material: Path, settings: EdgeTruthSettings, validation: bool) -> Iterator[_Known]:
    """Compose crowds of one side; raises InputError at once where material is missing."""
    count = settings.crowd_count // (VALIDATION_SHARE if validation else 1)
    files = list_material(material, validation) if count else None
    if files is None or not files.has_subjects:
        return iter(())
    read = Material(files)
    scenes = (
        compose_crowd(read, CROWD_SIZE, np.random.default_rng([settings.seed, 1, index]))
        for index in range(count)
    )
    return (
        _Known(f"crowds/{index:05d}", scene.image, instance_edges(scene.instances), validation)
        for index, scene in enumerate(scenes)
    )


def _truths(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.png"))
    if not files:
        raise InputError(f"{folder} holds no .png files: unpack the training material there.")
    return files


def _picture(folder: Path, stem: str) -> Path:
    found = sorted(folder.glob(f"{stem}.*"))
    if not found:
        raise InputError(f"{folder} has no image {stem}: unpack the training material again.")
    return found[0]


def _stored(score: FloatMap) -> StoredEdge:
    return StoredEdge(
        score=score.astype(np.float16),
        timestep=0,
        timesteps=(0,),
        gaps=(),
        peak_timestep=0,
        flat=False,
        lower=LOWER,
        upper=UPPER,
        rule=TRUTH,
        guarded=False,
        size=max(score.shape),
        picture_size=(score.shape[0], score.shape[1]),
    )


if __name__ == "__main__":
    sys.exit(main())
