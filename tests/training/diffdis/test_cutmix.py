"""CutMix pastes the partner's pixels and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from training.diffdis.cutmix import AREA, cutmix, draw_boxes


def test_a_box_shows_the_partner_and_the_rest_stays() -> None:
    maps = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 2, 2)
    boxes = torch.zeros(4, 2, 2)
    boxes[0, 0, 0] = boxes[3, 1, 1] = 1

    mixed = cutmix(maps, boxes)[:, 0]

    assert mixed[0].tolist() == [[1, 0], [0, 0]]
    assert mixed[1].unique().tolist() == [1]
    assert mixed[2].unique().tolist() == [2]
    assert mixed[3].tolist() == [[3, 3], [3, 2]]


def test_every_second_item_gets_a_box_of_the_stated_area() -> None:
    boxes = draw_boxes(400, 64, np.random.default_rng(0))
    share = boxes.mean((1, 2))

    assert 0.4 < (share > 0).mean() < 0.6
    assert share.max() <= AREA[1]
    assert share[share > 0].min() >= AREA[0] * 0.8  # sides are cut to whole pixels
