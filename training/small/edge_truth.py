"""Edges of pictures whose truth is known, as files that stage 2 of DiffEGG learns from.

    python -m training.small.edge_truth --material_dir train_mix --scenes runs/small/scenes \
        --output_dir runs/truth
    python -m training.diffegg --pictures runs/truth/pictures --pseudo_edges runs/truth/edges ...

DiffEGG itself needs no labels: its stage 1 (`training.pseudo_edges`) reads edges from attention.
Where a model is too small for its attention to know instances, outlines of labelled instances, of
composed scenes and edges drawn by people can take their place. They are written in the same form.
"""

from __future__ import annotations

import logging
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm
from transformers import HfArgumentParser

from segdemo.datatypes import FloatMap, InputError, RGBImage
from segdemo.images import load_rgb
from segdemo.terminal import print_any_text
from training.small.scenes.compose import compose_crowd
from training.small.scenes.material import IGNORED_INSTANCE, Material
from training.small.scenes.store import SceneStore
from training.stored_edges import StoredEdge, write_edge

logger = logging.getLogger(__name__)

LOWER, UPPER = 0.05, 0.3
"""Scores below are interior, above edge. Drawn edges are means over people: one of five who saw an
edge is no certain one. Between them lies also what a reduced line is blurred to."""
UNKNOWN = (LOWER + UPPER) / 2
CROWD_SIZE = 320  # pixels


@dataclass(frozen=True)
class TruthSettings:
    """Which truth, and where it goes."""

    material_dir: str = field(metadata={"help": "Folder of training/README.md's material."})
    scenes: str = field(
        default="", metadata={"help": "Folder of scenes that training.small composed; or none."}
    )
    scene_count: int = field(default=3000, metadata={"help": "How many of them, from the first."})
    crowd_count: int = field(
        default=0, metadata={"help": "Scenes of many objects that touch, composed here."}
    )
    photo_parts: int = field(
        default=0,
        metadata={
            "help": "Parts cut out of each labelled photo, where its objects touch if any. They "
            "are pictures of their own: do not hold out pictures for validation with them."
        },
    )
    seed: int = field(default=0, metadata={"help": "Seed of crowds and parts."})
    output_dir: str = field(
        default="runs/truth", metadata={"help": "Gets pictures/ and edges/ for training.diffegg."}
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


def part_of(labels: npt.NDArray[np.integer], rng: np.random.Generator) -> tuple[slice, slice]:
    """Draw a part of a label map (H, W), a third to four fifths of its sides.

    Around a place where two instances touch, if there is one, else around a border of one.
    """
    things = np.where(labels == IGNORED_INSTANCE, 0, labels)
    touching = np.zeros(labels.shape, bool)
    border = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        here, there = things, np.roll(things, -1, axis)
        differs = here != there
        differs[(slice(None),) * axis + (-1,)] = False  # the last has nobody beside it
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


def write_truth(settings: TruthSettings) -> int:
    """Write all pictures with their edges; returns how many. Raises InputError."""
    target = Path(settings.output_dir)
    count = 0
    for name, image, score in tqdm(_known(settings), unit="picture", disable=None):
        if score.max() <= UPPER:
            continue  # nothing can be learnt without an edge
        picture = target / "pictures" / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(picture)
        write_edge(_stored(score), target / "edges" / f"{name}.npz")
        count += 1
    return count


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write; 2 for wrong usage."""
    print_any_text()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = HfArgumentParser(TruthSettings, prog="python -m training.small.edge_truth")
    settings = TruthSettings(**vars(parser.parse_args(argv)))
    try:
        logger.info("%d pictures in %s", write_truth(settings), settings.output_dir)
    except InputError as error:
        logger.error("%s", error)
        return 2
    return 0


def _known(settings: TruthSettings) -> Iterator[tuple[str, RGBImage, FloatMap]]:
    """Yield name, picture (H, W, 3) and edge score (H, W) of all pictures."""
    material = Path(settings.material_dir)
    crowds = _crowds(material, settings)
    for labels in _truths(material / "coco" / "instances"):
        image = load_rgb(_picture(material / "coco" / "images", labels.stem))
        instances = np.array(Image.open(labels), np.int64)
        yield f"coco/{labels.stem}", image, instance_edges(instances)
        rng = np.random.default_rng([settings.seed, zlib.crc32(labels.stem.encode())])
        for part in range(settings.photo_parts):
            window = part_of(instances, rng)
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


def _crowds(material: Path, settings: TruthSettings) -> Iterator[tuple[str, RGBImage, FloatMap]]:
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
        raise InputError(f"{folder} has no picture {stem}: unpack the training material again.")
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
        rule="truth",
        guarded=False,
        size=max(score.shape),
        picture_size=(score.shape[0], score.shape[1]),
    )


if __name__ == "__main__":
    sys.exit(main())
