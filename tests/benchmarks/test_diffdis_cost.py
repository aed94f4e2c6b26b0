"""The cost of DiffDIS: FLOPs that are known, and a case measured at tiny size."""

from __future__ import annotations

import json

import pytest

from benchmarks.diffdis_cost import count_flops, main


def test_flops_are_those_counted_by_operator_from_the_official_code() -> None:
    one, two = count_flops(512, 1, shrink=1), count_flops(512, 2, shrink=1)
    assert one["tflop"] == pytest.approx(8.1, abs=0.1)
    assert two["tflop"] - one["tflop"] == pytest.approx(1.62, rel=0.02)
    assert one["vae_share"] == pytest.approx((1.12 + 0.27 + 0.07 + 0.02 + 5.03) / 8.1, abs=0.02)


def test_a_case_is_measured_and_the_papers_seconds_follow(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--sizes", "128", "--steps", "2", "--shrink", "10", "--device", "cpu"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    case, *papers = lines
    assert case["steps"] == 2 and case["seconds"] > 0 and case["peak_mb"] > 100
    assert 0 < case["vae_seconds_share"] < 1 and 0 < case["vae_share"] < 1
    assert [row["seconds"] for row in papers] == [0.33, 0.33, 0.52, 0.52, 0.33, 1.4]
