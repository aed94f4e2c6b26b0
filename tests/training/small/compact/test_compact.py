"""Training of the compact models on a miniature of their material."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.compact_autoencoder import CompactAutoencoder
from segdemo.diffdis.loading import load_diffdis, load_unet, save_unet
from segdemo.images import mask_contour
from segdemo.photo_features import PhotoFeatures
from segdemo.prompting.network import PromptedU2Net, PromptOutput
from training.small.compact import (
    autoencoder,
    export_subject,
    kept_photos,
    one_step_prompting,
    prompt_data,
    prompting,
    subject,
)
from training.small.compact.crops import CropSource
from training.small.compact.material import find_material
from training.small.compact.one_step_prompting import OneStepPrompter, with_map
from training.small.compact.prompt_data import PromptBatch, corrected
from training.small.compact.scene_material import SceneMaterial
from training.small.compact.subject_store import SubjectStore
from training.small.scenes.material import in_validation

LEARNT, KEPT = 1, 46
"""Numbers on either side of the split."""


@pytest.fixture(scope="module")
def data_dir(material_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the miniature to both sides of the split, and add photos2/."""
    folder = tmp_path_factory.mktemp("compact")
    for source in (path for path in material_dir.rglob("*") if path.is_file()):
        for number in (LEARNT, KEPT):
            name = f"{number}{source.suffix}" if source.stem.isdigit() else source.name
            copy = folder / "train_mix" / source.relative_to(material_dir).with_name(name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    shutil.copytree(folder / "train_mix" / "ccp", folder / "photos2" / "pseudo_things")
    return folder


def test_the_split_goes_by_the_source_photo() -> None:
    assert not in_validation(Path("ccp/1.webp"))
    assert in_validation(Path("ccp/images/0046.webp"))
    assert in_validation(Path("pseudo_ccp_rest/masks/ccp_rest_46.png"))
    sides = [in_validation(Path(f"cutouts_3d/chair_{view}.webp")) for view in range(10)]
    assert len(set(sides)) == 1


def test_both_sides_of_the_split_share_no_source(data_dir: Path) -> None:
    learnt, kept = (find_material(data_dir, validation) for validation in (False, True))
    assert {path.stem for path in learnt.photos + learnt.cutouts} == {str(LEARNT)}
    assert {path.stem for path in kept.photos + kept.cutouts} == {str(KEPT)}


def test_crops_are_in_range_and_a_function_of_the_seed(data_dir: Path) -> None:
    source = CropSource(find_material(data_dir, validation=False), 32)
    crops = source.batch(6, np.random.default_rng(3))
    assert crops.shape == (6, 3, 32, 32)
    assert crops.min() >= -1
    assert crops.max() <= 1
    assert torch.equal(crops, source.batch(6, np.random.default_rng(3)))


def test_the_autoencoder_trains_resumes_and_is_saved(data_dir: Path, tmp_path: Path) -> None:
    arguments = f"--data_dir {data_dir} --output_dir {tmp_path} --device cpu --crop_size 32 "
    arguments += "--batch_size 2 --patch_size 4 --widths 8 8 --encoder_blocks 1 1 "
    arguments += "--decoder_blocks 1 1 --validation_count 2 --validate_steps 2 --save_steps 1 "
    assert autoencoder.main((arguments + "--max_steps 1").split()) == 0
    assert autoencoder.main((arguments + "--max_steps 2").split()) == 0
    assert (tmp_path / "validation.csv").exists()
    network = CompactAutoencoder.from_pretrained(tmp_path / "vae")
    assert network.config.block_out_channels == [8, 8]
    mask = Image.open(next((data_dir / "train_mix/ccp/masks").iterdir()))
    restored = autoencoder.round_trip(network, mask, 32)
    assert restored.shape == mask.size[::-1]


def test_prompting_trains_from_u2netp(data_dir: Path, tmp_path: Path) -> None:
    arguments = f"--data_dir {data_dir} --output_dir {tmp_path} --device cpu --window_size 32 "
    arguments += "--batch_size 2 --validation_count 8 --max_steps 1"
    assert prompting.main(arguments.split()) == 0
    trained = PromptedU2Net.from_pretrained(tmp_path / "network")
    assert trained.config.channels == 64
    assert tuple(trained.config.photo_widths) == tuple(PhotoFeatures().widths)


@pytest.fixture(scope="module")
def seeing_folder(tiny_diffdis_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny DiffDIS model with photo features."""
    folder = tmp_path_factory.mktemp("seeing") / "model"
    shutil.copytree(tiny_diffdis_folder, folder, ignore=shutil.ignore_patterns("unet"))
    torch.manual_seed(0)
    features = PhotoFeatures(width=0.25, depth=0.3)
    features.save_pretrained(folder / "photo_features")
    unet = load_unet(tiny_diffdis_folder / "unet").with_photo_features(features.condition_widths)
    for fusion in unet.photo_fusions:
        torch.nn.init.normal_(fusion.shift.weight, std=0.1)
    save_unet(unet, folder / "unet")
    return folder


def test_one_step_prompting_trains_a_network_that_sees_prompts(
    data_dir: Path, seeing_folder: Path, tmp_path: Path
) -> None:
    arguments = f"--data_dir {data_dir} --output_dir {tmp_path} --start_from {seeing_folder} "
    arguments += "--device cpu --window_size 64 --batch_size 2 --validation_count 8 --max_steps 1"
    assert one_step_prompting.main(arguments.split()) == 0
    before, trained = (load_unet(folder / "unet") for folder in (seeing_folder, tmp_path))
    for known, fusion in zip(before.photo_fusions, trained.photo_fusions, strict=True):
        own = fusion.features[1].weight  # (C, c + 4, 1, 1)
        assert own.shape[1] == known.features[1].weight.shape[1] + 4
        assert own[:, -4:].any()  # where it begins with zeros


def test_the_one_step_starts_from_the_mask_so_far_where_there_is_one(seeing_folder: Path) -> None:
    pipeline = load_diffdis(locate_diffdis(str(seeing_folder)), torch.device("cpu"))
    prompter = OneStepPrompter(pipeline)
    torch.manual_seed(1)
    maps = torch.zeros(2, 1, 64, 64)
    batch = PromptBatch(torch.rand(2, 3, 64, 64) * 2 - 1, maps, maps, torch.zeros(2, 4, 64, 64))
    prompts = batch.prompts.clone()
    prompts[0, 3] = 1
    with torch.no_grad():
        answer = prompter.look(batch)
        without, found = answer(batch.prompts).found, answer(prompts).found
    assert torch.equal(without[1], found[1])
    assert not torch.allclose(without[0], found[0], atol=1e-3)


def test_a_prompt_joins_features_at_their_size_and_scale() -> None:
    features = torch.tensor([[[[-3.0, 3.0], [3.0, -3.0]]]]).repeat(1, 2, 1, 1)  # (1, 2, 2, 2)
    prompts = torch.zeros(1, 4, 8, 8)
    prompts[:, 0, :4, :2] = 1  # half of the first of four cells
    joined = with_map(features, prompts)
    assert torch.equal(joined[:, :2], features)
    deviation = float(features.std())
    assert joined[0, 2].tolist() == [[pytest.approx(deviation / 2), 0], [0, 0]]
    assert not joined[:, 3:].any()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [("--window_size 100", "choose a multiple of 64"), ("", "sees photo features and finds edges")],
)
def test_what_the_one_step_cannot_begin_with_is_one_sentence(
    options: str,
    sentence: str,
    tiny_diffdis_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = f"--start_from {tiny_diffdis_folder} --output_dir {tmp_path} {options}"
    assert one_step_prompting.main(arguments.split()) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_a_detail_shows_an_outline_and_a_coarse_mask_of_it() -> None:
    rng = np.random.default_rng(0)
    target = np.zeros((120, 160), bool)
    target[20:100, 30:90] = True
    image = Image.fromarray(np.where(target, 200, 30).astype(np.uint8)).convert("RGB")
    for _ in range(20):
        found = prompt_data.detail(image, target, 32, rng)
        inside = found.mask > 127
        assert 0 < inside.mean() < 1
        assert not found.prompt[:3].any()  # neither box nor clicks
        assert ((found.image[..., 0] > 115) == inside).mean() > 0.9
        known = found.prompt[3]
        assert known[inside].mean() > known[~inside].mean()


def test_prompts_come_with_masks_and_their_edges(data_dir: Path) -> None:
    material = SceneMaterial(find_material(data_dir, validation=False))
    batch = prompt_data.prompt_batch(material, 8, 64, np.random.default_rng(0))
    masks = (batch.masks[:, 0].numpy() * 255).round().astype(np.uint8)
    wanted = np.stack([mask_contour(mask) for mask in masks])
    np.testing.assert_array_equal(batch.edges[:, 0].numpy() * 255, wanted)
    assert 0 < batch.edges.mean() < batch.masks.mean()


def test_only_a_network_with_edges_learns_them() -> None:
    right, wrong = (torch.full((1, 1, 8, 8), value) for value in (9.0, -9.0))
    one = torch.ones(1, 1, 8, 8)
    batch = PromptBatch(torch.zeros(1, 3, 8, 8), one, one, torch.zeros(1, 4, 8, 8))
    none, good, bad = (
        float(prompting.output_loss(PromptOutput(right, [right], edge), batch))
        for edge in (None, right, wrong)
    )
    assert none < good < none + 0.01
    assert bad - good == pytest.approx(9 * prompting.EDGE_WEIGHT, rel=0.01)


def test_missing_material_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prompting.main(["--data_dir", str(tmp_path), "--output_dir", str(tmp_path / "run")]) == 2
    assert "train_mix is missing" in capsys.readouterr().err


def test_a_correction_adds_the_answer_and_a_click_where_it_is_wrong() -> None:
    masks = torch.zeros(1, 1, 40, 40)
    masks[..., 5:25, 5:25] = 1
    found = torch.zeros(1, 1, 40, 40)
    batch = PromptBatch(torch.zeros(1, 3, 40, 40), masks, masks, torch.zeros(1, 4, 40, 40))
    batch.prompts[:, 0] = 1
    rng = np.random.default_rng(0)
    boxes = [bool(corrected(batch, found, rng).prompts[0, 0].any()) for _ in range(20)]
    assert {True, False} == set(boxes)  # some go on without the box
    prompts = corrected(batch, found, np.random.default_rng(0)).prompts[0]
    assert (prompts[3] == -1).all()
    rows, columns = np.nonzero(prompts[1].numpy())
    assert 8 < rows.mean() < 21
    assert 8 < columns.mean() < 21
    assert not prompts[2].any()


def test_what_is_kept_back_is_written_to_be_measured_on(data_dir: Path, tmp_path: Path) -> None:
    arguments = f"--data_dir {data_dir} --output_dir {tmp_path} --scenes 2 --scene_size 64"
    assert kept_photos.main(arguments.split()) == 0
    for kind, names in (("people", [str(KEPT)]), ("scenes", ["0000", "0001"])):
        masks = sorted((tmp_path / kind / "masks").iterdir())
        assert [file.stem for file in masks] == names
        for file in masks:
            image = Image.open(tmp_path / kind / "images" / file.name)
            mask = np.asarray(Image.open(file))
            assert mask.shape == image.size[::-1] and np.ptp(mask) > 127


def test_the_subject_network_learns_from_a_store_that_grows(data_dir: Path, tmp_path: Path) -> None:
    shape = {"block_out_channels": (8, 8), "encoder_blocks": (1, 1), "decoder_blocks": (1, 1)}
    CompactAutoencoder(4, 16, **shape).save_pretrained(tmp_path / "vae")
    arguments = f"--data_dir {data_dir} --output_dir {tmp_path} --autoencoder {tmp_path / 'vae'} "
    arguments += "--device cpu --image_size 64 --validation_count 2 --batch_size 2 --save_steps 1 "
    assert subject.main((arguments + "--stages scenes latents --scene_count 3").split()) == 0
    assert subject.main((arguments + "--stages train --max_steps 1").split()) == 0
    again = arguments + f"--stages train --max_steps 2 --start_from {tmp_path / 'unet'}"
    assert subject.main(again.split()) == 0
    store = SubjectStore(tmp_path / "scenes")
    batch = store.batch(np.arange(2))
    assert len(store) == 3
    assert batch.start.shape == (2, 16, 8, 8)
    assert batch.pyramid[-1].shape == (2, 64, 1, 1)
    assert load_unet(tmp_path / "unet").config.out_channels == 16

    options = f"--run {tmp_path} --autoencoder {tmp_path / 'vae'} --output_dir {tmp_path / 'out'}"
    assert export_subject.main([*options.split(), "--native_size", "64"]) == 0
    configs = [file.read_text() for file in (tmp_path / "out").rglob("config.json")]
    assert not any(str(tmp_path) in text for text in configs)
    assistant = AnnotationAssistant(str(tmp_path / "out"), device="cpu")
    assert "iou" in str(assistant._files.card.training["validation"])
    found = assistant.segment(np.zeros((40, 60, 3), np.uint8))
    assert found.mask.shape == (40, 60)
