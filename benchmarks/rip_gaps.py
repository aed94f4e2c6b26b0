"""How well RIP repairs masks where edges have gaps or noise, and where instances have necks.

    python -m benchmarks.rip_gaps --count 20

Prints class-agnostic mask AP on drawn scenes for each way of RIP, and seconds for each scene. A:
touching instances merged; B: instances in pieces; AB: merged and in pieces. Constants were chosen
on scenes below 100, so that those measured here are new to them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from segdemo.rip.refine import refine
from segdemo.rip.settings import CAREFUL, PAPER, ROBUST, RIPSettings, WalkSettings
from tests.segdemo.rip import scenes

WAYS: dict[str, RIPSettings] = {
    "careful": CAREFUL,
    "careful, joining none": replace(CAREFUL, join_probability=1),
    "paper": PAPER,
    "robust": ROBUST,
    "opening 3, 128 steps": WalkSettings(gap=0, opening=3, steps=128),
}
FIRST_SEED = 100

Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]
DAMAGES: dict[str, Damage] = {
    "A": lambda labels, rng: scenes.merged(labels),
    "B": lambda labels, rng: scenes.fragmented(scenes.instances(labels), rng),
    "AB": lambda labels, rng: scenes.fragmented(scenes.merged(labels), rng),
}


class Condition(NamedTuple):
    """What scenes are drawn, and what is done to their edges."""

    scene: Callable[[int], np.ndarray]
    edge: Damage


CONDITIONS = {
    "clean": Condition(scenes.make_scene, lambda edge, rng: edge),
    "10 % gaps": Condition(scenes.make_scene, lambda e, rng: scenes.with_gaps(e, 0.1, rng)),
    "20 % gaps": Condition(scenes.make_scene, lambda e, rng: scenes.with_gaps(e, 0.2, rng)),
    "noise 0.05": Condition(scenes.make_scene, lambda e, rng: scenes.with_noise(e, 0.05, rng)),
    "necks": Condition(scenes.make_necked_scene, lambda edge, rng: edge),
    "necks, 10 %": Condition(
        scenes.make_necked_scene, lambda e, rng: scenes.with_gaps(e, 0.1, rng)
    ),
}


def measure(
    condition: Condition, damage: Damage, settings: RIPSettings, count: int
) -> tuple[float, float]:
    """Return AP in percent over scenes, and seconds for each."""
    truths, found, scores, seconds = [], [], [], 0.0
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        labels, rng = condition.scene(seed), np.random.default_rng(10_000 + seed)
        masks = damage(labels, rng)
        edge = condition.edge(scenes.true_edges(labels), rng)
        start = time.perf_counter()
        result = refine(masks, edge, settings=settings)
        seconds += time.perf_counter() - start
        truths.append(scenes.instances(labels))
        found.append(result.masks)
        scores.append(result.scores)
    return scenes.average_precision(truths, found, scores), seconds / count


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20, help="scenes for each figure")
    count = parser.parse_args().count
    print(f"{'AP for ' + '/'.join(DAMAGES):22}" + "".join(f"{name:>18}" for name in CONDITIONS))
    for name, settings in WAYS.items():
        figures, seconds = [], []
        for condition in CONDITIONS.values():
            cells = [measure(condition, damage, settings, count) for damage in DAMAGES.values()]
            figures.append("/".join(f"{precision:.1f}" for precision, _ in cells))
            seconds += [each for _, each in cells]
        row = "".join(f"{figure:>18}" for figure in figures)
        print(f"{name:22}{row}   {np.mean(seconds):.2f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
