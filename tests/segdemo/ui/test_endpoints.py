"""The public endpoints, as a program calls them."""

from __future__ import annotations

import json
import urllib.request
import zipfile
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
    path = tmp_path / "red box.jpg"
    Image.fromarray(pixels).save(path, exif=_turned_right())
    return path


def _turned_right() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6  # shown turned by 90 degrees
    return exif


def test_only_the_named_endpoints_are_public(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert sorted(endpoints) == [
        "/edges",
        "/prompt",
        "/refine",
        "/refine_window",
        "/segment",
        "/segment_batch",
        "/trace",
    ]
    names = [parameter["parameter_name"] for parameter in endpoints["/segment"]["parameters"]]
    assert names == [
        "photo",
        "size",
        "seed",
        "augment",
        "ensemble",
        "soft",
        "threshold",
        "follow",
    ] + ["second_opinion", "noise", "sampler", "mirror", "second_look", "share"]
    names = [parameter["parameter_name"] for parameter in endpoints["/trace"]["parameters"]]
    assert names == ["photo", "timesteps", "size", "seed", "layers", "edge_timestep", "rule"]


def test_segment_returns_files_of_the_upright_size_under_the_uploads_name(
    client: Client, photo: Path
) -> None:
    mask, edge, cutout, info = client.predict(handle_file(str(photo)), api_name="/segment")
    assert [Path(file).name for file in (mask, edge, cutout)] == [
        "red box_mask.png",
        "red box_edge.png",
        "red box_cutout.png",
    ]
    assert {Image.open(file).size for file in (mask, edge, cutout)} == {(60, 90)}
    assert [Image.open(file).mode for file in (mask, edge, cutout)] == ["L", "L", "RGBA"]
    assert info["name"] == "red box.jpg"
    assert info["summary"].startswith("64 px, 1 pass, cpu, ")


def test_the_same_seed_gives_the_same_mask_and_another_seed_another(
    client: Client, photo: Path
) -> None:
    def mask(seed: int) -> np.ndarray:
        files = client.predict(handle_file(str(photo)), seed=seed, api_name="/segment")
        return np.asarray(Image.open(files[0]))

    np.testing.assert_array_equal(mask(3), mask(3))
    assert (mask(3) != mask(4)).any()


def test_the_starting_noise_can_be_the_official_code_s(client: Client, photo: Path) -> None:
    def mask(**given: str) -> np.ndarray:
        files = client.predict(handle_file(str(photo)), **given, api_name="/segment")
        return np.asarray(Image.open(files[0]))

    np.testing.assert_array_equal(mask(), mask(noise="gaussian", sampler="ddim"))
    assert (mask() != mask(noise="pyramid")).any()


def test_a_hard_mask_is_black_and_white(client: Client, photo: Path) -> None:
    mask, *_ = client.predict(handle_file(str(photo)), soft=False, api_name="/segment")
    assert set(np.unique(np.asarray(Image.open(mask)))) <= {0, 255}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": 100}, "Working size 100 must be a multiple of 64"),
        ({"seed": -1}, "Seed must be a whole number from 0 up"),
        ({"seed": 1.5}, "Seed must be a whole number"),
        ({"ensemble": 99}, "ensemble 99 is outside 1 to 32"),
        ({"noise": "white"}, "noise 'white': choose one of gaussian, pyramid"),
        ({"sampler": "euler"}, "sampler 'euler': choose one of ddim, ddpm"),
        ({"soft": False, "threshold": 3}, "Threshold must be a number from 0 to 1"),
    ],
)
def test_a_bad_setting_is_named(
    client: Client, photo: Path, given: dict[str, float], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(handle_file(str(photo)), **given, api_name="/segment")


def test_a_bad_file_is_named_and_the_server_lives_on(
    client: Client, photo: Path, tmp_path: Path
) -> None:
    text = tmp_path / "letter.png"
    text.write_text("Dear reader")
    with pytest.raises(AppError, match=r"letter\.png"):
        client.predict(handle_file(str(text)), api_name="/segment")
    client.predict(handle_file(str(photo)), api_name="/segment")


@pytest.mark.parametrize("meta", [{"meta": {"_type": "gradio.FileData"}}, {}])
def test_a_path_on_the_server_is_refused(served: str, meta: dict[str, object]) -> None:
    secret = Path(__file__).resolve()
    body = json.dumps({"data": [{"path": str(secret)} | meta, 0, 0, False, 1, True, 0.5]})
    request = urllib.request.Request(
        f"{served}gradio_api/call/segment", body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{served}gradio_api/call/segment/{event}") as reply:
        said = reply.read().decode()
    assert "event: error" in said
    assert "is not an image" not in said  # that would mean it had been opened


def test_a_batch_reports_each_file_and_packs_what_succeeded(
    client: Client, photo: Path, tmp_path: Path
) -> None:
    text = tmp_path / "letter.png"
    text.write_text("Dear reader")
    archive = tmp_path / "album.zip"
    with zipfile.ZipFile(archive, "w") as album:
        album.write(photo, "summer/beach.jpg")
        album.writestr("notes.txt", "not a picture")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK")

    files = [handle_file(str(path)) for path in (photo, text, archive, broken)]
    table, packed, summary = client.predict(files, api_name="/segment_batch")
    rows = {(name, status) for name, status, _ in table["data"]}
    assert rows == {
        ("red box.jpg", "done"),
        ("letter.png", "failed"),
        ("summer/beach.jpg", "done"),
        ("album.zip", "skipped"),
        ("broken.zip", "failed"),
    }
    assert summary == "2 of 3 done, 2 failed"
    assert sorted(zipfile.ZipFile(packed).namelist()) == [
        f"{stem}_{kind}.png"
        for stem in ("red box", "summer/beach")
        for kind in ("cutout", "edge", "mask")
    ]


def test_an_empty_batch_is_said_in_words(client: Client) -> None:
    with pytest.raises(AppError, match="no photo yet"):
        client.predict([], api_name="/segment_batch")


def test_grey_that_is_stretched_is_told_with_the_result(client: Client, tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 30), 900, np.uint16)).save(tmp_path / "scan.png")
    photo = handle_file(str(tmp_path / "scan.png"))
    told = "scan.png has grey of 10 bits in 16: it was stretched to the full range"
    *_, info = client.predict(photo, api_name="/segment")
    assert told in info["summary"]
    table, *_ = client.predict([photo], api_name="/segment_batch")
    assert told in table["data"][0][2]


def test_a_window_is_looked_at_again_and_the_rest_of_the_mask_stays(
    client: Client, photo: Path, tmp_path: Path
) -> None:
    given = tmp_path / "mask.png"
    Image.fromarray(np.full((90, 60), 51, np.uint8)).save(given)
    files = {"photo": handle_file(str(photo)), "mask": handle_file(str(given))}
    file, info = client.predict(**files, box=[10, 20, 50, 70], api_name="/refine_window")
    mask = np.asarray(Image.open(file))
    assert (Path(file).name, info) == ("red box_mask.png", {"name": "red box.jpg"})
    outside = np.ones(mask.shape, bool)
    outside[20:70, 10:50] = False
    assert (mask[outside] == 51).all()
    assert (mask[~outside] != 51).any()

    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "small.png")
    for change, sentence in (
        ({"box": [1, 2, 3]}, "A box is four numbers"),
        ({"box": [1, 1, 4, 4]}, "draw a larger one"),
        ({"mask": handle_file(str(tmp_path / "small.png"))}, r"small\.png is 9 x 9, red box\.jpg"),
    ):
        with pytest.raises(AppError, match=sentence):
            client.predict(**(files | {"box": [0, 0, 60, 90]} | change), api_name="/refine_window")
