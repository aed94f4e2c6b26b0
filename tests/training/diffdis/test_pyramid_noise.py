"""The training noise is the official one."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from segdemo.diffdis.noise import pyramid_sizes, sum_pyramid
from tests.parity import FIXTURES


def test_parity_of_pyramid_noise() -> None:
    io = load_file(FIXTURES / "pyramid_noise_io.safetensors")
    draws = iter(io["uniform_draws"].tolist())
    levels = [io[f"level_{number}"] for number in range(3)]

    sizes = pyramid_sizes(io["base"].shape[-2:], lambda: next(draws))

    assert sizes == [tuple(level.shape[-2:]) for level in levels]
    torch.testing.assert_close(sum_pyramid(io["base"], levels), io["output"], atol=1e-5, rtol=0)
