"""Parameters of RIP's two algorithms, and the presets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields, replace
from typing import Any

from segdemo.datatypes import InputError
from segdemo.settings import check_settings, setting

MAX_AFFINITIES = 50_000_000  # pairs of cells; about 1.5 GB


@dataclass(frozen=True)
class WalkSettings:
    """Parameters of the random walk; the defaults are those for predicted edges (`ROBUST`)."""

    grid: int = setting(
        128,
        "Longer side of the working grid.",
        minimum=16,
        maximum=1024,
        unit="cells",
    )
    edge_threshold: float = setting(
        0.5,
        "Edge strength that separates connected components.",
        minimum=0,
        maximum=1,
        aliases=("cut",),
    )
    gap: int = setting(
        8,
        "Widest gap between edge ends that is closed; 0 leaves edges as they are.",
        minimum=0,
        maximum=32,
        unit="cells",
    )
    opening: int = setting(
        0,
        "Distance from edges within which no component starts, so that gaps up to twice as wide do "
        "not join two instances; it also cuts narrow parts of an instance.",
        minimum=0,
        maximum=16,
        unit="cells",
    )
    radius: float = setting(
        5.0,
        "Reach of one step of the walk.",
        minimum=1.5,
        maximum=16,
        unit="cells",
    )
    beta: float = setting(
        10.0,
        "Power of the affinities (Algorithm 4): the higher, the less the walk crosses weak edges.",
        minimum=0.1,
        maximum=100,
    )
    steps: int = setting(
        256,
        "Length of the walk; longer walks join more and leak more.",
        minimum=0,
        maximum=65536,
        unit="steps",
    )
    mask_threshold: float = setting(
        0.3,
        "Share of its own maximum from which a cell belongs to a propagated component.",
        minimum=0.01,
        maximum=1,
        aliases=("binarise",),
    )
    merge_iou: float = setting(
        0.5,
        "IoU above which propagated components become one instance.",
        label="Merge IoU",
        minimum=0,
        maximum=1,
    )
    fill: int = setting(
        3,
        "Distance within which mask pixels on edges go to the nearest instance.",
        minimum=0,
        maximum=32,
        unit="cells",
    )
    min_component: float = setting(
        5e-4,
        "Smaller components are dropped.",
        minimum=0,
        maximum=1,
        unit="share of the image",
        aliases=("smallest_part",),
    )
    min_instance: float = setting(
        0.001,
        "Smaller instances are dropped.",
        minimum=0,
        maximum=1,
        unit="share of the image",
        aliases=("smallest_instance",),
    )
    min_coverage: float = setting(
        0.5,
        "Instances of which the input masks cover a smaller share are dropped.",
        minimum=0,
        maximum=1,
        aliases=("least_cover",),
    )

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        check_settings(self)
        if self.grid**2 * math.pi * self.radius**2 > MAX_AFFINITIES:
            raise InputError(
                f"grid {self.grid} with radius {self.radius:g} needs too much memory: lower one."
            )


@dataclass(frozen=True)
class RegionMergingSettings:
    """Parameters of region merging; the defaults are those for predicted edges (`CAREFUL`)."""

    grid: int = setting(
        512,
        "Longer side of each mask's working grid.",
        minimum=16,
        maximum=1024,
        unit="cells",
    )
    edge_contrast: float = setting(
        0.78,
        "Mean edge strength of a border from which it splits a mask; less is enough for short "
        "borders and large parts.",
        minimum=0.01,
        maximum=2,
        aliases=("contrast",),
    )
    min_component: float = setting(
        3e-4,
        "No part smaller than this is split off.",
        minimum=0,
        maximum=1,
        unit="share of the image",
        aliases=("smallest_part",),
    )
    join_probability: float = setting(
        0.85,
        "Masks that touch become one where they are fragments of one object with this probability; "
        "1 joins none.",
        minimum=0.01,
        maximum=1,
    )

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        check_settings(self)


RIPSettings = WalkSettings | RegionMergingSettings

ALGORITHMS: dict[type[RIPSettings], str] = {
    WalkSettings: "random walk",
    RegionMergingSettings: "region merging",
}
"""What messages call the algorithm of each settings class."""

ROBUST = WalkSettings()
PAPER = WalkSettings(gap=0)
CAREFUL = RegionMergingSettings()
PRESETS: dict[str, RIPSettings] = {"careful": CAREFUL, "robust": ROBUST, "paper": PAPER}
"""careful: for edges of which many are false. robust: for good edges with gaps. paper: for closed
edges."""
PRESET_TITLES = {
    "careful": "region merging, not the paper's RIP",
    "robust": "RIP, gaps of edges closed",
    "paper": "RIP as printed, for closed edges",
}
"""What each preset runs, in a few words for the page."""


def with_changes(preset: str, changes: Mapping[str, float | str]) -> RIPSettings:
    """Return a preset with some of its parameters changed; raises InputError.

    changes: numbers, or their text, by the parameters' names or aliases. A parameter of the other
    algorithm is refused: it would have no effect.
    """
    if preset not in PRESETS:
        raise InputError(f"Preset {preset[:40]!r}: choose one of {', '.join(PRESETS)}.")
    settings = PRESETS[preset]
    known = {
        name: entry
        for entry in fields(settings)
        for name in (entry.name, *entry.metadata.get("aliases", ()))
    }
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in known:
            own = ", ".join(entry.name for entry in fields(settings))
            raise InputError(
                f"{name[:40]} is not a parameter of preset {preset}, which runs "
                f"{ALGORITHMS[type(settings)]}: choose among {own}."
            )
        values[known[name].name] = _number(known[name], value)
    return replace(settings, **values)


def from_pairs(preset: str, pairs: Iterable[str]) -> RIPSettings:
    """Return a preset with the changes of a command line, `NAME=NUMBER`; raises InputError."""
    changes = {}
    for pair in pairs:
        name, equals, number = pair.partition("=")
        if not equals:
            raise InputError(f"--rip {pair}: give NAME=NUMBER.")
        changes[name] = number
    return with_changes(preset, changes)


def _number(entry: Field[Any], value: float | str) -> float:
    """Read an integer where the default is one, else any number; raises InputError."""
    whole = isinstance(entry.default, int)
    try:
        number = float(value)
        if math.isfinite(number) and not (whole and number != int(number)):
            return int(number) if whole else number
    except (ValueError, TypeError):
        pass
    kind = "an integer" if whole else "a number"
    raise InputError(f"{entry.name} must be {kind}, not {str(value)[:40]!r}.")
