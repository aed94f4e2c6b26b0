"""Write what is kept back from training as folders that `evaluation.dis` measures on.

    python -m training.small.compact.kept_photos --data_dir material --output_dir runs/kept

`people` and `subjects` are photos, `scenes` are composed of kept material; `instances` are for
`evaluation.prompting`. Settings of a model are chosen on these, so that the benches stay unseen
until it is final.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segdemo.settings import setting
from training.program import run_program
from training.small.compact.material import LabelledFile, find_material
from training.small.compact.scene_material import SceneMaterial
from training.small.scenes.compose import compose_scene


@dataclass(frozen=True)
class KeptSettings:
    """Where from, where to, and how much."""

    data_dir: str = setting("material", "Holds train_mix/ and photos2/.")
    output_dir: str = setting("runs/kept", "Folder to write.")
    photos: int = setting(40, "Photos of each kind, at most.", minimum=1)
    scenes: int = setting(40, "Scenes to compose.", minimum=1)
    scene_size: int = setting(512, "Side of the scenes in pixels.", minimum=64, maximum=2048)
    seed: int = setting(1000, "Of the scenes.", minimum=0)


def write_kept(settings: KeptSettings) -> None:
    """Write `people/`, `subjects/` and `scenes/` with images/ and masks/, and `instances/`."""
    files = find_material(Path(settings.data_dir), validation=True)
    folder = Path(settings.output_dir)
    kinds: dict[str, list[LabelledFile]] = {"people": files.people, "subjects": files.subjects}
    for kind, pairs in kinds.items():
        for pair in pairs[: settings.photos]:
            image = Image.open(pair.image).convert("RGB")
            mask = Image.open(pair.labels).convert("L").resize(image.size)
            _write(folder / kind, pair.image.stem, image, masks=mask)
    for pair in files.instances[: settings.photos]:
        labels = Image.open(pair.labels)
        _write(folder / "instances", pair.image.stem, Image.open(pair.image), instances=labels)
    material = SceneMaterial(files)
    for index in range(settings.scenes):
        rng = np.random.default_rng([settings.seed, index])
        scene = compose_scene(material, settings.scene_size, rng)
        image, mask = Image.fromarray(scene.image), Image.fromarray(scene.mask)
        _write(folder / "scenes", f"{index:04d}", image, masks=mask)


def _write(folder: Path, name: str, image: Image.Image, **labels: Image.Image) -> None:
    """Write an image and what is known of it, each into a folder of its kind."""
    for kind, values in ({"images": image.convert("RGB")} | labels).items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        values.save(folder / kind / f"{name}.png")


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and write; 2 for wrong usage."""
    return run_program(write_kept, KeptSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
