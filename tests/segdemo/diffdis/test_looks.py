"""Second looks and windows, with a look whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.datatypes import FloatMap, InputError, RGBImage, SegmentationResult
from segdemo.diffdis.looks import look_again, refine_window
from segdemo.windows import Window

IMAGE = np.random.default_rng(0).integers(1, 256, (60, 80, 3), np.uint8)


def _result(mask: FloatMap) -> SegmentationResult:
    return SegmentationResult(mask.copy(), mask / 2, (0.0, 1.0))


def _first(box: tuple[int, int, int, int]) -> SegmentationResult:
    mask = np.zeros((60, 80), np.float32)
    mask[box[1] : box[3], box[0] : box[2]] = 0.8
    return _result(mask)


def test_a_second_look_sees_the_part_around_the_subject() -> None:
    seen: list[tuple[RGBImage, FloatMap]] = []

    def look(part: RGBImage, answer: FloatMap) -> SegmentationResult:
        seen.append((part, answer))
        return _result(np.full(part.shape[:2], 0.4, np.float32))

    first = _first((60, 20, 80, 40))  # at the right border: the window reaches beyond the image
    result = look_again(IMAGE, first, look)
    (part, answer), *more = seen
    assert not more and part.shape == (26, 26, 3)
    np.testing.assert_array_equal(part[:, :23], IMAGE[17:43, 57:80])
    assert not part[:, 23:].any()
    assert answer[10, 10] == np.float32(0.8) and answer[0, 0] == 0
    expected = first.mask / 2
    expected[17:43, 57:80] += 0.2
    np.testing.assert_allclose(result.mask, expected, atol=1e-6)
    np.testing.assert_allclose(result.edge, expected / 2, atol=1e-6)


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (1, 1, 79, 59)])
def test_nothing_found_or_all_of_the_image_needs_no_second_look(
    box: tuple[int, int, int, int],
) -> None:
    first = _first(box)

    def look(part: RGBImage, answer: FloatMap) -> SegmentationResult:
        raise AssertionError("looked")

    assert look_again(IMAGE, first, look) is first


def test_a_refined_window_has_no_seam() -> None:
    mask = np.zeros((60, 80), np.float32)

    def look(part: RGBImage, answer: FloatMap) -> SegmentationResult:
        return _result(np.ones(part.shape[:2], np.float32))

    refined = refine_window(IMAGE, mask, np.array([30, -5, 70, 50.0]), look)
    assert refined[:40, 40:60].min() == 1 and refined[0, 50] == 1  # up to the image's own border
    assert not refined[51:].any() and not refined[:, :30].any()
    steps = max(np.abs(np.diff(refined, axis=axis)).max() for axis in (0, 1))
    assert steps <= 0.25
    assert not mask.any()


@pytest.mark.parametrize("box", [(0, 0, 15, 40), (70, 10, 200, 40), (np.nan, 0, 40, 40)])
def test_a_window_too_small_is_one_sentence(box: tuple[float, ...]) -> None:
    mask = np.zeros((60, 80), np.float32)
    with pytest.raises(InputError, match="at least 16 x 16"):
        refine_window(IMAGE, mask, np.array(box), lambda part, answer: _result(answer))


def test_what_is_cut_out_goes_back_to_its_place() -> None:
    values = np.random.default_rng(1).random((60, 80), np.float32)
    window = Window(-3, 50, 20, 70)
    back = window.placed(window.cut(values), (60, 80))
    np.testing.assert_array_equal(back[50:, :20], values[50:, :20])
    assert back.sum() == pytest.approx(values[50:, :20].sum())
