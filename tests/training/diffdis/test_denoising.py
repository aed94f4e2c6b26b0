"""The paradigms of the paper's Table 4: what each draws, learns and does at test."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError
from segdemo.diffdis.denoising import find_denoising, renamed
from segdemo.diffdis.loading import SD_TURBO_SCHEDULE
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffusion import add_noise, ancestral_step, ddim_step, predict_clean
from tests.parity import FIXTURES
from tests.training.diffdis.drawn_pairs import draw_pairs
from tests.training.diffdis.narrow import write_narrow
from training.diffdis.base import Ablation, load_base
from training.diffdis.data import PairBatches
from training.diffdis.latents import EncodedBatch, encode_batch
from training.diffdis.losses import diffdis_losses
from training.diffdis.noise import NoiseSampler
from training.diffdis.pairs import find_pairs
from training.diffdis.settings import DiffDISTraining
from training.diffdis.train import train
from training.loop.checkpoints import RunFiles
from training.loop.sampling import BatchIndex
from training.loop.settings import check_resumed

OLD = FIXTURES / "old_denoising"
"""Stored by a run and an export of `--denoising_steps 2`."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_narrow(tmp_path_factory.mktemp("narrow") / "narrow")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("pairs") / "disks", 6)


def settings_of(tiny: Path, data: Path, run: Path, **changes: Any) -> DiffDISTraining:
    given = {
        "data_dir": str(data),
        "output_dir": str(run),
        "base_model": str(tiny),
        "batch_size": 2,
        "max_steps": 4,
        "schedule": "constant",
        "learning_rate": 8e-3,
        "warmup_steps": 0,
        "ema_decay": 0.0,
        "precision": "fp32",
        "device": "cpu",
        "validation_share": 0.2,
        "panels": 0,
    }
    return DiffDISTraining(**given | changes)


def end_of(folder: Path) -> dict[str, Any]:
    path = RunFiles(folder).latest
    assert path is not None
    return dict(torch.load(path, weights_only=True))


def batch_of(pipeline: DiffDISPipeline, data: Path, timesteps: tuple[int, ...]) -> EncodedBatch:
    """Return the latents and the noise of all pairs."""
    make = PairBatches(find_pairs(data).pairs, NoiseSampler(6, 64), augmented=False, mixed=False)
    with torch.no_grad():
        batch = encode_batch(pipeline, make(BatchIndex(0, 0, 0, 0, 0)))
    return replace(batch, timesteps=timesteps)


@pytest.mark.parametrize(
    ("name", "test", "drawn"),
    [
        ("1/1", (999,), {(999,)}),
        ("1*/2", (999, 499), {(999,), (499,)}),
        ("2/2", (999, 499), {(999, 499)}),
        ("1*/10", tuple(range(999, 0, -100)), {(t,) for t in range(1000)}),
        ("1*/4-grid", (999, 749, 499, 249), {(999,), (749,), (499,), (249,)}),
    ],
)
def test_a_paradigm_says_what_is_drawn_and_what_is_taken_at_test(
    name: str, test: tuple[int, ...], drawn: set[tuple[int, ...]]
) -> None:
    found, rng = find_denoising(name), np.random.default_rng(0)
    assert found.test == test
    assert {found.draw(rng) for _ in range(20_000)} == drawn


@pytest.mark.parametrize("name", ["1", "1*", "3/3", "1*/0-grid", "1*/2000-grid"])
def test_other_paradigms_are_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InputError, match="choose one of 1/1, 1\\*/2, 2/2, 1\\*/10"):
        find_denoising(name)


def test_printed_noise_is_one_gaussian_for_mask_and_edge() -> None:
    printed, official = (
        NoiseSampler(3, 128, kind=kind)(np.random.default_rng(0))[0]
        for kind in ("gaussian", "pyramid")
    )
    assert printed.shape == official.shape == (6, 4, 16, 16)
    assert torch.equal(printed[:3], printed[3:]) and not torch.equal(official[:3], official[3:])
    # Gaussian noise averages out over 8 x 8 cells, multi-resolution noise does not
    coarse = [torch.nn.functional.avg_pool2d(noise, 8).std() for noise in (printed, official)]
    assert coarse[0] < 0.2 < coarse[1]


def test_the_ancestral_step_is_equation_3_and_diffusers() -> None:
    scheduler = DDPMScheduler(**SD_TURBO_SCHEDULE)
    torch.manual_seed(0)
    noisy, predicted = torch.randn(2, 4, 6, 6), torch.randn(2, 4, 6, 6)
    fresh = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(3))
    for steps, timestep, earlier in ((2, 999, 499), (10, 599, 499), (1000, 999, 998)):
        clean = predict_clean(scheduler, noisy, predicted, timestep)
        found = ancestral_step(scheduler, noisy, clean, timestep, earlier, fresh)

        total, before = (float(scheduler.alphas_cumprod[t]) for t in (timestep, earlier))
        alpha = total / before
        sigma = math.sqrt((1 - before) / (1 - total) * (1 - alpha))
        mean = (noisy - (1 - alpha) / math.sqrt(1 - total) * predicted) / math.sqrt(alpha)
        torch.testing.assert_close(found, mean + sigma * fresh, atol=2e-4, rtol=1e-4)

        scheduler.set_timesteps(steps)
        generator = torch.Generator().manual_seed(3)
        step = scheduler.step(predicted, timestep, noisy, generator=generator)
        torch.testing.assert_close(found, step.prev_sample, atol=1e-5, rtol=1e-5)


