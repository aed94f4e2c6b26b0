"""How RIP splits and merges, with its ranges, and the presets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from segdemo.datatypes import InputError

RANGES: dict[str, tuple[float, float]] = {
    "grid": (16, 1024),
    "cut": (0, 1),
    "gap": (0, 32),
    "opening": (0, 16),
    "radius": (1.5, 16),
    "beta": (0.1, 100),
    "steps": (0, 65536),
    "binarise": (0.01, 1),
    "merge_iou": (0, 1),
    "fill": (0, 32),
    "smallest_part": (0, 1),
    "smallest_instance": (0, 1),
    "least_cover": (0, 1),
    "contrast": (0, 2),
    "join": (0, 1),
}
"""Lowest and highest value of each setting."""

MOST_AFFINITIES = 50_000_000  # of cell pairs; about 1.5 GB


@dataclass(frozen=True)
class RIPSettings:
    """How masks are split and merged; the defaults are those for predicted edges (`ROBUST`)."""

    grid: int = field(
        default=128, metadata={"help": "Cells along the longer side of the working grid."}
    )
    cut: float = field(
        default=0.5, metadata={"help": "Edge strength that separates components, 0 to 1."}
    )
    gap: int = field(
        default=8,
        metadata={
            "help": "Gaps up to this many cells wide are closed where an edge ends at them; 0 "
            "leaves edges as they are."
        },
    )
    opening: int = field(
        default=0,
        metadata={
            "help": "Components are taken this many cells away from edges, so that gaps up to "
            "twice as wide do not join two instances; it parts necks of instances as well."
        },
    )
    radius: float = field(default=5.0, metadata={"help": "Reach of one step in cells."})
    beta: float = field(default=10.0, metadata={"help": "Power of the affinities (eq. of T)."})
    steps: int = field(
        default=256, metadata={"help": "Length of the walk; longer joins more and leaks more."}
    )
    binarise: float = field(
        default=0.3, metadata={"help": "Share of its own maximum above which a cell is a mask's."}
    )
    merge_iou: float = field(
        default=0.5, metadata={"help": "Spread components that overlap more become one."}
    )
    fill: int = field(
        default=3, metadata={"help": "Cells of edge that go to the nearest instance, within masks."}
    )
    smallest_part: float = field(
        default=5e-4, metadata={"help": "Components below this share of the picture are dropped."}
    )
    smallest_instance: float = field(
        default=1e-3, metadata={"help": "Results below this share of the picture are dropped."}
    )
    least_cover: float = field(
        default=0.5, metadata={"help": "Results that input masks cover less than this are dropped."}
    )
    contrast: float = field(
        default=0.0,
        metadata={
            "help": "Above 0, a mask is cut only along whole borders of this mean edge strength, "
            "less for necks and large pieces, and else stays as it is; then of the other settings "
            "only grid, for each mask, smallest part and join count."
        },
    )
    join: float = field(
        default=0.0,
        metadata={
            "help": "With contrast: masks that touch become one where the edge along a long border "
            "between them is weaker than this on average; 0 joins none."
        },
    )

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        for entry in fields(self):
            low, high = RANGES[entry.name]
            value = getattr(self, entry.name)
            if not low <= value <= high:
                raise InputError(f"{entry.name} {value} is outside {low} to {high}.")
        if self.grid**2 * math.pi * self.radius**2 > MOST_AFFINITIES:
            raise InputError(
                f"grid {self.grid} with radius {self.radius:g} needs too much memory: lower one."
            )


ROBUST = RIPSettings()
PAPER = RIPSettings(gap=0)
CAREFUL = RIPSettings(grid=512, contrast=0.75, smallest_part=3e-4)
PRESETS = {"careful": CAREFUL, "robust": ROBUST, "paper": PAPER}
"""careful: for edges of which many are false; joins nothing unless `join` is set, since touching
masks are more often two objects. robust: for good edges with gaps. paper: for closed
edges."""
