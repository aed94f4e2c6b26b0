"""True edges of labelled images, as files that stage 2 of DiffEGG trains on.

    python -m training.small.edge_truth --material_dir train_mix --scenes runs/small/scenes \
        --output_dir runs/truth
    python -m training.diffegg --pictures runs/truth/pictures --pseudo_edges runs/truth/edges ...

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
from training.small.scenes.material import IGNORED_INSTANCE, Material
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
        "Crops of each labelled photo, around objects that touch if there are any. They are images "
        "of their own: do not hold out images for validation with them.",
        minimum=0,
    )
    seed: int = setting(0, "Seed of crowds and crops.", minimum=0)
    output_dir: str = setting("runs/truth", "Gets pictures/ and edges/ for training.diffegg.")


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
    target = Path(settings.output_dir)
    count = 0
    for name, image, score in tqdm(_known(settings), unit="image", disable=None):
        if score.max() <= UPPER:
            continue  # nothing can be learned without an edge
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


def _known(settings: EdgeTruthSettings) -> Iterator[tuple[str, RGBImage, FloatMap]]:
    """Yield name, image (H, W, 3) and edge score (H, W) of all images."""
    material = Path(settings.material_dir)
    crowds = _crowds(material, settings)
    for labels in _truths(material / "coco" / "instances"):
        image = load_rgb(_picture(material / "coco" / "images", labels.stem))
        instances = np.array(Image.open(labels), np.int64)
        yield f"coco/{labels.stem}", image, instance_edges(instances)
        rng = np.random.default_rng([settings.seed, zlib.crc32(labels.stem.encode())])
        for part in range(settings.photo_parts):
            window = crop_window(instances, rng)
            yield f"coco/{labels.stem}-{part}", image[window], instance_edges(instances[window])
    for drawn in _truths(material / "photos_bsds_boundaries"):
        image = load_rgb(_picture(material / "photos_bsds", drawn.stem))
        score = np.asarray(Image.open(drawn).convert("L"), np.float32) / np.float32(255)
        yield f"bsds/{drawn.stem}", image, score
    yield from crowds
    if settings.scenes:
        scenes = SceneStore.open(Path(settings.scenes)).head(settings.scene_count)
        for index in range(len(scenes)):
            image, labels = np.array(scenes.images[index]), scenes.instances[index]
            yield f"scenes/{index:05d}", image, instance_edges(labels)


def _crowds(
    material: Path, settings: EdgeTruthSettings
) -> Iterator[tuple[str, RGBImage, FloatMap]]:
    """Compose crowds; raises InputError at once where material is missing."""
    if not settings.crowd_count:
        return iter(())
    read = Material(material)
    scenes = (
        compose_crowd(read, CROWD_SIZE, np.random.default_rng([settings.seed, 1, index]))
        for index in range(settings.crowd_count)
    )
    return (
        (f"crowds/{index:05d}", scene.image, instance_edges(scene.instances))
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
