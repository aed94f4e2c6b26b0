"""Held-out items: fixed by their seed, and never trained on."""

import numpy as np

from training.holdout import hold_out


def test_items_are_split_by_the_seed_alone() -> None:
    items = list("abcdefghij")
    kept, held = hold_out(items, 3, np.random.default_rng(0))
    assert len(held) == 3
    assert sorted(kept + held) == items
    assert kept == sorted(kept) and held == sorted(held)
    assert hold_out(items, 3, np.random.default_rng(0)) == (kept, held)
    assert hold_out(items, 3, np.random.default_rng(1))[1] != held
