"""AP and AR agree with pycocotools' stored figures, and behave as the protocol says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as mask_api

from evaluation.average_precision import LIMITS, Matches, curves, match, summarise
from evaluation.instance_rows import LABELS, Protocol, figures_of
from evaluation.neighbours import touching
from evaluation.object_files import read_list
from evaluation.object_sets import read_predictions, read_truth
from evaluation.objects import Objects, outline, overlaps
from evaluation.uis import Pair, measure_pair
from segdemo.annotations import rle
from tests.evaluation.metric_fixtures import METRIC_FIXTURES

COCO, VOC = METRIC_FIXTURES / "coco", METRIC_FIXTURES / "voc"
EXACT = 1e-9


def figures(
    truth_file: Path, predictions: Path, protocol: Protocol, names: list[str] | None = None
) -> dict[str, float]:
    truth = read_truth(truth_file, names)
    found = read_predictions(predictions, truth)
    assert truth.problems == found.problems == []
    pairs = zip(truth.pictures, found.sources, strict=True)
    rows = [
        measure_pair(Pair(p.number, p.source, source), protocol) | {"name": p.name}
        for p, (source, _) in pairs
    ]
    return figures_of(json.loads(json.dumps(rows)), protocol)


def agree(found: dict[str, float], label: str, expected: dict[str, float | None]) -> None:
    for name, value in expected.items():
        wanted = math.nan if value is None else value
        got = found[f"{label}/{name}"] / 100
        assert got == pytest.approx(wanted, abs=EXACT, nan_ok=True), name


def expected(name: str) -> dict[str, float | None]:
    return json.loads((COCO / "expected.json").read_text())[name]


@pytest.mark.parametrize("kind", ["segm", "bbox", "boundary"])
def test_fixture_of_coco_with_scores(kind):
    found = figures(COCO / "gt.json", COCO / "pred.json", Protocol((kind,)))
    agree(found, LABELS[kind], expected(kind))


@pytest.mark.parametrize("file", ["pred_const_score.json", "pred_maskcut_format.json"])
def test_fixture_of_constant_scores_counts_in_file_order(file):
    found = figures(COCO / "gt.json", COCO / file, Protocol(("segm",)))
    agree(found, "masks", expected("segm_const_score_file_order"))


def test_fixture_of_many_objects_at_100_and_300_predictions():
    protocol = Protocol(("segm",), (*LIMITS, 300))
    found = figures(COCO / "many_gt.json", COCO / "many_pred.json", protocol)
    agree(found, "masks", expected("many_segm_maxdets100"))
    wanted = expected("many_segm_maxdets300")
    assert found["masks/AP@300"] / 100 == pytest.approx(wanted["AP"], abs=EXACT)
    assert found["masks/AR300"] / 100 == pytest.approx(wanted["AR300"], abs=EXACT)


def test_fixture_of_voc_label_maps():
    wanted = json.loads((VOC / "expected.json").read_text())["class_agnostic_segm"]
    names = read_list(VOC / "ImageSets" / "Segmentation" / "val.txt")
    protocol = Protocol(("segm",))
    found = figures(VOC / "SegmentationObject", VOC / "pred_panoptic_2ch", protocol, names)
    agree(found, "masks", wanted)


def square(left: int, top: int, side: int, size: int = 60) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def objects(*masks: np.ndarray, scores=None, crowd=None) -> Objects:
    return Objects.of_runs(
        [rle.encode(mask) for mask in masks],
        None if scores is None else np.array(scores, float),
        None if crowd is None else np.array(crowd, bool),
    )


def matched(truth: Objects, found: Objects, kind="segm", limits=LIMITS) -> Matches:
    return match(truth, found, overlaps(truth, found, kind), limits)


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong():
    truth = objects(square(0, 0, 10), square(20, 20, 30), crowd=[False, True])
    found = objects(square(25, 25, 10), square(0, 0, 10), scores=[0.9, 0.5])
    assert summarise([matched(truth, found)])["AP"] == pytest.approx(1)


def test_without_true_objects_nothing_is_defined_and_without_predictions_all_is_zero():
    nothing, one = objects(), objects(square(0, 0, 10))
    assert math.isnan(summarise([matched(nothing, one)])["AP"])
    missed = summarise([matched(one, nothing)])
    assert (missed["AP"], missed["AR100"]) == (0, 0)
    assert math.isnan(missed["APl"])
    assert math.isnan(summarise([])["AP"])


def test_predictions_beyond_the_limit_do_not_count():
    truth = objects(square(0, 0, 10))
    found = objects(square(30, 30, 10), square(0, 0, 10), scores=[0.9, 0.8])
    found_figures = summarise([matched(truth, found)])
    assert found_figures["AR1"] == 0
    assert found_figures["AR10"] == 1


def test_matches_survive_json():
    truth = objects(square(0, 0, 10), square(20, 0, 40))
    found = objects(square(1, 0, 10), square(22, 0, 40), scores=[0.25, 0.75])
    first = matched(truth, found)
    again = Matches.from_json(json.loads(json.dumps(first.as_json())))
    np.testing.assert_array_equal(again.matched, first.matched)
    np.testing.assert_array_equal(again.ignored, first.ignored)
    assert summarise([again]) == pytest.approx(summarise([first]), nan_ok=True)


def test_ap_falls_with_the_overlap_that_counts():
    truth = objects(square(0, 0, 20))
    found = objects(square(3, 0, 20))  # IoU 340 / 460 = 0.74
    ap = curves([matched(truth, found)]).ap
    np.testing.assert_allclose(ap, [1, 1, 1, 1, 1, 0, 0, 0, 0, 0])


def test_an_outline_is_what_a_repeated_erosion_takes_away():
    mask = square(0, 5, 30, 100)  # at the picture's border
    ring = mask_api.decode(outline(rle.encode(mask))).astype(bool)
    reach = round(0.02 * math.hypot(100, 100))
    assert ring.sum() == 30 * 30 - (30 - 2 * reach) ** 2
    assert not (ring & ~mask).any()
    assert mask_api.area(outline(rle.encode(np.zeros((9, 9), bool)))) == 0


@pytest.mark.parametrize(
    ("left", "reach", "expected"), [(10, 0, True), (11, 0, False), (12, 1, True), (13, 1, False)]
)
def test_touching_bridges_two_pixels_at_most(left, reach, expected):
    truth = objects(square(0, 0, 10), square(left, 0, 10))
    assert touching(truth, reach) is expected


def test_a_crowd_touches_nobody():
    assert not touching(objects(square(0, 0, 10), square(10, 0, 10), crowd=[False, True]))
