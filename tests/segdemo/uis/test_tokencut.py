"""TokenCut on features of patches, beside the paper's description with dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.linalg import eigh

from segdemo.datatypes import InputError
from segdemo.uis.tokencut import TokenCutSettings, salient_object
from tests.segdemo.uis.scenes import OBJECTS, iou, scene


def naive_tokencut(features: np.ndarray, tau: float) -> np.ndarray:
    """Find the object by all eigenvectors of (D - W) x = lambda D x."""
    height, width, depth = features.shape
    flat = features.reshape(-1, depth).astype(np.float64)
    units = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    weights = np.where(units @ units.T > tau, 1, 1e-5)
    degrees = np.diag(weights.sum(1))
    vector = eigh(degrees - weights, degrees)[1][:, 1]
    first, second = vector > vector.mean(), vector <= vector.mean()
    peak = np.abs(vector).argmax()
    side = first if first[peak] else second
    regions, _ = ndimage.label(side.reshape(height, width))
    return regions == regions.flat[peak]


@pytest.mark.parametrize("seed", range(3))
def test_the_object_is_that_of_the_dense_matrices(seed: int):
    features, _ = scene(noise=1.0, seed=seed)
    (found,) = salient_object(features, TokenCutSettings())
    np.testing.assert_array_equal(found, naive_tokencut(features, 0.2))


def test_it_is_one_of_the_objects():
    features, labels = scene()
    (found,) = salient_object(features, TokenCutSettings())
    assert max(iou(found, labels == k) for k in OBJECTS) > 0.95


@pytest.mark.parametrize("features", [np.zeros((5, 5, 4)), np.ones((5, 5, 4))])
def test_where_all_patches_are_alike_there_is_no_object(features: np.ndarray):
    assert salient_object(features.astype(np.float32), TokenCutSettings()) == []


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="tau 2 is outside"):
        TokenCutSettings(tau=2)
