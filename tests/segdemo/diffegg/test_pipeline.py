"""Every family of models is traced, and equals the way that keeps everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from segdemo.datatypes import InputError
from segdemo.diffegg.attention import AttentionLayers
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.edge_kl import edge_score
from segdemo.diffegg.peak_kl import attention_gap
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.diffegg.settings import TraceSettings
from tests.segdemo.diffegg import attention_oracle as oracle

SETTINGS = TraceSettings(timesteps=(900, 500, 100), size=128)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)


@pytest.mark.parametrize("text_keys", ["image_keys", "joint_then_mean"])
@torch.inference_mode()
def test_streamed_maps_gaps_and_scores_equal_the_materialised_ones(
    backbone: Backbone, text_keys: str
) -> None:
    pipeline = DiffEGGPipeline(backbone)
    first = backbone.first_image_token
    layers = AttentionLayers(backbone.attention_layers(), text_keys=text_keys, first_token=first)
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(1, 3, 128, 128, generator=generator) * 2 - 1
    latents = backbone.encode(pictures)
    noise = torch.randn(latents.shape, generator=generator)
    grid = backbone.token_grid(latents)[0]
    recorded, whole = [], []
    for timestep in (600, 300):
        naive = oracle.KeepQueriesAndKeys(layers.modules)
        try:
            recorded.append(pipeline.attention_at(layers, latents, [noise], timestep))
        finally:
            naive.remove()
        whole.append(oracle.whole_map(naive.kept, grid, text_keys=text_keys, first=first))
    side = recorded[1].side
    torch.testing.assert_close(recorded[1].rows(0, side), whole[1], atol=1e-5, rtol=0)
    gap = sum(
        oracle.kl_of_rows(a, b)
        for a, b in zip(whole[1].double().numpy(), whole[0].double().numpy(), strict=True)
    )
    assert attention_gap(recorded[1], recorded[0]) == pytest.approx(gap / side**2, rel=1e-3)
    score = edge_score(recorded[1]).numpy()
    np.testing.assert_allclose(score, oracle.edge_score(whole[1]), atol=1e-5)


def test_a_trace_grows_step_by_step(backbone: Backbone, image: np.ndarray) -> None:
    grown = list(DiffEGGPipeline(backbone).trace(image, SETTINGS))
    assert [len(one.steps) for one in grown] == [1, 2, 3]
    complete = grown[-1]
    assert complete.curve.timesteps == (900, 500, 100)
    assert len(complete.curve.gaps) == 2
    side = complete.steps[0].edge_score.shape[0]
    for step in complete.steps:
        assert step.picture.shape == (side, side, 3)
        assert step.edge_score.shape == (side, side)
        assert step.attention_ratio is None
    assert complete.layers == tuple(backbone.attention_layers())


def test_a_seed_names_a_trace(backbone: Backbone, image: np.ndarray) -> None:
    *_, first = DiffEGGPipeline(backbone).trace(image, SETTINGS)
    *_, again = DiffEGGPipeline(backbone).trace(image, SETTINGS)
    *_, other = DiffEGGPipeline(backbone).trace(image, replace(SETTINGS, seed=1))
    assert first.curve.gaps == again.curve.gaps
    assert first.curve.gaps != other.curve.gaps
    np.testing.assert_array_equal(first.steps[1].picture, again.steps[1].picture)


def test_the_network_is_left_as_it_was_when_a_trace_is_given_up(
    backbone: Backbone, image: np.ndarray
) -> None:
    steps = DiffEGGPipeline(backbone).trace(image, SETTINGS)
    next(steps)
    steps.close()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in backbone.network.modules())


def test_fresh_noise_and_more_draws_change_the_gaps(backbone: Backbone, image: np.ndarray) -> None:
    *_, plain = DiffEGGPipeline(backbone).trace(image, SETTINGS)
    for changed in ({"noise": "fresh"}, {"noise_draws": 2}):
        *_, complete = DiffEGGPipeline(backbone).trace(image, replace(SETTINGS, **changed))
        assert complete.curve.gaps != plain.curve.gaps


def test_a_fixed_step_is_chosen_whatever_the_curve_says(
    backbone: Backbone, image: np.ndarray
) -> None:
    for wanted, nearest in ((999, 900), (500, 500), (299, 100)):
        *_, complete = DiffEGGPipeline(backbone).trace(
            image, replace(SETTINGS, fixed_timestep=wanted)
        )
        assert complete.chosen.timestep == nearest
    *_, complete = DiffEGGPipeline(backbone).trace(image, SETTINGS)
    assert complete.chosen.timestep == complete.curve.peak_timestep


def test_instances_are_checked_at_every_step(backbone: Backbone, image: np.ndarray) -> None:
    instances = np.zeros(image.shape[:2], np.int64)
    instances[20:70, 10:60], instances[20:70, 60:110] = 3, 9
    *_, complete = DiffEGGPipeline(backbone).trace(image, SETTINGS, instances)
    assert all(0.2 < step.attention_ratio < 5 for step in complete.steps)
    with pytest.raises(InputError, match=r"50 x 40.*120 x 90"):
        next(DiffEGGPipeline(backbone).trace(image, SETTINGS, np.zeros((40, 50), np.int64)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"keep": "noisy", "noise": "fresh"},
        {"fixed_timestep": 450, "gap_metric": "js"},
        {"fixed_timestep": 100, "noise_draws": 2, "edge_metric": "js", "border": "zero"},
    ],
)
def test_a_score_is_that_of_the_step_a_trace_chooses(
    backbone_of: Callable[[str], Backbone], changes: dict[str, object]
) -> None:
    pipeline = DiffEGGPipeline(backbone_of("own"))
    settings = TraceSettings(timesteps=(899, 699, 499, 299), **changes)
    for seed in (0, 1):
        image = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
        *_, trace = pipeline.trace(image, settings)
        found = pipeline.score_edges(image, settings, whole_curve=True)
        assert found.timestep == trace.chosen.timestep
        assert (found.curve.gaps, found.curve.peak) == (trace.curve.gaps, trace.curve.peak)
        np.testing.assert_array_equal(found.score, trace.chosen.edge_score)


def test_edges_at_a_fixed_timestep_take_one_pass(
    backbone_of: Callable[[str], Backbone], image: np.ndarray
) -> None:
    backbone = backbone_of("own")
    pipeline = DiffEGGPipeline(backbone)
    settings = TraceSettings(timesteps=(899, 499, 299), fixed_timestep=300, noise="fresh")
    whole = pipeline.score_edges(image, settings, whole_curve=True)
    passes: list[int] = []
    hook = backbone.network.register_forward_hook(lambda *_: passes.append(1))
    try:
        alone = pipeline.score_edges(image, settings)
        pipeline.edges(image, settings)
    finally:
        hook.remove()
    assert len(passes) == 2  # one each
    assert (alone.curve.timesteps, alone.curve.gaps, alone.timestep) == ((299,), (), 299)
    np.testing.assert_array_equal(alone.score, whole.score)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"timesteps": (500,)}, "at least 2"),
        ({"timesteps": (100, 500)}, "must fall"),
        ({"timesteps": (1000, 500)}, "1000 is outside"),
        ({"timesteps": (500, -1)}, "-1 is outside"),
        ({"size": 100}, "multiple of 64"),
        ({"noise": "pink"}, "shared, fresh"),
        ({"noise_draws": 0}, "draws"),
        ({"fixed_timestep": 1000}, "outside 0 to 999"),
    ],
)
def test_a_bad_setting_is_told_in_one_sentence(changed: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(SETTINGS, **changed)


def test_weights_that_are_not_numbers_are_told(image: np.ndarray, backbone_of: object) -> None:
    backbone = backbone_of("own")
    weight = next(iter(backbone.attention_layers().values())).to_q.weight
    kept = weight.detach().clone()
    try:
        weight.data.fill_(float("nan"))
        with pytest.raises(InputError, match="not a number"):
            list(DiffEGGPipeline(backbone).trace(image, SETTINGS))
    finally:
        weight.data.copy_(kept)
