"""The whole program: from a folder of pictures to a model that the app opens."""

from __future__ import annotations

import csv
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.checkpoints.files import CheckpointError
from segdemo.checkpoints.locate import PARTS
from segdemo.checkpoints.registry import WEIGHTS, Weights
from segdemo.datatypes import InputError
from segdemo.diffdis.loading import load_unet
from segdemo.diffdis.lora import add_lora, merge_lora, save_lora
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.images import load_rgb
from segdemo.photo_features import PhotoFeatures
from tests.segdemo.diffegg.backbones import write_sd21
from tests.training.diffdis.drawn_pairs import draw_pairs
from tests.training.diffdis.narrow import write_narrow
from training.diffdis.__main__ import main
from training.diffdis.base import Ablation, load_base
from training.diffdis.data import PairBatches
from training.diffdis.latents import (
    CachedBatches,
    LatentCache,
    PairLatents,
    encode_batch,
    hash_encoder,
)
from training.diffdis.noise import NoiseSampler
from training.diffdis.pairs import find_pairs
from training.diffdis.settings import PRESETS, DiffDISTraining
from training.diffdis.train import DiffDISLosses, rate_scale, read_data, train
from training.loop.average import load_trained_state
from training.loop.checkpoints import RunFiles
from training.loop.sampling import BatchIndex
from training.loop.settings import LoopSettings
from training.loop.trainer import build_accelerator
from training.model_card import push, write_model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("pairs") / "disks", 8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_narrow(tmp_path_factory.mktemp("narrow") / "narrow")


@pytest.fixture
def settings(data: Path, tiny: Path, tmp_path: Path) -> DiffDISTraining:
    return _settings(data, tiny, tmp_path / "run")


def _settings(data: Path, tiny: Path, run: Path) -> DiffDISTraining:
    return DiffDISTraining(
        data_dir=str(data),
        output_dir=str(run),
        base_model=str(tiny),
        batch_size=2,
        max_steps=1,
        schedule="constant",
        learning_rate=2e-3,
        warmup_steps=0,
        precision="fp32",
        device="cpu",
        validation_share=0.2,
    )


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open() as handle:
        return list(csv.DictReader(handle))


def end_of(folder: Path) -> dict[str, Any]:
    path = RunFiles(folder).latest
    assert path is not None
    return dict(torch.load(path, weights_only=True))


