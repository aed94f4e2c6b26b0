"""Furniture models become cut-outs with a transparent ground."""

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.small.render import main

CUBE = "mtllib cube.mtl\nusemtl red\n" + "".join(
    f"v {x} {y} {z}\n" for x in (0, 1) for y in (0, 1) for z in (0, 1)
)
CUBE += "f 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"


@pytest.mark.skipif(importlib.util.find_spec("vtk") is not None, reason="VTK is installed")
def test_without_vtk_the_program_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output_dir", str(tmp_path)]) == 2
    assert "pip install vtk" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("vtk") is None, reason="needs pip install vtk")
def test_a_red_cube_is_drawn_from_two_sides(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.sh3f", "w") as archive:
        archive.writestr("cube/cube.obj", CUBE)
        archive.writestr("cube/cube.mtl", "newmtl red\nKd 1 0 0\n")
        archive.writestr("cube/broken.obj", "nothing")
    options = ["--archives", str(tmp_path), "--size", "64"]
    assert main(["--output_dir", str(tmp_path / "out"), *options]) == 1  # one is broken
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    for view in range(2):
        pixels = np.asarray(Image.open(tmp_path / "out" / f"some__cube_{view}.png"))
        solid = pixels[..., 3] > 127
        assert 0.1 < solid.mean() < 0.9 and not solid[0].any()
        red, green, _ = pixels[solid][:, :3].mean(0)
        assert red > 3 * green
