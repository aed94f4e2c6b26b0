"""What a model's card says of its settings holds wherever nobody says otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from evaluation.dis import main as measure
from segdemo.__main__ import main
from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.files import CheckpointError
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.editing.sessions import SessionStore
from segdemo.guided_filter import follow_outlines
from segdemo.images import to_grey
from segdemo.subject import load_subject_network, predict_saliency
from segdemo.ui.page import build_demo

SUITS = {"augment": True, "follow": True, "second_opinion": True}


@pytest.fixture
def folder(tiny_diffdis_folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(tiny_diffdis_folder, copy)
    card = copy / "segdemo.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"segment": SUITS}))
    return copy


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "cat.png"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_the_library_takes_the_cards_settings(folder: Path, photo: Path) -> None:
    assistant = AnnotationAssistant(str(folder), device="cpu")
    assert assistant.segment_defaults == DiffDISSettings(**SUITS)
    image = np.asarray(Image.open(photo))
    found = assistant.segment(image).mask
    plain = assistant.segment(image, DiffDISSettings(augment=True)).mask
    saliency = predict_saliency(image, load_subject_network())
    mean = (follow_outlines(plain, image) + 2 * saliency) / 3
    np.testing.assert_allclose(found, mean, atol=1e-6)
    assert not np.array_equal(found, plain)


@pytest.mark.parametrize(
    "wrong", [{"augmnt": True}, {"augment": "no"}, {"size": 128}, ["augment"], "follow"]
)
def test_what_a_card_cannot_say_is_one_sentence(folder: Path, wrong: object) -> None:
    card = folder / "segdemo.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"segment": wrong}))
    with pytest.raises(CheckpointError, match=r"segdemo\.json: 'segment(\.augment)?' (may|is)"):
        AnnotationAssistant(str(folder), device="cpu").segment_defaults  # noqa: B018


def test_page_and_endpoint_begin_with_them(folder: Path, tmp_path: Path) -> None:
    assistant = AnnotationAssistant(str(folder), device="cpu")
    page = build_demo(assistant, SessionStore(tmp_path / "sessions"))
    boxes = [
        block
        for block in page.blocks.values()
        if isinstance(block, gr.Checkbox)
        and block.label in ("Test-time augmentation", "Follow outlines", "Second opinion")
    ]
    assert [box.value for box in boxes] == [True, True, True]
    parameters = page.get_api_info()["named_endpoints"]["/segment"]["parameters"]
    defaults = {one["parameter_name"]: one["parameter_default"] for one in parameters}
    assert {name: defaults[name] for name in SUITS} == SUITS


@pytest.mark.parametrize(
    ("flags", "changes"),
    [([], {}), (["--no-augment"], {"augment": False}), (["--no-follow"], {"follow": False})],
)
def test_the_command_line_takes_them_unless_told_otherwise(
    folder: Path, photo: Path, tmp_path: Path, flags: list[str], changes: dict[str, bool]
) -> None:
    out = ["--output_dir", str(tmp_path / "out"), "--model", str(folder), "--device", "cpu"]
    assert main(["segment", str(photo), *out, *flags]) == 0
    image = np.asarray(Image.open(photo))
    settings = DiffDISSettings(**(SUITS | changes))
    expected = AnnotationAssistant(str(folder), device="cpu").segment(image, settings)
    written = np.asarray(Image.open(tmp_path / "out" / "cat_mask.png"))
    np.testing.assert_array_equal(written, to_grey(expected.mask))


def test_measuring_takes_them_unless_told_otherwise(
    folder: Path, photo: Path, tmp_path: Path
) -> None:
    bench = tmp_path / "bench" / "set"
    for kind in ("images", "masks"):
        (bench / kind).mkdir(parents=True)
        shutil.copy(photo, bench / kind)
    options = ["--ground_truth", str(bench), "--model", str(folder), "--device", "cpu"]
    image = np.asarray(Image.open(photo))
    for flags, changes in (([], {}), (["--no-follow", "--size", "128"], {"follow": False})):
        out = tmp_path / f"out{len(flags)}"
        assert measure([*options, *flags, "--output_dir", str(out)]) == 0
        settings = DiffDISSettings(**(SUITS | changes), size=128 if flags else 0)
        expected = AnnotationAssistant(str(folder), "cpu", "fp32").segment(image, settings)
        written = np.asarray(Image.open(out / "predictions" / "set" / "cat.png"))
        np.testing.assert_array_equal(written, to_grey(expected.mask))
        assert f"{settings}" in (out / "results.md").read_text()


def test_a_card_can_start_from_the_noises_mean(folder: Path, photo: Path) -> None:
    card = folder / "segdemo.json"
    image = np.asarray(Image.open(photo))
    seeds = [DiffDISSettings(seed=seed) for seed in (0, 1)]
    noisy = [AnnotationAssistant(str(folder), device="cpu").segment(image, s).mask for s in seeds]
    assert not np.array_equal(*noisy)
    card.write_text(json.dumps(json.loads(card.read_text()) | {"noise": 0.0}))
    quiet = [AnnotationAssistant(str(folder), device="cpu").segment(image, s).mask for s in seeds]
    np.testing.assert_array_equal(*quiet)
    assert not np.array_equal(quiet[0], noisy[0])
    several = DiffDISSettings(ensemble=3)
    doubt = AnnotationAssistant(str(folder), device="cpu").segment(image, several).uncertainty
    assert doubt is not None and doubt.max() > 0  # an ensemble still draws
