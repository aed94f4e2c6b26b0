"""Outlines follow the photo's: the filter is He's, checked by loops over its windows."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo import guided_filter
from segdemo.guided_filter import EPSILON, follow_outlines


def _slow(values: np.ndarray, image: np.ndarray, radius: int) -> np.ndarray:
    """The paper's equations, one window after the other, with repeated borders."""
    guide = np.pad(image / 255.0, [(2 * radius,) * 2, (2 * radius,) * 2, (0, 0)], mode="edge")
    padded = np.pad(values.astype(float), 2 * radius, mode="edge")
    height, width = values.shape
    slopes = np.zeros((height, width, 3))
    offsets = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            window = np.s_[
                row + radius : row + 3 * radius + 1, column + radius : column + 3 * radius + 1
            ]
            colours, targets = guide[window].reshape(-1, 3), padded[window].ravel()
            spread = np.cov(colours.T, bias=True) + EPSILON * np.eye(3)
            shared = (colours * targets[:, None]).mean(0) - colours.mean(0) * targets.mean()
            slopes[row, column] = np.linalg.solve(spread, shared)
            offsets[row, column] = targets.mean() - slopes[row, column] @ colours.mean(0)
    slopes = np.pad(slopes, [(radius,) * 2, (radius,) * 2, (0, 0)], mode="edge")
    offsets = np.pad(offsets, radius, mode="edge")
    result = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            window = np.s_[row : row + 2 * radius + 1, column : column + 2 * radius + 1]
            slope, offset = slopes[window].mean((0, 1)), offsets[window].mean()
            result[row, column] = slope @ (image[row, column] / 255.0) + offset
    return result.clip(0, 1)


@pytest.mark.parametrize(("height", "width"), [(20, 14), (9, 23)])
def test_it_is_the_papers_filter(height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    values = rng.random((height, width), np.float32)
    radius = 2
    found = follow_outlines(values, image, reach=radius / max(height, width))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _slow(values, image, radius), atol=1e-5)


def test_a_soft_outline_moves_towards_the_photos_and_a_plain_photo_changes_little() -> None:
    side, true = 240, 120
    image = np.full((side, side, 3), 40, np.uint8)
    image[:, true:] = (200, 90, 60)
    across = np.clip((np.arange(side) - true + 14) / 20, 0, 1).astype(np.float32)  # 0.5 at 116
    values = np.tile(across, (side, 1))
    found = follow_outlines(values, image)
    assert np.flatnonzero(found[120] > 0.5)[0] in range(118, 121)
    assert np.diff(found[120]).argmax() == true - 1
    assert np.diff(found[120]).max() > 0.2  # four times as steep as it was

    plain = follow_outlines(values, np.full((side, side, 3), 90, np.uint8))
    assert np.abs(plain - values).max() < 0.15


def test_a_large_photo_has_the_outline_of_its_small_grid() -> None:
    image = np.zeros((900, 1500, 3), np.uint8)
    image[:, 700:] = 220
    values = np.zeros((900, 1500), np.float32)
    values[:, 692:] = 1
    found = follow_outlines(values, image) > 0.5
    assert (found == (np.arange(1500) >= 700)).mean() > 0.998


def test_strips_of_a_tall_photo_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (600, 40, 3), np.uint8)
    values = rng.random((600, 40), np.float32)
    found = follow_outlines(values, image, grid=200)
    monkeypatch.setattr(guided_filter, "STRIP", 1000)
    np.testing.assert_allclose(found, follow_outlines(values, image, grid=200), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
def test_any_size_goes(size: tuple[int, int]) -> None:
    found = follow_outlines(np.full(size, 0.25, np.float32), np.zeros((*size, 3), np.uint8))
    np.testing.assert_allclose(found, 0.25, atol=1e-5)
