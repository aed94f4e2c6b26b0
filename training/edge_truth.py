"""Edges of pictures whose truth is known, as files that stage 2 of DiffEGG learns from.

    python -m training.edge_truth --material_dir train_mix --scenes runs/small/scenes \
        --output_dir runs/truth
    python -m training.diffegg --pictures runs/truth/pictures --pseudo_edges runs/truth/edges ...

DiffEGG itself needs no labels: its stage 1 (`training.pseudo_edges`) reads edges from attention.
Where a model is too small for its attention to know instances, outlines of labelled instances, of
composed scenes and edges drawn by people can take their place. They are written in the same form.
"""

from __future__ import annotations

import logging
import sys
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
from training.pseudo_edge_files import StoredEdge, write_edge
from training.scene_store import SceneStore
from training.scenes import IGNORED_INSTANCE

logger = logging.getLogger(__name__)

LOWER, UPPER = 0.05, 0.3
"""Scores below are interior, above edge. Drawn edges are means over people: one of five who saw an
edge is no certain one. Between them lies also what a reduced line is blurred to."""
UNKNOWN = (LOWER + UPPER) / 2


@dataclass(frozen=True)
class TruthSettings:
    """Which truth, and where it goes."""

    material_dir: str = field(metadata={"help": "Folder of training/README.md's material."})
    scenes: str = field(
        default="", metadata={"help": "Folder of scenes that training.small composed; or none."}
    )
    scene_count: int = field(default=3000, metadata={"help": "How many of them, from the first."})
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


def write_truth(settings: TruthSettings) -> int:
    """Write all pictures with their edges; returns how many. Raises InputError."""
    target = Path(settings.output_dir)
    count = 0
    for name, image, score in tqdm(_known(settings), unit="picture", disable=None):
        picture = target / "pictures" / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(picture)
        write_edge(_stored(score), target / "edges" / f"{name}.npz")
        count += 1
    return count


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write; 2 for wrong usage."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = HfArgumentParser(TruthSettings, prog="python -m training.edge_truth")
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
    for labels in _truths(material / "coco" / "instances"):
        image = load_rgb(_picture(material / "coco" / "images", labels.stem))
        yield f"coco/{labels.stem}", image, instance_edges(np.array(Image.open(labels), np.int64))
    for drawn in _truths(material / "photos_bsds_boundaries"):
        image = load_rgb(_picture(material / "photos_bsds", drawn.stem))
        score = np.asarray(Image.open(drawn).convert("L"), np.float32) / np.float32(255)
        yield f"bsds/{drawn.stem}", image, score
    if settings.scenes:
        scenes = SceneStore.open(Path(settings.scenes)).head(settings.scene_count)
        for index in range(len(scenes)):
            image, labels = np.array(scenes.images[index]), scenes.instances[index]
            yield f"scenes/{index:05d}", image, instance_edges(labels)


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
