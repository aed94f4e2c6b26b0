"""The augmentation changes picture, mask and edge map alike; colours in the picture only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from segdemo.images import mask_contour
from tests.training.diffdis.drawn_pairs import draw_pairs
from training.diffdis.augmentation import Planes, augment, flipped, squash
from training.diffdis.data import PairBatches, read_planes
from training.diffdis.noise import NoiseSampler
from training.diffdis.pairs import find_pairs
from training.loop.sampling import BatchIndex

WIDTH, HEIGHT = 100, 80


def grey_planes() -> Planes:
    """Return a picture whose three planes show the same half-tone disc."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc = 255 * ((rows - 30) ** 2 + (columns - 40) ** 2 < 400)
    plane = Image.fromarray(disc.astype(np.uint8))
    return Planes(plane.convert("RGB"), plane, plane)


def test_the_three_planes_keep_one_geometry() -> None:
    changed = 0
    for seed in range(40):
        planes = augment(grey_planes(), np.random.default_rng(seed))
        assert planes.mask.size == planes.edge.size == planes.image.size
        assert planes.mask.tobytes() == planes.edge.tobytes()
        width, height = planes.mask.size
        assert WIDTH - 30 <= width < WIDTH and HEIGHT - 30 <= height < HEIGHT
        # brightness may drown the disc in black or white, but never move it
        picture = planes.image.convert("L")
        if picture.getextrema() != (0, 0):
            bright = picture.point(lambda v: 255 * (v > 40))
            mask = planes.mask.point(lambda v: 255 * (v > 127))
            apart = np.asarray(ImageChops.difference(bright, mask)) > 0
            assert apart.mean() < 0.05
        changed += planes.image.tobytes() != planes.mask.convert("RGB").tobytes()
    assert changed > 30


def test_a_seed_names_an_augmentation() -> None:
    first, again, other = (
        squash(augment(grey_planes(), np.random.default_rng(seed)), 64) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_small_pictures_are_not_cropped_away() -> None:
    tiny = grey_planes().map(lambda plane: plane.resize((20, 12)))
    assert augment(tiny, np.random.default_rng(0)).image.size == (20, 12)


def test_mirroring_twice_changes_nothing() -> None:
    planes = grey_planes()
    assert flipped(planes).mask.tobytes() != planes.mask.tobytes()
    assert flipped(flipped(planes)).mask.tobytes() == planes.mask.tobytes()


@pytest.mark.parametrize(("stretch", "low", "high"), [(True, -1, 1), (False, -0.2157, 0.1765)])
def test_values_are_scaled_by_their_own_extremes_or_fixed(
    stretch: bool, low: float, high: float
) -> None:
    faint = Image.fromarray(np.tile(np.array([100, 150], np.uint8), (8, 4)))
    values = squash(Planes(faint.convert("RGB"), faint, faint), 8, stretch)
    assert values.shape == (5, 8, 8)
    assert values.min() == pytest.approx(low, abs=1e-4)
    assert values.max() == pytest.approx(high, abs=1e-4)


def test_planes_of_one_value_do_not_become_nan() -> None:
    grey = Image.new("RGB", (8, 8), (51, 51, 51))
    empty, full = Image.new("L", (8, 8)), Image.new("L", (8, 8), 255)
    values = squash(Planes(grey, empty, full), 8)
    assert np.allclose(values[:3], 51 / 127.5 - 1)
    assert (values[3] == -1).all() and (values[4] == 1).all()


def test_an_edge_map_is_drawn_from_the_mask_or_read(tmp_path: Path) -> None:
    (pair,) = find_pairs(draw_pairs(tmp_path, 1)).pairs
    planes = read_planes(pair)
    np.testing.assert_array_equal(planes.edge, mask_contour(np.asarray(planes.mask)))
    (tmp_path / "contour").mkdir()
    ImageChops.invert(planes.edge).save(tmp_path / "contour" / "00#a.png")
    (with_contour,) = find_pairs(tmp_path).pairs
    assert np.array_equal(read_planes(with_contour).edge, 255 - np.asarray(planes.edge))


def test_a_batch_is_a_function_of_its_draw(tmp_path: Path) -> None:
    pairs = find_pairs(draw_pairs(tmp_path, 5)).pairs
    make = PairBatches(pairs, NoiseSampler(batch_size=4, size=64, denoising="1*/10-grid"))
    batch, again = make(BatchIndex(2, 0, 0, 2, 7)), make(BatchIndex(2, 0, 0, 2, 7))
    assert batch.planes.shape == (4, 5, 64, 64)
    assert batch.noise.shape == (8, 4, 8, 8)
    assert batch.timesteps[0] in range(99, 1000, 100)
    assert torch.equal(batch.planes, again.planes) and torch.equal(batch.noise, again.noise)
    plain = PairBatches(pairs, NoiseSampler(4, 64, tasks=1), augmented=False, mixed=False)
    other = plain(BatchIndex(2, 0, 0, 2, 7))
    assert other.noise.shape == (4, 4, 8, 8) and other.timesteps == (999,)
    assert not torch.equal(other.planes, batch.planes)