@pytest.fixture(scope="module")
def whole(data: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> DiffDISTraining:
    """Settings of a run that is finished."""
    run = tmp_path_factory.mktemp("whole") / "run"
    settings = replace(_settings(data, tiny, run), max_steps=24, validate_steps=12)
    train(settings)
    return settings


def test_a_run_in_two_parts_ends_as_one_in_one(whole: DiffDISTraining, tmp_path: Path) -> None:
    parts = replace(whole, output_dir=str(tmp_path / "parts"))
    train(replace(parts, max_steps=12))
    train(parts)
    first, second = end_of(Path(whole.output_dir)), end_of(Path(parts.output_dir))
    assert first["step"] == second["step"] == 24
    for name, value in first["model"].items():
        assert torch.equal(value, second["model"][name]), name
        assert torch.equal(first["average"]["values"][name], second["average"]["values"][name])


def test_the_app_opens_what_a_run_wrote(whole: DiffDISTraining) -> None:
    run = Path(whole.output_dir)
    assert {row["step"] for row in rows(run, "validation")} == {"0", "12", "24"}
    for name in ("export", "best"):
        folder = run / name
        assert not [f for f in folder.rglob("*.json") if str(run.parent) in f.read_text()]
        assert whole.data_dir not in (folder / "segdemo.json").read_text()
        readme = (folder / "README.md").read_text()
        assert "| best |" in readme and "panels/" in readme
        # the official code reads one file, and its own names
        (weights,) = (folder / "unet").glob("*.safetensors")
        assert weights.name == "diffusion_pytorch_model.safetensors"
        assert "rgb_conv.0.0.weight" in load_file(weights)
        assistant = AnnotationAssistant(str(folder), device="cpu")
        assert assistant.native_size == 64
        image = np.zeros((40, 50, 3), np.uint8)
        assert assistant.segment(image).mask.shape == (40, 50)
    assert load_rgb(next((run / "panels").glob("*.png"))).shape == (60, 3 * 72, 3)


def test_the_loss_falls(whole: DiffDISTraining, data: Path) -> None:
    make = PairBatches(find_pairs(data).pairs, NoiseSampler(batch_size=8, size=64), augmented=False)
    index, losses = BatchIndex(0, 0, 0, 0, 0), []
    for folder in (whole.base_model, f"{whole.output_dir}/export"):
        pipeline = load_base(folder, Ablation(), "trained", 0).pipeline
        with torch.no_grad():
            losses.append(float(DiffDISLosses(pipeline, "fp32")(make(index), index)["loss"]))
    assert losses[1] < 0.8 * losses[0]


def test_first_weights_have_a_seed_of_their_own(settings: DiffDISTraining) -> None:
    def weight(**seeds: int) -> torch.Tensor:
        seed = replace(settings, **seeds).first_seed
        unet = load_base(settings.base_model, Ablation(), "scratch", seed).pipeline.unet
        return unet.conv_in.weight

    assert torch.equal(weight(), weight(seed=5, init_seed=0))
    assert not torch.equal(weight(), weight(seed=5))


@pytest.mark.parametrize(
    ("changes", "config"),
    [
        ({"no_edge": True}, {"edge_task": False, "interaction": "none", "class_embed_type": None}),
        ({"interaction": "concat"}, {"interaction": "concat"}),
        ({"interaction": "none", "no_cutmix": True}, {"interaction": "none"}),
        ({"no_swci": True, "gradient_checkpointing": True}, {"scale_injection": False}),
        ({"denoising": "2/2", "from_scratch": True}, {"denoising": "2/2"}),
    ],
)
def test_an_ablation_is_in_the_checkpoint_and_can_be_opened_and_trained_further(
    changes: dict[str, Any], config: dict[str, Any], settings: DiffDISTraining, tmp_path: Path
) -> None:
    settings = replace(settings, **changes)
    train(settings)
    folder = tmp_path / "run" / "export"
    unet = load_unet(folder / "unet")
    assert config.items() <= dict(unet.config).items()
    result = AnnotationAssistant(str(folder), device="cpu").segment(np.zeros((40, 50, 3), np.uint8))
    assert result.mask.shape == result.edge.shape == (40, 50)
    again = load_base(str(folder), settings.ablation, "trained", 0).pipeline.unet
    for name, value in unet.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_computing_twice_to_save_memory_gives_the_same_gradients(tiny: Path, data: Path) -> None:
    make = PairBatches(find_pairs(data).pairs, NoiseSampler(batch_size=2, size=64))
    index = BatchIndex(0, 0, 0, 0, 0)
    found = []
    for saving in (False, True):
        pipeline = load_base(str(tiny), Ablation(), "trained", 0).pipeline
        pipeline.unet.train()
        if saving:
            pipeline.unet.enable_gradient_checkpointing()
        DiffDISLosses(pipeline, "fp32")(make(index), index)["loss"].backward()
        found.append([parameter.grad for parameter in pipeline.unet.parameters()])
    for plain, saved in zip(*found, strict=True):
        torch.testing.assert_close(plain, saved)


def test_concatenated_keys_hold_the_items_own_and_the_others(tiny: Path) -> None:
    torch.manual_seed(0)
    latents, noise = torch.randn(1, 4, 8, 8), torch.randn(2, 4, 8, 8)
    found = {}
    for interaction in ("dbia", "concat", "none"):
        pipeline = load_base(str(tiny), Ablation(interaction=interaction), "trained", 0).pipeline
        pyramid = tuple(torch.zeros(1, 4, side, side) for side in (4, 2, 1))
        with torch.no_grad():
            same = pipeline.denoise(latents, pyramid, noise)
            other = pipeline.denoise(latents, pyramid, torch.cat([noise[:1], -noise[1:]]))
        found[interaction] = same[0]
        sees_the_other = not torch.equal(same[0], other[0])
        assert sees_the_other == (interaction != "none")
    assert not torch.equal(found["dbia"], found["concat"])


def test_training_begins_with_stable_diffusion(
    settings: DiffDISTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "cache"))
    write_sd21(tmp_path / "sd")
    changed = replace(settings, base_model=str(tmp_path / "sd"), image_size=64)
    train(changed)
    scheduler = json.loads((tmp_path / "run/export/scheduler/scheduler_config.json").read_text())
    assert scheduler["prediction_type"] == "v_prediction"
    assert scheduler["timestep_spacing"] == "trailing"
    assistant = AnnotationAssistant(str(tmp_path / "run/export"), device="cpu")
    assert assistant.segment(np.zeros((40, 50, 3), np.uint8)).mask.shape == (40, 50)
    with pytest.raises(InputError, match="generative model itself"):
        train(replace(changed, from_prior=True))