def test_a_ddim_step_with_the_true_noise_stays_on_the_way_of_equation_1() -> None:
    scheduler = DDPMScheduler(**SD_TURBO_SCHEDULE)
    clean, noise = torch.randn(2, 1, 4, 6, 6)
    noisy = add_noise(scheduler, clean, noise, 999)
    found = ddim_step(scheduler, noisy, clean, 999, 499)
    torch.testing.assert_close(found, add_noise(scheduler, clean, noise, 499), atol=1e-5, rtol=0)


def test_unrolled_gradients_reach_the_first_step(tiny: Path, data: Path) -> None:
    pipeline = load_base(str(tiny), Ablation(denoising="2/2"), "trained", 0).pipeline
    predictions: list[torch.Tensor] = []

    def keep(module: object, inputs: object, output: torch.Tensor) -> None:
        output.retain_grad()
        predictions.append(output)

    pipeline.unet.register_forward_hook(keep)
    diffdis_losses(pipeline, batch_of(pipeline, data, (999, 499)))["loss"].backward()
    assert len(predictions) == 2
    for prediction in predictions:
        assert prediction.grad is not None and prediction.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("name", "noise"), [("1*/2", "pyramid"), ("2/2", "gaussian"), ("1*/10", "pyramid")]
)
def test_each_paradigm_learns_and_resumes_exactly(
    name: str, noise: str, tiny: Path, data: Path, tmp_path: Path
) -> None:
    whole = settings_of(tiny, data, tmp_path / "whole", denoising=name, noise=noise)
    parts = replace(whole, output_dir=str(tmp_path / "parts"))
    train(whole)
    train(replace(parts, max_steps=2))
    train(parts)
    first, second = (end_of(tmp_path / run) for run in ("whole", "parts"))
    for key, value in first["model"].items():
        assert torch.equal(value, second["model"][key]), key

    timesteps = find_denoising(name).test if name == "2/2" else (499,)
    losses = []
    for folder in (tiny, tmp_path / "whole/export"):
        pipeline = load_base(str(folder), Ablation(denoising=name), "trained", 0).pipeline
        with torch.no_grad():
            found = diffdis_losses(pipeline, batch_of(pipeline, data, timesteps))
        losses.append(float(found["loss"]))
    assert losses[1] < 0.9 * losses[0]


def test_samplers_and_noises_differ_and_each_repeats_itself(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "two")
    config = tmp_path / "two/unet/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"denoising": "2/2"}))
    assistant = AnnotationAssistant(str(tmp_path / "two"), device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    ways = [{}, {"seed": 1}, {"sampler": "ddpm"}, {"noise": "pyramid"}]
    masks = [assistant.segment(image, DiffDISSettings(**way)).mask for way in [*ways, *ways]]
    for index, mask in enumerate(masks[:4]):
        np.testing.assert_array_equal(mask, masks[index + 4])
        assert not any(np.array_equal(mask, other) for other in masks[:index])


def test_what_earlier_versions_stored_is_opened_and_resumed(
    tiny: Path, data: Path, tmp_path: Path
) -> None:
    steps = {1: "1/1", 2: "1*/2", 10: "1*/10-grid"}
    assert {n: renamed({"denoising_steps": n})["denoising"] for n in steps} == steps
    run = settings_of(tiny, data, tmp_path / "run", denoising="1*/2", max_steps=1)
    train(run)
    path = RunFiles(tmp_path / "run").latest
    assert path is not None
    old = json.loads((OLD / "settings.json").read_text())
    assert old["denoising_steps"] == 2 and "denoising" not in old
    changed = {"learning_rate": run.learning_rate, "ema_decay": run.ema_decay}
    torch.save(end_of(tmp_path / "run") | {"settings": old | changed}, path)
    for changes, said in (
        ({"denoising": "1/1"}, r"--denoising 1\*/2, now 1/1"),
        ({"noise": "gaussian"}, "--noise pyramid, now gaussian"),
    ):
        with pytest.raises(InputError, match=said):
            check_resumed(run.present(old | changed), replace(run, **changes).fixed(), "it")
    train(replace(run, max_steps=2))
    assert end_of(tmp_path / "run")["step"] == 2

    export = tmp_path / "run/export"
    shutil.copy(OLD / "config.json", export / "unet/config.json")
    base = load_base(str(export), Ablation(denoising="1*/2"), "trained", 0)
    assert base.pipeline.unet.config.denoising == "1*/2"
    assert "denoising_steps" not in base.pipeline.unet.config
