"""The peer of the benchmark of speed: an ONNX file, and both IoUs beside the seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.photo_speed import mean_iou, peer_way, print_turns, time_in_turns
from segdemo.datatypes import InputError

PEER = Path(__file__).parents[1] / "fixtures" / "peer.onnx"


@pytest.fixture
def bench(tmp_path):
    """Bright squares on black, and their masks."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(3):
        mask = np.zeros((60, 80), np.uint8)
        mask[10 : 30 + number, 20:60] = 255
        Image.fromarray(mask).convert("RGB").save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


def test_a_peer_is_timed_in_turns_and_its_masks_are_measured(bench, capsys):
    pytest.importorskip("onnxruntime", reason="the peer runs by onnxruntime")
    peer = peer_way(PEER)  # the mean of the colours
    value, count = mean_iou(peer, bench, every=1)
    assert count == 3 and value > 0.9
    image = np.zeros((60, 80, 3), np.uint8)
    timings = time_in_turns({"peer": peer, "nothing": lambda one: one[..., 0] / 255}, image, 2)
    assert [len(one.wall) for one in timings.values()] == [2, 2]
    print_turns(timings)
    assert "peer" in capsys.readouterr().out


def test_a_file_that_is_no_onnx_is_named(tmp_path):
    pytest.importorskip("onnxruntime", reason="the peer runs by onnxruntime")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"broken\.onnx cannot be opened"):
        peer_way(tmp_path / "broken.onnx")