def test_training_begins_with_a_prior_or_refuses(
    settings: DiffDISTraining, tiny_backbone_folder: Path
) -> None:
    base = load_base(str(tiny_backbone_folder), Ablation(), "prior", 0)
    assert base.pipeline.unet.config.in_channels == 8
    with pytest.raises(InputError, match="nor prior/"):
        train(replace(settings, from_prior=True))


def test_stored_latents_are_those_of_the_pictures(tiny: Path, data: Path, tmp_path: Path) -> None:
    pipeline = load_base(str(tiny), Ablation(), "trained", 0).pipeline
    pairs, noise = find_pairs(data).pairs, NoiseSampler(batch_size=4, size=64)
    latents = PairLatents(LatentCache(tmp_path), 64, True, 3, hash_encoder(pipeline))
    latents.fill(pairs, pipeline)
    index = BatchIndex(0, 0, 0, 0, 0)
    with torch.no_grad():
        plain = PairBatches(pairs, noise, augmented=False, mixed=False)(index)
        expected = encode_batch(pipeline, plain).latents.tensors()
    stored_batches = CachedBatches(pairs, latents, noise, augmented=False)
    stored = stored_batches(index).latents.tensors()
    close = {"atol": 5e-3, "rtol": 1e-3}  # stored in half precision
    assert stored.keys() == expected.keys()
    for name, value in stored.items():
        torch.testing.assert_close(value, expected[name], **close)
    mirrored = CachedBatches(pairs, latents, noise)(index).latents
    assert pickle.loads(pickle.dumps(stored_batches)) == stored_batches  # workers get a copy
    some = [not torch.equal(a, b) for a, b in zip(mirrored.mask, stored["mask"], strict=True)]
    assert 0 < sum(some) < 4


def test_stored_latents_hold_photo_features_and_are_not_those_of_a_model_without(
    tiny: Path, data: Path, tmp_path: Path
) -> None:
    plain = load_base(str(tiny), Ablation(), "trained", 0).pipeline
    features = PhotoFeatures(width=0.25, depth=0.3).eval()
    unet = plain.unet.with_photo_features(features.condition_widths)
    parts = (plain.autoencoder, plain.scheduler, plain.null_text, plain.native_size)
    seeing = DiffDISPipeline(unet, *parts, photo_features=features)
    pairs, noise = find_pairs(data).pairs, NoiseSampler(batch_size=2, size=64)
    caches = [
        PairLatents(LatentCache(tmp_path), 64, True, p.unet.condition_count, hash_encoder(p))
        for p in (plain, seeing)
    ]
    assert not {caches[0].item(pair) for pair in pairs} & {caches[1].item(pair) for pair in pairs}
    caches[1].fill(pairs, seeing)
    batch = CachedBatches(pairs, caches[1], noise, augmented=False)(BatchIndex(0, 0, 0, 0, 0))
    widths = [level.shape[1] for level in batch.latents.pyramid]
    assert widths == [4, 4, 4, *features.condition_widths]
    with torch.no_grad():
        clean = seeing.denoise(batch.latents.image, batch.latents.pyramid, batch.noise)
    assert clean.shape == (4, 4, 8, 8)


