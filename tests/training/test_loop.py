"""The training loop resumes exactly and stops on losses that are not numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from training.loop import LoopSettings, Losses, train_loop

SETTINGS = LoopSettings(max_steps=6, warmup_steps=2, save_minutes=0, precision="fp32", minutes=60)


def _network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 1)


def _losses(network: nn.Linear, step: int) -> Losses:
    batch = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
    return {"loss": (network(batch) - batch.sum(1, keepdim=True)).square().mean()}


def test_a_run_that_was_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    device = torch.device("cpu")
    whole = _network()
    train_loop(whole, lambda step: _losses(whole, step), tmp_path / "whole", SETTINGS, device)

    def killed(step: int) -> Losses:
        if step == 3:
            raise KeyboardInterrupt
        return _losses(first, step)

    first = _network()
    with pytest.raises(KeyboardInterrupt):
        train_loop(first, killed, tmp_path / "parts", SETTINGS, device)
    second = _network()
    train_loop(second, lambda step: _losses(second, step), tmp_path / "parts", SETTINGS, device)

    assert not torch.equal(first.weight, second.weight)
    # the schedule also looks at the seconds that passed, which differ by parts in a thousand
    torch.testing.assert_close(second.weight, whole.weight, atol=1e-6, rtol=1e-5)


def test_a_loss_that_is_not_a_number_stops_the_run_and_names_the_last_state(tmp_path: Path) -> None:
    network = _network()
    with pytest.raises(FloatingPointError, match=r"state\.pt"):
        train_loop(
            network,
            lambda step: {"loss": network.weight.sum() * float("nan")},
            tmp_path,
            SETTINGS,
            torch.device("cpu"),
        )


def test_the_average_of_a_short_run_is_not_its_untrained_start(tmp_path: Path) -> None:
    network = _network()
    start = network.weight.detach().clone()
    average = train_loop(
        network, lambda step: _losses(network, step), tmp_path, SETTINGS, torch.device("cpu")
    )

    assert (average.weight - network.weight).norm() < (average.weight - start).norm()
