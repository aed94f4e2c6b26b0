"""AP and AR: pycocotools' stored figures, faster-coco-eval's, and what the protocol says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO as COCO_API
from faster_coco_eval import COCOeval_faster
from pycocotools import mask as mask_api

from evaluation.core.row_file import RowFile
from evaluation.data.files import read_list
from evaluation.data.instance_sets import read_predictions, read_truth
from evaluation.metrics.average_precision import LIMITS, Matches, curves, match, summarize
from evaluation.metrics.instance_metrics import LABELS, Protocol, metrics_of
from evaluation.metrics.instances import Instances, boundary_band, ious
from evaluation.metrics.touching import touching
from evaluation.uis import InstanceSample, measure_sample
from segdemo.annotations import rle
from tests.evaluation.metrics.metric_fixtures import METRIC_FIXTURES

COCO, VOC = METRIC_FIXTURES / "coco", METRIC_FIXTURES / "voc"
EXACT = 1e-9


def figures(
    truth_file: Path, predictions: Path, protocol: Protocol, names: list[str] | None = None
) -> dict[str, float]:
    truth = read_truth(truth_file, names)
    found = read_predictions(predictions, truth)
    assert truth.errors == found.errors == []
    pairs = zip(truth.images, found.readers, strict=True)
    rows = [
        measure_sample(InstanceSample(image.number, image.reader, reader), protocol)
        for image, (reader, _) in pairs
    ]
    return metrics_of(rows, protocol)


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


def objects(*masks: np.ndarray, scores=None, crowd=None) -> Instances:
    return Instances.from_rle(
        [rle.encode(mask) for mask in masks],
        None if scores is None else np.array(scores, float),
        None if crowd is None else np.array(crowd, bool),
    )


def matched(truth: Instances, found: Instances, kind="segm", limits=LIMITS) -> Matches:
    return match(truth, found, ious(truth, found, kind), limits)


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_faster_coco_eval(seed):
    """Random images with crowds, equal IoUs and scores, objects of all sizes, empty images."""
    rng = np.random.default_rng(seed)
    images, annotations, results, matches = [], [], [], []
    for number in range(1, 9):
        images.append({"id": number, "height": 160, "width": 160})
        boxes, scores, crowd = random_boxes(rng, rng.integers(0, 6)), None, None
        crowd = rng.random(len(boxes)) < 0.2
        guesses = np.concatenate([boxes + rng.integers(-4, 5, boxes.shape), random_boxes(rng, 4)])
        guesses[:, 2:] = guesses[:, 2:].clip(1)
        scores = rng.integers(1, 5, len(guesses)) / 5
        one = {"image_id": number, "category_id": 1}
        for box, is_crowd in zip(boxes.tolist(), crowd.tolist(), strict=True):
            area = box[2] * box[3]
            kept = {"id": len(annotations) + 1, "bbox": box, "area": area, "iscrowd": int(is_crowd)}
            annotations.append(one | kept)
        for box, score in zip(guesses.tolist(), scores.tolist(), strict=True):
            results.append(one | {"bbox": box, "score": score})
        truth = Instances(None, boxes, boxes[:, 2] * boxes[:, 3], np.ones(len(boxes)), crowd)
        areas, crowds = guesses[:, 2] * guesses[:, 3], np.zeros(len(guesses), bool)
        matches.append(matched(truth, Instances(None, guesses, areas, scores, crowds), "bbox"))
    reference = COCO_API()
    reference.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
    reference.createIndex()
    evaluation = COCOeval_faster(reference, reference.loadRes(results), "bbox", print_function=str)
    evaluation.run()
    names = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    ours = summarize(matches)
    for name, value in zip(names, evaluation.stats, strict=False):
        wanted = math.nan if value == -1 else value
        assert ours[name] == pytest.approx(wanted, abs=EXACT, nan_ok=True), name


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    places, sides = rng.integers(0, 60, (count, 2)), rng.integers(4, 100, (count, 2))
    return np.hstack([places, sides]).astype(float)


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong():
    truth = objects(square(0, 0, 10), square(20, 20, 30), crowd=[False, True])
    found = objects(square(25, 25, 10), square(0, 0, 10), scores=[0.9, 0.5])
    assert summarize([matched(truth, found)])["AP"] == pytest.approx(1)


def test_without_true_objects_nothing_is_defined_and_without_predictions_all_is_zero():
    nothing, one = objects(), objects(square(0, 0, 10))
    assert math.isnan(summarize([matched(nothing, one)])["AP"])
    missed = summarize([matched(one, nothing)])
    assert (missed["AP"], missed["AR100"]) == (0, 0)
    assert math.isnan(missed["APl"])
    assert math.isnan(summarize([])["AP"])


def test_predictions_beyond_the_limit_do_not_count():
    truth = objects(square(0, 0, 10))
    found = objects(square(30, 30, 10), square(0, 0, 10), scores=[0.9, 0.8])
    found_figures = summarize([matched(truth, found)])
    assert found_figures["AR1"] == 0
    assert found_figures["AR10"] == 1


def test_matches_survive_a_row_file(tmp_path):
    truth = objects(square(0, 0, 10), square(20, 0, 40))
    found = objects(square(1, 0, 10), square(22, 0, 40), scores=[0.25, 0.75])
    first = matched(truth, found)
    with RowFile(tmp_path / "rows") as rows:
        rows.append("a", first.to_row())
        again = Matches.from_row(rows.read("a"))
    np.testing.assert_array_equal(again.matched, first.matched)
    np.testing.assert_array_equal(again.ignored, first.ignored)
    assert summarize([again]) == pytest.approx(summarize([first]), nan_ok=True)


def test_ap_falls_with_the_overlap_that_counts():
    truth = objects(square(0, 0, 20))
    found = objects(square(3, 0, 20))  # IoU 340 / 460 = 0.74
    ap = curves([matched(truth, found)]).ap
    np.testing.assert_allclose(ap, [1, 1, 1, 1, 1, 0, 0, 0, 0, 0])


def test_a_boundary_is_what_a_repeated_erosion_takes_away():
    mask = square(0, 5, 30, 100)  # at the picture's border
    ring = mask_api.decode(boundary_band(rle.encode(mask))).astype(bool)
    reach = round(0.02 * math.hypot(100, 100))
    assert ring.sum() == 30 * 30 - (30 - 2 * reach) ** 2
    assert not (ring & ~mask).any()
    assert mask_api.area(boundary_band(rle.encode(np.zeros((9, 9), bool)))) == 0


@pytest.mark.parametrize(
    ("left", "reach", "expected"), [(10, 0, True), (11, 0, False), (12, 1, True), (13, 1, False)]
)
def test_touching_bridges_two_pixels_at_most(left, reach, expected):
    truth = objects(square(0, 0, 10), square(left, 0, 10))
    assert touching(truth, reach) is expected


def test_a_crowd_touches_nobody():
    assert not touching(objects(square(0, 0, 10), square(10, 0, 10), crowd=[False, True]))