def test_a_model_with_photo_features_is_written_whole_and_with_what_suits_it(
    tiny: Path, tmp_path: Path
) -> None:
    plain = load_base(str(tiny), Ablation(), "trained", 0).pipeline
    torch.manual_seed(1)
    features = PhotoFeatures(width=0.25, depth=0.3).eval()
    unet = plain.unet.with_photo_features(features.condition_widths)
    torch.nn.init.normal_(unet.photo_fusions[1].shift.weight, std=0.1)
    parts = (plain.autoencoder, plain.scheduler, plain.null_text, plain.native_size)
    seeing = DiffDISPipeline(unet, *parts, photo_features=features)
    card = ModelCard("seeing", "MIT", native_size=64, base=None, segment={"follow": True})
    write_model(seeing, card, tmp_path / "export")
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    found = AnnotationAssistant(str(tmp_path / "export"), device="cpu", precision="fp32").segment(
        image
    )
    wanted = seeing(image, DiffDISSettings(follow=True))
    np.testing.assert_allclose(found.mask, wanted.mask, atol=1e-4)
    base = load_base(str(tmp_path / "export"), Ablation(), "trained", 0)
    assert base.segment == {"follow": True}


def test_a_run_on_stored_latents_fills_the_cache_once(
    settings: DiffDISTraining, tmp_path: Path
) -> None:
    changed = replace(settings, cache_latents=str(tmp_path / "cache"))
    train(changed)
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()}
    assert len(files) == 6  # of 8 pairs 2 are held out
    train(replace(changed, max_steps=2))
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").iterdir()} == files


def test_all_problems_are_said_before_the_first_step(
    settings: DiffDISTraining, tmp_path: Path
) -> None:
    folder = draw_pairs(tmp_path / "data", 6)
    (folder / "gt/01#a.png").unlink()
    (folder / "im/02#a.jpg").write_bytes(b"no picture")
    changed = replace(settings, data_dir=str(folder), base_model="nowhere")
    with pytest.raises(InputError, match=r"2 problem(.|\n)*01#a(.|\n)*02#a") as raised:
        train(changed)
    assert "--allow_problems" in str(raised.value)
    train(replace(changed, allow_problems=True, base_model=settings.base_model))
    card = json.loads((tmp_path / "run/export/segdemo.json").read_text())
    assert card["training"]["pictures"] == 3  # of 4 good ones, 1 is held out


