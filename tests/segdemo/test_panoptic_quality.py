"""PQ agrees with panopticapi's stored figures, and with rules counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evaluation.data.panoptic_sets import read_predictions, read_truth
from evaluation.wps import PanopticSample, measure_sample, metrics_of
from segdemo.datatypes import InputError
from segdemo.panoptic_quality import Segments, count_segments, panoptic_quality
from tests.evaluation.metrics.metric_fixtures import METRIC_FIXTURES

EXACT = 1e-9
ENDINGS = {"All": "", "Things": "th", "Stuff": "st"}


def agree(annotations, predictions, expected):
    truth = read_truth(annotations)
    found = read_predictions(predictions, truth, None)
    assert [*truth.errors, *found.errors] == []
    rows = [
        measure_sample(PanopticSample(image.reader, found.readers[place][0]))
        for place, image in enumerate(truth.images)
    ]
    figures = metrics_of(json.loads(json.dumps(rows)), truth, "set")
    for part, ending in ENDINGS.items():
        for name in ("pq", "sq", "rq"):
            value = figures[f"set/ours/{name.upper()}{ending}"] / 100
            assert value == pytest.approx(expected[part][name], abs=EXACT), (part, name)


def test_fixture_of_coco_panoptic():
    folder = METRIC_FIXTURES / "panoptic"
    agree(
        folder / "gt.json", folder / "pred.json", json.loads((folder / "expected.json").read_text())
    )


def test_fixture_of_voc_panoptic():
    folder = METRIC_FIXTURES / "voc"
    expected = json.loads((folder / "expected.json").read_text())["panoptic"]
    agree(folder, folder / "pred_panoptic_2ch", expected)


def row(*ids: int) -> np.ndarray:
    return np.array([ids])


def quality(truth: Segments, found: Segments, things=None) -> dict[str, float]:
    return panoptic_quality([count_segments(truth, found)], things or {1: True, 2: False})


def test_a_match_needs_more_than_half():
    truth = Segments(row(1, 1, 1, 1), {1: 1})
    half = Segments(row(5, 5, 0, 0), {5: 1})
    more = Segments(row(5, 5, 5, 0), {5: 1})
    assert quality(truth, half)["RQ"] == 0
    assert quality(truth, more)["PQ"] == 0.75


def test_void_leaves_the_union_and_forgives():
    truth = Segments(row(1, 1, 0, 0, 0), {1: 1})
    matched = Segments(row(5, 5, 5, 5, 5), {5: 1})
    stray = Segments(row(5, 5, 6, 6, 6), {5: 1, 6: 1})
    assert quality(truth, matched)["PQ"] == 1
    assert quality(truth, stray)["PQ"] == 1


def test_a_crowd_forgives_its_own_class_only():
    truth = Segments(row(1, 1, 2, 2), {1: 1, 2: 1}, frozenset({2}))
    own = Segments(row(5, 5, 6, 6), {5: 1, 6: 1})
    other = Segments(row(5, 5, 6, 6), {5: 1, 6: 2})
    assert quality(truth, own)["PQ"] == 1
    assert quality(truth, other)["PQ"] == 0.5  # class 2 is wrong throughout


def test_things_and_stuff_are_means_over_classes():
    truth = Segments(row(1, 1, 2, 2), {1: 1, 2: 2})
    found = Segments(row(5, 5, 0, 0), {5: 1})
    figures = quality(truth, found)
    assert (figures["PQ"], figures["PQth"], figures["PQst"]) == (0.5, 1, 0)
    assert np.isnan(panoptic_quality([], {1: True})["PQ"])


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Segments(row(5, 5, 6, 6), {5: 1}), "holds segment 6"),
        (Segments(row(5, 5, 5, 5), {5: 1, 6: 1}), "lists segment 6"),
        (Segments(row(5, 5), {5: 1}), "2 x 1, the truth 4 x 1"),
    ],
)
def test_list_and_picture_must_agree(found, words):
    with pytest.raises(InputError, match=words):
        count_segments(Segments(row(1, 1, 1, 1), {1: 1}), found)
