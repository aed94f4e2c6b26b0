"""The dense CRF and its lattice, beside sums over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from segdemo.uis.dense_crf import CRFSettings, dense_crf
from segdemo.uis.permutohedral import PermutohedralLattice


def naive_crf(image: np.ndarray, mask: np.ndarray, settings: CRFSettings) -> np.ndarray:
    """Infer two labels by sums over all pairs of pixels."""
    height, width = mask.shape
    places = np.stack(np.indices((height, width)), -1).reshape(-1, 2).astype(float)
    colors = image.reshape(-1, 3).astype(float)

    def kernel(points: np.ndarray) -> np.ndarray:
        weights = np.exp(-0.5 * ((points[:, None] - points[None]) ** 2).sum(-1))
        roots = np.sqrt(weights.sum(1))
        return weights / roots[:, None] / roots[None]

    near = kernel(places / settings.smoothness_xy)
    points = [places / settings.appearance_xy, colors / settings.appearance_rgb]
    alike = kernel(np.concatenate(points, 1))
    message = settings.smoothness * near + settings.appearance * alike

    def softmax(scores: np.ndarray) -> np.ndarray:
        return np.exp(scores) / np.exp(scores).sum(1, keepdims=True)

    unary = np.log(softmax(np.stack([~mask, mask], -1).reshape(-1, 2).astype(float)))
    labels = softmax(unary)
    for _ in range(settings.steps):
        labels = softmax(unary + message @ labels)
    return labels.argmax(1).reshape(height, width).astype(bool)


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (40, 50, 3) of a disc, noisy, and the disc."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices((40, 50))
    disc = (rows - 20) ** 2 + (columns - 24) ** 2 < 12**2
    image = np.where(disc[..., None], (200, 60, 60), (60, 90, 160))
    return (image + random.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8), disc


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_lattice_filters_like_a_gaussian(dimension: int):
    random = np.random.default_rng(dimension)
    points = random.standard_normal((400, dimension)) * 1.5
    values = np.column_stack([random.standard_normal((400, 2)), np.ones(400)])
    weights = np.exp(-0.5 * ((points[:, None] - points[None]) ** 2).sum(-1))
    filtered, expected = PermutohedralLattice(points).filter(values), weights @ values
    for ours, sums in zip(filtered.T, expected.T, strict=True):
        assert np.corrcoef(ours, sums)[0, 1] > 0.94  # the lattice approximates


def test_a_point_reads_what_is_at_its_place():
    """The shares of the vertices sum to 1, so that a constant stays one far from any border."""
    points = np.stack(np.indices((41, 41)), -1).reshape(-1, 2) / 4
    filtered = PermutohedralLattice(points).filter(np.ones((len(points), 1))).reshape(41, 41)
    inside = filtered[14:27, 14:27]
    assert inside.std() / inside.mean() < 0.02


def test_a_coarse_mask_gets_the_objects_outline():
    image, disc = drawn()
    coarse = np.zeros_like(disc)
    coarse[8:32, 16:40] = True  # its square, 4 pixels off
    (refined,) = dense_crf(image, coarse[None])
    expected = naive_crf(image, coarse, CRFSettings())
    assert (refined == expected).mean() > 0.99
    assert (refined == disc).mean() > 0.99 > (coarse == disc).mean()


@pytest.mark.parametrize("steps", [1, 3])
def test_settings_count_as_in_the_sums(steps: int):
    image, disc = drawn(1)
    coarse = np.roll(disc, (3, -4), (0, 1))
    settings = CRFSettings(steps, 2, 2, 5, 12, 20)
    (refined,) = dense_crf(image, coarse[None], settings)
    assert (refined == naive_crf(image, coarse, settings)).mean() > 0.98
    assert (refined != coarse).any()


def test_each_mask_is_refined_by_itself():
    image, disc = drawn()
    masks = np.stack([disc, np.roll(disc, 3, 1)])
    together = dense_crf(image, masks)
    for mask, refined in zip(masks, together, strict=True):
        np.testing.assert_array_equal(dense_crf(image, mask[None])[0], refined)