def test_a_model_that_cannot_be_uploaded_is_not_lost(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="could not be uploaded to me/mine"):
        push(tiny, "me/mine")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--batch_size", "3"], "even number"),
        (["--interaction", "talk"], "choose one of dbia"),
        (["--denoising", "1*/3"], "choose one of 1/1, 1*/2"),
        (["--preset", "fast"], "choose one of paper"),
        (["--epochs", "0"], "No end"),
        (["--epochs", "-3"], "epochs -3.0: choose 0 or more"),
        (["--image_size", "100"], "multiple of 64"),
        (["--from_prior", "--from_scratch"], "exclude"),
        (["--data_dir", "absent"], "does not exist"),
    ],
)
def test_wrong_usage(
    options: list[str],
    sentence: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--data_dir", str(data), "--output_dir", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*given, "--precision", "fp32", *options]) == 2
    assert sentence in capsys.readouterr().err


def test_the_papers_settings_give_way_to_what_is_said(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[DiffDISTraining] = []
    monkeypatch.setattr("training.diffdis.__main__.train", seen.append)
    given = ["--data_dir", str(data), "--preset", "paper", "--image_size", "512"]
    assert main(given) == 0
    (settings,) = seen
    for name, value in (PRESETS["paper"] | {"image_size": 512}).items():
        assert getattr(settings, name) == value
    assert isinstance(settings, LoopSettings)
    assert rate_scale("class_embedding.linear_1.weight") == 10 * rate_scale("conv_in.weight")


def test_dis_vd_beside_dis_tr_is_what_is_validated_on(settings: DiffDISTraining) -> None:
    root = Path(settings.output_dir).parent / "DIS5K"
    draw_pairs(root / "DIS-TR", 4)
    draw_pairs(root / "DIS-VD", 6)
    for number in range(4):  # the first four are those of DIS-TR
        for file in (root / "DIS-VD").rglob(f"{number:02d}#a.*"):
            file.unlink()
    changed = replace(settings, data_dir=str(root))
    accelerator = build_accelerator(changed, torch.device("cpu"))
    folder = Path(settings.output_dir)
    folder.mkdir()
    data = read_data(changed, folder, accelerator)
    assert (len(data.training), len(data.validation), data.source) == (4, 2, "DIS-VD")
    overlapping = replace(changed, validation_dir=str(root / "DIS-TR"))
    with pytest.raises(InputError, match="trained on as well"):
        read_data(overlapping, folder, accelerator)


@pytest.mark.parametrize("merged", [False, True])
def test_a_lora_is_trained_alone_and_opens_alone_or_merged(
    merged: bool, settings: DiffDISTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(settings.base_model)
    monkeypatch.setitem(WEIGHTS, "tiny", Weights(source, ("diffdis",), "tiny"))
    options = {"base_model": "tiny", "rank": 2, "merge_lora": merged, "ema_decay": 0.0}
    files = train(replace(settings, max_steps=3, **options))
    weights = torch.load(files.latest or "", weights_only=True)["model"]
    assert any("lora_A" in name for name in weights)
    buffers = dict(load_unet(source / "unet").named_buffers())
    assert all("lora_" in name or name in buffers for name in weights)
    export = files.folder / "export"
    assert (export / "lora").is_dir() != merged and (export / "unet").is_dir() == merged
    trained, base = (load_base(str(f), Ablation(), "trained", 0) for f in (export, source))
    changed = {
        name
        for name, value in trained.pipeline.unet.state_dict().items()
        if not torch.equal(value, base.pipeline.unet.state_dict()[name])
    }
    assert changed and all("attn" in name and "to_" in name for name in changed)
    model = base.pipeline.unet
    add_lora(model, 2)
    load_trained_state(model, weights)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    expected = base.pipeline(image, DiffDISSettings(size=64)).mask
    assistant = AnnotationAssistant(str(export), device="cpu", precision="fp32")
    found = assistant.segment(image, DiffDISSettings(size=64))
    np.testing.assert_allclose(found.mask, expected, atol=2e-5)  # of merging in float32


def test_a_lora_that_does_not_fit_is_one_sentence(tiny: Path, tmp_path: Path) -> None:
    unet = load_unet(tiny / "unet")
    add_lora(unet, 2)
    save_lora(unet, tmp_path / "lora")
    file = tmp_path / "lora" / "adapter_model.safetensors"
    written = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "lora").iterdir()}
    assert written <= set(PARTS["diffdis"].patterns())  # which come from the Hub
    weights = load_file(file)
    name = min(weights)
    save_file({**weights, name: torch.zeros(2, 3)}, file)
    with pytest.raises(CheckpointError, match="does not fit the network"):
        merge_lora(load_unet(tiny / "unet"), tmp_path / "lora")
    write_card(ModelCard("alone", "MIT", lora_of=str(tiny)), tmp_path)
    with pytest.raises(CheckpointError, match="'lora_of' should be the registered name"):
        locate_diffdis(str(tmp_path))
    with pytest.raises(InputError, match="begins untrained needs more than a LoRA"):
        DiffDISTraining(data_dir="d", rank=4, from_scratch=True)
