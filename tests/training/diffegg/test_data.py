"""Pictures meet their scores by name, are checked first, and are cropped and mirrored together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segdemo.datatypes import InputError, PseudoEdge
from tests.training.diffegg.edge_drawings import draw_pictures, write_score
from training.diffegg.data import (
    WHOLE,
    EdgeBatches,
    StoredEdgeScore,
    crop_image,
    crop_labels,
    find_edge_pairs,
    random_box,
    read_score,
)
from training.loop.sampling import BatchIndex


def _ridge(column: int, side: int = 16) -> StoredEdgeScore:
    score = np.full((side, side), 0.1, np.float32)
    score[:, column] = 1
    return StoredEdgeScore(score, 0.2, 0.5)


def test_every_problem_is_listed_with_its_file_and_the_rest_is_paired(tmp_path: Path) -> None:
    photos, edges = draw_pictures(tmp_path, 6)
    (photos / "0" / "photo.png").write_bytes(b"not a picture")
    (photos / "1" / "photo.png").unlink()
    (edges / "2" / "photo.npz").write_bytes(b"not a score")
    write_score(np.ones((4, 4), np.float32), edges / "3" / "photo.npz")  # flat: no edge
    (edges / "4" / "photo.npz").unlink()
    found = find_edge_pairs(photos, edges)
    assert [pair.image.parent.name for pair in found.pairs] == ["5"]
    assert found.without == 1
    told = {str(problem.file.relative_to(tmp_path)): str(problem) for problem in found.problems}
    assert sorted(told) == [
        "edges/1/photo.npz",
        "edges/2/photo.npz",
        "edges/3/photo.npz",
        "photos/0/photo.png",
    ]
    assert "no image of that name" in told["edges/1/photo.npz"]
    assert "has no edge cell" in told["edges/3/photo.npz"]


def test_folders_without_anything_say_so(tmp_path: Path) -> None:
    photos, _ = draw_pictures(tmp_path, 1)
    with pytest.raises(InputError, match="not a folder"):
        find_edge_pairs(photos, tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"training\.pseudo_edges first"):
        find_edge_pairs(photos, photos)


def test_thresholds_are_the_stored_ones_or_set_anew(tmp_path: Path) -> None:
    score = np.linspace(0.5, 1, 64, dtype=np.float32).reshape(8, 8)
    write_score(score, tmp_path / "score.npz")
    stored, mean = read_score(tmp_path / "score.npz"), read_score(tmp_path / "score.npz", "mean")
    assert stored.lower < mean.lower == pytest.approx(0.75, abs=1e-3)
    assert stored.upper == pytest.approx(mean.upper, abs=1e-3)


def test_scores_are_enlarged_before_they_are_split() -> None:
    labels = crop_labels(_ridge(8), WHOLE, 128)
    # a cell is 8 pixels; bilinear values pass 0.5 at 5/9 of the way from a cell's middle
    columns = np.flatnonzero(labels[64] == PseudoEdge.EDGE)
    assert columns.mean() == pytest.approx(8.5 * 8 - 0.5)
    assert 7 <= len(columns) <= 10
    assert PseudoEdge.UNCERTAIN in labels and PseudoEdge.INTERIOR in labels


def test_a_crop_takes_the_same_part_of_picture_and_labels() -> None:
    image = np.zeros((64, 256, 3), np.uint8)
    image[:, 128:144] = 255  # cell 8 of 16
    box = (0.4, 0.25, 0.9, 0.75)
    bright = crop_image(image, box, 128)[64, :, 0] > 127
    edge = crop_labels(_ridge(8), box, 128)[64] == PseudoEdge.EDGE
    assert abs(np.flatnonzero(bright).mean() - np.flatnonzero(edge).mean()) < 1


def test_boxes_lie_within_the_picture_and_keep_their_share() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([random_box(rng, 0.5) for _ in range(200)])
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-12
    sides = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1])
    assert 0.5 <= sides.min() < 0.6 < 0.9 < sides.max()
    assert random_box(rng, 1.0) == pytest.approx(WHOLE)


def test_a_draw_always_gives_the_same_batch_and_mirrors_both_or_none(tmp_path: Path) -> None:
    photos, edges = draw_pictures(tmp_path, 4)
    batches = EdgeBatches(find_edge_pairs(photos, edges).pairs, 64, 4, smallest_crop=1.0)
    draw = BatchIndex(step=0, part=0, process=0, index=0, seed=3)
    first, again = batches(draw), batches(draw)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert first.images.shape == (4, 3, 64, 64)
    assert first.labels.shape == (4, 64, 64)
    plain = [batches.whole(batches.pairs[i]) for i in draw.items(4, 4)]
    mirrored = 0
    for number, whole in enumerate(plain):
        same = torch.equal(first.images[number], whole.images[0])
        turned = torch.equal(first.images[number], whole.images[0].flip(-1))
        assert same != turned
        expected = whole.labels[0].flip(-1) if turned else whole.labels[0]
        assert torch.equal(first.labels[number], expected)
        mirrored += turned
    assert 0 < mirrored < 4


def test_a_picture_as_16_bit_or_with_alpha_is_no_problem(tmp_path: Path) -> None:
    photos, edges = draw_pictures(tmp_path, 2)
    Image.open(photos / "0" / "photo.png").convert("RGBA").save(photos / "0" / "photo.png")
    assert len(find_edge_pairs(photos, edges).pairs) == 2
