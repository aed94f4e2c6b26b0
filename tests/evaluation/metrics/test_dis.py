"""PySODMetrics' figures under both protocols, pair by pair."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from py_sod_metrics import HumanCorrectionEffortMeasure

from evaluation.metrics.dis import (
    CURVES,
    EXTRA,
    METRICS,
    PROTOCOLS,
    Means,
    boundary_iou,
    correction_effort,
    measure_pair,
)
from tests.evaluation.metrics.metric_fixtures import METRIC_FIXTURES

DIS = METRIC_FIXTURES / "dis"
NAMES = [file.stem for file in sorted(DIS.glob("*.npz")) if file.stem != "expected_curves"]
REFERENCE = {"sod": "pysod", "diffdis": "pysod_binarised"}
TOLERANCE = 1e-6
GREY_TRUTH = "grey_gt"  # the official script takes 128 for subject, PySODMetrics does not


@cache
def expected() -> dict[str, Any]:
    return json.loads((DIS / "expected.json").read_text())["images"]


def pair(name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(DIS / f"{name}.npz") as archive:
        truth, prediction = archive["gt"], archive["pred"]
    if truth.shape != prediction.shape:
        picture = Image.fromarray(prediction)
        prediction = np.asarray(picture.resize(truth.shape[::-1], Image.Resampling.BICUBIC))
    return truth, prediction


def same(value: float, wanted: float | None) -> bool:
    return math.isnan(value) if wanted is None else abs(value - wanted) <= TOLERANCE


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", NAMES)
def test_every_measure_agrees_with_the_fixture(name: str, protocol: str):
    values = measure_pair(*pair(name), strict=True)[protocol].values
    wanted = expected()[name][REFERENCE[protocol]]
    wrong = {m: (values[m], wanted[m]) for m in wanted if not same(values[m], wanted[m])}
    assert not wrong
    assert values["HCE"] == wanted["HCE"]


@pytest.mark.parametrize("name", NAMES)
def test_iou_and_boundary_iou_agree_with_the_fixture(name: str):
    measured = measure_pair(*pair(name))
    assert same(measured["sod"].values["BIoU"], expected()[name]["boundary_iou"])
    if GREY_TRUTH not in name:
        official = expected()[name]["official_binarised"]["iou"]
        assert same(measured["diffdis"].values["IoU"], official)


@pytest.mark.parametrize("name", NAMES)
def test_curves_agree_with_the_fixture(name: str):
    curves = dict(zip(CURVES, measure_pair(*pair(name))["sod"].curves, strict=True))
    with np.load(DIS / "expected_curves.npz") as archive:
        for curve in ("f", "e"):
            np.testing.assert_allclose(curves[curve], archive[f"{name}/{curve}"], atol=TOLERANCE)


def test_means_over_pictures_agree_with_the_fixture():
    wanted = expected().get("_dataset_without_last_row")
    if wanted is None:
        pytest.skip("this set of fixtures has no figures of the whole set")
    means = Means()
    for name in (name for name in NAMES if expected()[name]["pysod"]["S"] is not None):
        measured = measure_pair(*pair(name))["sod"]
        means.add(measured.values, dict(zip(CURVES, measured.curves, strict=True)))
    figures = means.figures()
    assert all(same(figures[name], value) for name, value in wanted["pysod"].items())


def corner_object() -> tuple[np.ndarray, np.ndarray]:
    truth = np.zeros((12, 9), np.uint8)
    truth[-1, 2:5] = 255
    return truth, truth.copy()


def test_s_of_an_object_in_the_last_row_is_defined_unless_references_are_wanted():
    ours = measure_pair(*corner_object())["sod"]
    assert math.isfinite(ours.values["S"])
    assert ours.empty_quadrant
    assert math.isnan(measure_pair(*corner_object(), strict=True)["sod"].values["S"])


def test_a_perfect_mask_is_perfect_under_both_protocols():
    truth = np.zeros((40, 50), np.uint8)
    truth[10:30, 5:40] = 255
    for measured in measure_pair(truth, truth).values():
        got = {name: round(measured.values[name], 2) for name in METRICS}
        wanted = dict.fromkeys(METRICS, 1.0) | {"MAE": 0.0, "HCE": 0.0, "meanE": got["meanE"]}
        assert got == wanted
        assert set(measured.values) == {*METRICS, *EXTRA}


def test_eight_bits_sixteen_bits_and_floats_of_one_map_measure_alike():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 256, (30, 40), np.uint8)
    truth = np.where(rng.random((30, 40)) > 0.5, 255, 0).astype(np.uint8)
    eight = measure_pair(truth, prediction)["diffdis"].values
    assert measure_pair(truth, prediction.astype(np.uint16) * 257)["diffdis"].values == eight
    assert measure_pair(truth, prediction / 255)["diffdis"].values == eight


def test_boundary_iou_compares_inner_rings_with_background_outside_the_picture():
    whole = np.ones((10, 10), bool)  # 2 % of the diagonal is less than a pixel: one pixel
    hollow = whole.copy()
    hollow[1:-1, 1:-1] = False
    assert boundary_iou(whole, hollow) == 1
    assert boundary_iou(whole, np.zeros_like(whole)) == 0
    assert boundary_iou(~whole, ~whole) == 1


def test_correction_effort_is_that_of_the_whole_picture():
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, found = np.zeros((2, 90, 110), bool)
        top, left = rng.integers(0, 40, 2)
        for mask in (truth, found):
            blobs = cv2.GaussianBlur(rng.random((50, 60)), (0, 0), 2) > 0.5
            mask[top : top + 50, left : left + 60] = blobs
        whole = HumanCorrectionEffortMeasure()
        whole.step(found.astype(np.float64), truth, False)
        assert correction_effort(found, truth) == whole.hces[0]
    assert correction_effort(truth & ~truth, truth & ~truth) == 0


def test_fixtures_are_there():
    assert NAMES
    assert Path(DIS / "expected.json").exists()
