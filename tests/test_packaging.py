"""The wheel: complete, with a command that works away from the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
from PIL import Image

import segdemo

ROOT = Path(__file__).parents[1]
SOURCES = (
    "segdemo",
    "training",
    "evaluation",
    "pyproject.toml",
    "requirements.txt",
    "README.md",
    "LICENSE",
    "docs/credits.md",
    "tests/packages.txt",
    "docs/packages.txt",
)


def test_the_wheel_segments_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """The dependencies are the tests' own: downloading them again would prove nothing more."""
    source, environment = tmp_path / "source", tmp_path / "env"
    for name in SOURCES:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    pip = [sys.executable, "-m", "pip"]
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(tmp_path)]
    run([*pip, "wheel", str(source), *options], tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"segdemo-{segdemo.__version__}-py3-none-any.whl"

    venv.create(environment, with_pip=False, symlinks=True)
    (packages,) = (environment / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = str(environment / "bin" / "python")
    install = [*pip, "--python", python, "install", "--no-deps", "--no-index", "--quiet"]
    run([*install, str(wheel)], tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    command = [str(environment / "bin" / "segdemo"), "segment", "photo.png", "--output_dir", "out"]
    run([*command, "--size", "64", "--no-augment", "--no-second_opinion"], tmp_path)
    assert (tmp_path / "out" / "photo_mask.png").is_file()
    run([python, "-m", "evaluation.dis", "--help"], tmp_path)
    run([python, "-m", "training.diffdis", "--help"], tmp_path)


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
