"""The subject as U2NetP sees it, in two looks."""

from __future__ import annotations

import numpy as np

from segdemo.subject import load_subject_network, predict_saliency


def _disk() -> np.ndarray:
    rows, columns = np.mgrid[:120, :160]
    image = np.full((120, 160, 3), (60, 120, 60), np.uint8)
    image[(rows - 70) ** 2 + (columns - 50) ** 2 < 30**2] = (220, 60, 40)
    return image


def test_a_disk_on_a_plain_ground_is_the_subject() -> None:
    image = _disk()
    found = predict_saliency(image, load_subject_network()) > 0.5
    truth = image[..., 0] > 150
    assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_mirrored_images_have_mirrored_maps() -> None:
    image, network = _disk(), load_subject_network()
    found = predict_saliency(image, network, mirrored=True)
    mirrored = predict_saliency(image[:, ::-1].copy(), network, mirrored=True)
    np.testing.assert_allclose(mirrored[:, ::-1], found, atol=0.02)  # the windows may differ


def test_where_nothing_is_found_there_is_no_second_look() -> None:
    found = predict_saliency(np.zeros((40, 60, 3), np.uint8), load_subject_network())
    assert found.shape == (40, 60)
    assert np.isfinite(found).all()
