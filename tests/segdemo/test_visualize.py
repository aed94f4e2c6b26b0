"""Figures: what is marked and said in them, and that equal values are equal bytes."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from segdemo.datatypes import AttentionStep, KLCurve, PseudoEdge
from segdemo.diffegg.pseudo_edge import pseudo_edge, split_score
from segdemo.visualize import (
    LABEL_COLOURS,
    edge_score_figure,
    enlarge,
    figure_png,
    kl_curve_figure,
    label_picture,
    pseudo_edge_figure,
)

SCORE = np.array([[0, 0, 1], [0, 2, 8], [0, 1, 2]], np.float32)
CURVE = KLCurve((999, 499, 399, 99), (0.1, 0.4, 0.2), peak=2, no_peak=False)
ONE_STEP = KLCurve((999,), (), peak=0, no_peak=True)
ALL_EQUAL = KLCurve((999, 499, 99), (0.0, 0.0), peak=2, no_peak=True)


def step_of(score: np.ndarray, timestep: int = 399) -> AttentionStep:
    """Wrap a score as a step; its other arrays are empty."""
    picture = np.zeros((*score.shape, 3), np.uint8)
    attention = np.zeros((*score.shape, 1, 1), np.float16)
    return AttentionStep(timestep, picture, score, attention)


def texts(figure: Figure) -> str:
    """Return every word drawn in a figure."""
    figure.draw_without_rendering()  # fills in the tick labels
    return "\n".join(
        text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "_text"))
    )


def points(panel: Axes, marker: str) -> list[list[float]]:
    """Return the (x, y) of everything drawn with a marker."""
    lines = [line for line in panel.lines if line.get_marker() == marker]
    return [list(point) for line in lines for point in line.get_xydata()]


class TestKLCurve:
    def test_each_gap_stands_between_its_two_timesteps(self):
        [panel] = kl_curve_figure(CURVE).axes
        assert points(panel, "o") == [[0.5, 0.1], [1.5, 0.4], [2.5, 0.2]]
        assert [label.get_text() for label in panel.get_xticklabels()] == [
            "999",
            "499",
            "399",
            "99",
        ]

    def test_the_peak_is_marked_by_a_shape_and_by_words(self):
        figure = kl_curve_figure(CURVE)
        assert points(figure.axes[0], "D") == [[1.5, 0.4]]
        assert "largest gap: 499 → 399, 0.4 nats" in texts(figure)
        assert "PeakKL keeps timestep 399" in texts(figure)

    def test_the_noisy_one_of_the_pair_may_be_kept(self):
        figure = kl_curve_figure(KLCurve(CURVE.timesteps, CURVE.gaps, peak=1, no_peak=False))
        assert points(figure.axes[0], "D") == [[1.5, 0.4]]
        assert "PeakKL keeps timestep 499" in texts(figure)

    def test_ratios_stand_below_with_a_line_at_one(self):
        gaps, ratios = kl_curve_figure(CURVE, (1.5, None, 0.5, 1.0)).axes
        assert points(gaps, "D")
        assert points(ratios, "s") == [[0, 1.5], [2, 0.5], [3, 1.0]]
        assert [1.0, 1.0] in [list(line.get_ydata()) for line in ratios.lines]
        assert ratios.get_xlim() == gaps.get_xlim()

    def test_unmeasured_ratios_take_no_room(self):
        assert len(kl_curve_figure(CURVE, (None, None, None, None)).axes) == 1

    @pytest.mark.parametrize("curve", [ONE_STEP, ALL_EQUAL])
    def test_a_flat_curve_says_so_and_marks_nothing(self, curve: KLCurve):
        figure = kl_curve_figure(curve, [1.0] * len(curve.timesteps))
        assert points(figure.axes[0], "D") == []
        said = "One step" if len(curve.timesteps) == 1 else "No gap is above zero"
        assert said in texts(figure)
        assert "PeakKL" not in texts(figure)
        assert figure_png(figure)

    def test_the_labels_of_many_timesteps_do_not_touch(self):
        steps = tuple(range(999, -1, -1))
        figure = kl_curve_figure(KLCurve(steps, (0.1,) * 999, peak=1, no_peak=False))
        figure.canvas.draw()
        boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
        assert len(boxes) > 5
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))

    @pytest.mark.parametrize("peak", [0, 1, 2, 3, 4])
    def test_the_label_of_the_peak_stays_inside_the_figure(self, peak: int):
        gaps = tuple(0.123456 if i == peak else 0.01 for i in range(5))
        figure = kl_curve_figure(
            KLCurve((999, 799, 599, 399, 199, 99), gaps, peak + 1, no_peak=False)
        )
        figure.canvas.draw()
        panel = figure.axes[0]
        [label] = panel.texts
        box, inside = label.get_window_extent(), panel.get_window_extent()
        assert inside.x0 <= box.x0 and box.x1 <= inside.x1
        assert inside.y0 <= box.y0 and box.y1 <= inside.y1


class TestEdgeScore:
    def test_the_map_has_a_colour_bar_and_a_histogram_with_both_thresholds(self):
        figure = edge_score_figure(step_of(SCORE), split_score(SCORE, 0.5, 4.0))
        plane, histogram, bar = figure.axes
        assert np.array_equal(plane.images[0].get_array(), SCORE)
        assert bar.get_ylabel() == "score, nats"
        lines = {line.get_label(): line for line in histogram.lines}
        assert [line.get_xdata()[0] for line in lines.values()] == [0.5, 4.0]
        assert list(lines) == ["interior below 0.5", "edge above 4"]
        assert len({line.get_linestyle() for line in lines.values()}) == 2
        assert sum(bar.get_height() for bar in histogram.patches) == SCORE.size
        assert "timestep 399" in texts(figure)

    def test_a_threshold_that_no_cell_can_reach_is_said_to_be_outside(self):
        figure = edge_score_figure(step_of(SCORE), split_score(SCORE, -0.5, 4.0))
        assert "interior below -0.5: outside, no cell" in texts(figure)
        assert figure.axes[1].get_xlim() == (0, 8)

    @pytest.mark.parametrize(("metric", "unit"), [("js", "nats"), ("cosine", "cosine")])
    def test_the_unit_is_that_of_the_metric(self, metric: str, unit: str):
        figure = edge_score_figure(step_of(SCORE), pseudo_edge(SCORE), metric)
        assert figure.axes[2].get_ylabel() == f"score, {unit}"

    @pytest.mark.parametrize("shape", [(1, 1), (2, 5)])
    def test_a_score_of_nothing_but_zeros_is_drawn(self, shape: tuple[int, int]):
        score = np.zeros(shape, np.float32)
        assert figure_png(edge_score_figure(step_of(score), pseudo_edge(score)))


class TestPseudoEdge:
    def test_the_legend_explains_every_colour_in_words_with_its_share(self):
        said = texts(pseudo_edge_figure(split_score(SCORE, 0.5, 4.0), 399))
        assert "edge: score above 4 (11% of cells)" in said
        assert "interior: score below 0.5 (44% of cells)" in said
        assert "uncertain: between the two (44% of cells)" in said
        assert "timestep 399, rule by hand" in said

    def test_a_rule_that_stepped_in_is_named(self):
        edge = pseudo_edge(SCORE)
        assert edge.used_fallback
        said = texts(pseudo_edge_figure(edge, 399))
        assert "rule quantile" in said and "the paper's left too little interior" in said

    def test_labels_become_their_colours(self):
        labels = np.array([[PseudoEdge.EDGE, PseudoEdge.INTERIOR, PseudoEdge.UNCERTAIN]], np.int8)
        picture = label_picture(labels)
        assert picture.dtype == np.uint8
        expected = [LABEL_COLOURS[int(label)] for label in labels[0]]
        assert [tuple(pixel) for pixel in picture[0].tolist()] == expected

    def test_colours_differ_as_greys_too(self):
        swatches = Image.fromarray(np.array([list(LABEL_COLOURS.values())], np.uint8))
        greys = sorted(int(value) for value in np.asarray(swatches.convert("L"))[0])
        assert all(lighter - darker > 50 for darker, lighter in pairwise(greys))


class TestEnlarge:
    def test_every_cell_becomes_a_square_of_one_colour(self):
        picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        large = enlarge(picture, 5)
        assert large.shape == (4, 4, 3)
        assert (large[:2, 2:] == picture[0, 1]).all()
        assert np.array_equal(large[::2, ::2], picture)

    @pytest.mark.parametrize(
        ("shape", "expected"), [((4, 2), (512, 256)), ((600, 3), (600, 3)), ((1, 1), (512, 512))]
    )
    def test_the_longer_side_decides(self, shape: tuple[int, int], expected: tuple[int, int]):
        assert enlarge(np.zeros((*shape, 3), np.uint8)).shape[:2] == expected


@pytest.mark.parametrize(
    "draw",
    [
        lambda: kl_curve_figure(CURVE, (1.5, 1.2, 0.5, 1.0)),
        lambda: edge_score_figure(step_of(SCORE), pseudo_edge(SCORE)),
        lambda: pseudo_edge_figure(pseudo_edge(SCORE), 399),
    ],
    ids=["curve", "score", "edge"],
)
def test_equal_figures_are_equal_bytes_without_a_date(draw):
    png = figure_png(draw())
    assert figure_png(draw()) == png
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        assert set(picture.info) <= {"dpi"}
