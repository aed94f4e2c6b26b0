"""One run of the whole recipe, a step per stage, which the tests of its stages share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from training.small.settings import SmallSettings
from training.small.train import train


@pytest.fixture(autouse=True)
def own_precision() -> Iterator[None]:
    """Let every test choose its precision: accelerate keeps the first of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def finished(material_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallSettings:
    """Settings of a run at 64 pixels, which started from the autoencoder of one at 128."""
    AcceleratorState._reset_state(reset_partial_state=True)
    folder = tmp_path_factory.mktemp("small")
    first = SmallSettings(
        material_dir=str(material_dir),
        output_dir=str(folder / "first"),
        stages=["scenes", "autoencoder"],
        scene_count=4,
        image_size=128,
        vae_batch_size=2,
        batch_size=2,
        max_steps=1,
        precision="fp32",
        device="cpu",
    )
    train(first)
    options = vars(first) | {
        "output_dir": str(folder / "second"),
        "start_from": first.output_dir,
        "image_size": 64,
        "stages": ["scenes", "latents", "prior", "diffdis", "export"],
        "pixel_weight": 1.0,
        "picture_noise": 0.1,
    }
    second = SmallSettings(**options)
    train(second)
    return second


@pytest.fixture
def encoded(finished: SmallSettings, tmp_path: Path) -> SmallSettings:
    """Settings of a run that has its own scenes and latents, and starts from the finished one."""
    run = tmp_path / "run"
    for part in ("scenes", "latents"):
        shutil.copytree(Path(finished.output_dir) / part, run / part)
    options = vars(finished) | {"output_dir": str(run), "start_from": finished.output_dir}
    return SmallSettings(**options)
