"""Recorded attention equals the materialised maps, and the model does not notice."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from segdemo.datatypes import InputError
from segdemo.diffegg import attention as recording
from segdemo.diffegg.attention import AttentionLayers, AttentionMap, record_attention
from segdemo.diffegg.edge_kl import edge_score
from segdemo.diffegg.peak_kl import attention_gap, choose_peak
from segdemo.diffegg.views import attention_ratio, coarse_attention, principal_components
from tests.segdemo.diffegg import attention_oracle as oracle

SIDE = 16  # latents


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=(1, 2, 2),
        norm_num_groups=8,
    ).eval()


def _layers(unet: UNet2DConditionModel, **options: str) -> AttentionLayers:
    modules = {name: m for name, m in unet.named_modules() if name.endswith("attn1")}
    return AttentionLayers(modules, **options)


def _run(unet: UNet2DConditionModel, timestep: int = 500) -> torch.Tensor:
    generator = torch.Generator().manual_seed(timestep)
    noisy = 3 * torch.randn(1, 4, SIDE, SIDE, generator=generator)
    with torch.inference_mode():
        return unet(noisy, timestep, torch.ones(1, 2, 8)).sample


def _recorded(
    unet: UNet2DConditionModel, timestep: int = 500, **options: str
) -> tuple[AttentionMap, torch.Tensor]:
    layers = _layers(unet, **options)
    naive = oracle.KeepQueriesAndKeys(layers.modules)
    try:
        with record_attention(layers, SIDE) as attention:
            _run(unet, timestep)
    finally:
        naive.remove()
    with torch.inference_mode():
        return attention, oracle.whole_map(naive.kept, SIDE, **options)


@pytest.mark.parametrize("block", [1 << 22, 3000])
@pytest.mark.parametrize(
    "options", [{}, {"key_norm": "end"}, {"layer_weights": "resolution"}], ids=str
)
def test_rows_equal_the_materialised_map(
    unet: UNet2DConditionModel,
    options: dict[str, str],
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recording, "BLOCK", block)
    attention, whole = _recorded(unet, **options)
    assert attention.side == SIDE
    torch.testing.assert_close(attention.rows(0, SIDE).sum(1), torch.ones(SIDE**2))
    torch.testing.assert_close(attention.rows(0, SIDE), whole, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(attention.rows(5, 9), whole[5 * SIDE : 9 * SIDE], atol=1e-6, rtol=0)


def test_the_map_is_as_large_as_the_largest_layer_that_counts(
    unet: UNet2DConditionModel,
) -> None:
    with record_attention(_layers(unet).matching("down_blocks.1|mid_block"), SIDE) as attention:
        _run(unet)
    assert attention.side == SIDE // 2


def test_output_is_unchanged_and_the_model_is_left_as_it_was(unet: UNet2DConditionModel) -> None:
    before = _run(unet)
    with record_attention(_layers(unet), SIDE):
        during = _run(unet)
    torch.testing.assert_close(during, before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(_run(unet), before, atol=0, rtol=0)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in unet.modules())


def test_an_error_inside_leaves_the_model_as_it_was(unet: UNet2DConditionModel) -> None:
    before = _run(unet)
    with pytest.raises(RuntimeError), record_attention(_layers(unet), SIDE):
        unet(torch.zeros(1, 3, SIDE, SIDE), 500, torch.ones(1, 2, 8))  # three channels, not four
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in unet.modules())
    torch.testing.assert_close(_run(unet), before, atol=0, rtol=0)


def test_two_passes_are_averaged(unet: UNet2DConditionModel) -> None:
    with record_attention(_layers(unet), SIDE) as both:
        _run(unet, 400)
        _run(unet, 300)
    single = [_recorded(unet, t)[1] for t in (400, 300)]
    torch.testing.assert_close(both.rows(0, SIDE), sum(single) / 2, atol=1e-6, rtol=1e-4)


def test_a_filter_keeps_some_layers_and_one_without_a_match_says_what_there_is(
    unet: UNet2DConditionModel,
) -> None:
    layers = _layers(unet)
    assert 0 < len(layers.matching("up_blocks").modules) < len(layers.modules)
    with pytest.raises(InputError, match=r"nowhere.*down_blocks\.0"):
        layers.matching("nowhere")


def test_a_pattern_that_would_hang_a_regular_expression_is_only_text(
    unet: UNet2DConditionModel,
) -> None:
    with pytest.raises(InputError, match="matches none"):
        _layers(unet).matching("^([a-z_.0-9]+)+!")


def test_a_map_beyond_memory_is_refused(
    unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "LARGEST_MAP", 4 * 100**2)
    with pytest.raises(InputError, match="16 x 16 cells"), record_attention(_layers(unet), SIDE):
        _run(unet)


def test_gap_and_edge_score_equal_loops_over_the_whole_map(
    unet: UNet2DConditionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean, whole), (noisy, whole_noisy) = _recorded(unet, 400), _recorded(unet, 500)
    rows = zip(whole.double().numpy(), whole_noisy.double().numpy(), strict=True)
    expected = np.mean([oracle.kl_of_rows(a, b) for a, b in rows])
    monkeypatch.setattr(recording, "BAND", 3 * SIDE**3)  # bands of three rows
    assert attention_gap(clean, noisy) == pytest.approx(expected, abs=1e-6)
    assert expected > 1e-4
    score = edge_score(clean).numpy()
    np.testing.assert_allclose(score, oracle.edge_score(whole), atol=1e-6)
    zero = edge_score(clean, border="zero").numpy()
    np.testing.assert_array_equal(zero[1:-1, 1:-1], score[1:-1, 1:-1])
    assert zero[0].max() == zero[:, -1].max() == 0


def _two_cells(a: list[float], b: list[float]) -> AttentionMap:
    """A 2 x 2 map whose left cells look at a and whose right cells look at b."""
    return AttentionMap({2: torch.tensor([a, b, a, b])})


def test_metrics_agree_with_their_formulas() -> None:
    a, b = [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]
    kl_ba, kl_ab = oracle.kl_of_rows(b, a), oracle.kl_of_rows(a, b)
    middle = [(p + q) / 2 for p, q in zip(a, b, strict=True)]
    js = (oracle.kl_of_rows(a, middle) + oracle.kl_of_rows(b, middle)) / 2
    expected = {
        "kl": kl_ba,  # right || left
        "symmetric": (kl_ab + kl_ba) / 2,
        "js": js,
        "l2": math.dist(a, b),
        "cosine": 1 - np.dot(a, b) / np.dot(a, a),
    }
    for metric, value in expected.items():
        score = edge_score(_two_cells(a, b), metric)
        torch.testing.assert_close(score, torch.full((2, 2), float(value)), atol=1e-6, rtol=1e-5)
    skewed = [0.7, 0.1, 0.1, 0.1]
    one, other = _two_cells(skewed, skewed), _two_cells(b, b)
    assert attention_gap(one, other) == pytest.approx(oracle.kl_of_rows(skewed, b), rel=1e-5)
    assert attention_gap(one, other, "noisy_clean") == pytest.approx(
        oracle.kl_of_rows(b, skewed), rel=1e-5
    )


def test_the_peak_is_the_cleaner_of_the_pair_and_the_first_of_equals() -> None:
    curve = choose_peak((599, 499, 399, 299), (0.1, 0.5, 0.5))
    assert curve.peak_timestep == 399
    assert choose_peak((599, 499, 399, 299), (0.1, 0.5, 0.5), keep="noisy").peak_timestep == 499
    flat = choose_peak((599, 499), (0.0,))
    assert flat.no_peak
    assert flat.peak_timestep == 499


def test_the_instance_check_equals_a_loop_over_pairs(unet: UNet2DConditionModel) -> None:
    attention, whole = _recorded(unet)
    labels = np.zeros((SIDE, SIDE), np.int64)
    labels[2:9, 2:8], labels[2:9, 8:14], labels[10:14, 3:12] = 1, 2, 7
    expected = oracle.attention_ratio(whole, labels)
    assert attention_ratio(attention, labels) == pytest.approx(expected, rel=1e-5)
    assert attention_ratio(attention, np.where(labels == 1, 1, 0)) is None


def test_the_instance_check_tells_instances_from_nearness() -> None:
    cells = torch.arange(64)
    places = torch.stack([cells // 8, cells % 8], 1).float()
    near = (-torch.cdist(places, places)).softmax(1)
    labels = np.repeat([[1] * 4 + [2] * 4], 8, 0)
    flat = torch.from_numpy(labels.reshape(-1))
    assert attention_ratio(AttentionMap({8: near}), labels) == pytest.approx(1, abs=1e-5)
    choosy = near * (1 + 2 * (flat[:, None] == flat))
    assert attention_ratio(AttentionMap({8: choosy}), labels) == pytest.approx(3, rel=1e-5)


def test_coarse_attention_keeps_the_mass() -> None:
    rows = torch.rand(32 * 32, 32 * 32).softmax(1)
    coarse = coarse_attention(AttentionMap({32: rows}))
    assert coarse.shape == (32, 32, 16, 16)
    np.testing.assert_allclose(coarse.sum((2, 3)), 1, atol=1e-5)
    expected = rows.view(32, 32, 32, 32)[3, 4, 6:8, 10:12].sum()
    assert coarse[3, 4, 3, 5] == pytest.approx(float(expected), rel=1e-5)


def test_colours_of_steps_are_aligned() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.random((8, 8, 4, 4)).astype(np.float32)
    first = principal_components(coarse)
    again = principal_components(coarse[..., ::-1].copy(), first)  # other keys, the same structure
    np.testing.assert_allclose(again, first, atol=1e-4)
    assert first.reshape(-1, 3).std(0) == pytest.approx(1, rel=1e-5)
    constant = principal_components(np.ones((4, 4, 2, 2), np.float32))
    assert not constant.any()
