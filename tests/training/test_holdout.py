"""Held-out items: fixed by their seed, and never trained on."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from segdemo.datatypes import InputError
from training.holdout import check_apart, clamp_held_out, hold_out


def test_items_are_split_by_the_seed_alone() -> None:
    items = list("abcdefghij")
    kept, held = hold_out(items, 3, np.random.default_rng(0))
    assert len(held) == 3
    assert sorted(kept + held) == items
    assert kept == sorted(kept) and held == sorted(held)
    assert hold_out(items, 3, np.random.default_rng(0)) == (kept, held)
    assert hold_out(items, 3, np.random.default_rng(1))[1] != held


def test_a_picture_on_both_sides_is_named_whether_linked_or_copied(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 9)
    shutil.copy(tmp_path / "a", tmp_path / "copy")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    training = [tmp_path / "a", tmp_path / "b"]
    check_apart(training, [tmp_path / "c"])
    for name, own in (("copy", "a"), ("link", "b"), ("a", "a")):
        with pytest.raises(InputError, match=rf"{name}.* {own}|/{own}\. Remove"):
            check_apart(training, [tmp_path / "c", tmp_path / name])


@pytest.mark.parametrize(("wanted", "total", "held"), [(16, 10, 5), (2, 10, 2), (1, 1, 0)])
def test_a_small_set_is_split_rather_than_refused(wanted: int, total: int, held: int) -> None:
    assert clamp_held_out(wanted, total) == held
