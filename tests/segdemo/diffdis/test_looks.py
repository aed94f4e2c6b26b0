"""Second looks and their windows, with a look whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.datatypes import FloatMap, RGBImage, SegmentationResult
from segdemo.diffdis.looks import look_again
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


def test_what_is_cut_out_goes_back_to_its_place() -> None:
    values = np.random.default_rng(1).random((60, 80), np.float32)
    window = Window(-3, 50, 20, 70)
    back = window.placed(window.cut(values), (60, 80))
    np.testing.assert_array_equal(back[50:, :20], values[50:, :20])
    assert back.sum() == pytest.approx(values[50:, :20].sum())
