"""The endpoints `/trace` and `/edges`, as a program calls them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.full((60, 90, 3), 230, np.uint8)
    pixels[15:45, 25:65] = (200, 30, 30)
    path = tmp_path / "red box.png"
    Image.fromarray(pixels).save(path)
    return path


def test_a_trace_is_two_files_and_what_peakkl_chose(client: Client, photo: Path) -> None:
    arrays, curve, info = client.predict(
        handle_file(str(photo)), timesteps="900:100:3", layers="up_blocks", api_name="/trace"
    )
    assert [Path(file).name for file in (arrays, curve)] == [
        "red box_trace.npz",
        "red box_kl_curve.csv",
    ]
    assert info["timesteps"] == [900, 500, 100]
    assert info["peak_timestep"] in (500, 100)
    assert (info["rule"], info["guarded"]) in (("paper", False), ("quantile", True))
    assert all("up_blocks" in layer for layer in info["layers"])
    with np.load(arrays) as stored:
        np.testing.assert_array_equal(stored["gaps"], info["gaps"])
    assert len(Path(curve).read_text().splitlines()) == 3


def test_a_program_may_choose_the_step_and_the_rule(client: Client, photo: Path) -> None:
    _, _, info = client.predict(
        handle_file(str(photo)),
        timesteps="900:100:3",
        edge_timestep="450",
        rule="log",
        api_name="/trace",
    )
    assert (info["edge_timestep"], info["rule"]) == (500, "log")
    _, _, info = client.predict(
        handle_file(str(photo)), timesteps="900:100:3", edge_timestep="peak", api_name="/trace"
    )
    assert info["edge_timestep"] == info["peak_timestep"]


def test_edges_have_the_pictures_size_and_say_where_they_come_from(
    client: Client, photo: Path
) -> None:
    edge, info = client.predict(handle_file(str(photo)), api_name="/edges")
    picture = Image.open(edge)
    assert (Path(edge).name, picture.mode, picture.size) == ("red box_edge.png", "L", (90, 60))
    assert info["origin"] == "edge_kl"
    assert "EdgeKL" in info["note"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"timesteps": "99 999"}, "must fall"),
        ({"timesteps": "1200 100"}, "outside 0 to 999"),
        ({"layers": "nonesuch"}, "nonesuch"),
        ({"edge_timestep": "soon"}, "edge_timestep 'soon'"),
        ({"rule": "luck"}, "choose one of paper"),
        ({"size": 100}, "multiple of 64"),
    ],
)
def test_a_bad_setting_is_named(
    client: Client, photo: Path, given: dict[str, object], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(handle_file(str(photo)), **given, api_name="/trace")
