"""The settings of `training.pseudo_edges`: those of a trace, its pictures and its time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from segdemo.assistant import PRECISIONS
from segdemo.checkpoints.backbone import BackboneFiles
from segdemo.datatypes import InputError
from segdemo.diffegg.pseudo_edge import RULES
from segdemo.diffegg.settings import TraceSettings

TOLD = {
    name: {**entry.metadata, "help": entry.metadata["help"].replace("%", "%%")}
    for name, entry in TraceSettings.__dataclass_fields__.items()
}
"""What `TraceSettings` says of its fields, as an argument parser wants it."""
RULES_TOLD = " ".join(f"{rule}: {told}" for rule, told in RULES.items()).replace("%", "%%")


@dataclass(frozen=True)
class PseudoEdgeSettings:
    """Which pictures, which model, how it is looked into, and for how long."""

    pictures: list[str] = field(
        metadata={
            "help": "A folder; a text list of paths; or tar archives, also as a quoted pattern "
            "such as 'part-{000..099}.tar'."
        }
    )
    output_dir: str = field(
        default="runs/pseudo_edges", metadata={"help": "Where the files go, a .npz a picture."}
    )
    root: str = field(
        default="",
        metadata={
            "help": "Folder that a list's paths and the names of their results are relative to; "
            "empty: the list's own."
        },
    )
    count: int = field(default=0, metadata={"help": "Only the first pictures; 0: all."})
    shuffle: bool = field(
        default=False,
        metadata={"help": "Draw the order by --seed, so that --count takes a sample."},
    )
    minutes: float = field(
        default=0.0, metadata={"help": "Begin no picture after so much time; 0: no limit."}
    )
    backbone: str = field(
        default="small",
        metadata={
            "help": "Model whose attention is read: small (embedded), or the folder or Hub id of "
            "a Stable Diffusion 1.5, 2.1, Turbo, XL, 3 or 3.5."
        },
    )
    precision: str = field(
        default="fp32",
        metadata={"help": "Number format of the network.", "choices": tuple(PRECISIONS)},
    )
    device: str = field(
        default="auto",
        metadata={"help": "auto: what accelerate finds.", "choices": ("auto", "cpu")},
    )
    rule: str = field(
        default="paper",
        metadata={"help": f"Thresholds of the score. {RULES_TOLD}", "choices": tuple(RULES)},
    )
    timesteps: list[int] = field(
        default_factory=lambda: list(TraceSettings.timesteps), metadata=TOLD["timesteps"]
    )
    size: int = field(default=TraceSettings.size, metadata=TOLD["size"])
    seed: int = field(default=TraceSettings.seed, metadata=TOLD["seed"])
    noise: str = field(default=TraceSettings.noise, metadata=TOLD["noise"])
    noise_draws: int = field(default=TraceSettings.noise_draws, metadata=TOLD["noise_draws"])
    layers: str = field(default=TraceSettings.layers, metadata=TOLD["layers"])
    layer_weights: str = field(default=TraceSettings.layer_weights, metadata=TOLD["layer_weights"])
    key_norm: str = field(default=TraceSettings.key_norm, metadata=TOLD["key_norm"])
    text_keys: str = field(default=TraceSettings.text_keys, metadata=TOLD["text_keys"])
    gap_metric: str = field(default=TraceSettings.gap_metric, metadata=TOLD["gap_metric"])
    keep: str = field(default=TraceSettings.keep, metadata=TOLD["keep"])
    fixed_timestep: str = field(
        default="",
        metadata={
            "help": "Take edges from the step nearest to this, or peak: from the one that PeakKL "
            "chooses. Empty: as the model's card says (small: 99), else peak."
        },
    )
    curve: bool = field(
        default=True,
        metadata={
            "help": "Run all timesteps also where the step is fixed; --no_curve runs that one "
            "alone, many times faster, and leaves the gaps empty."
        },
    )
    edge_metric: str = field(default=TraceSettings.edge_metric, metadata=TOLD["edge_metric"])
    border: str = field(default=TraceSettings.border, metadata=TOLD["border"])

    def __post_init__(self) -> None:
        """Check the ranges; raises InputError."""
        if self.count < 0 or self.minutes < 0 or self.seed < 0:
            raise InputError("--count, --minutes and --seed must not be negative.")
        if self.rule not in RULES or self.precision not in PRECISIONS:
            raise InputError(
                f"Rule {self.rule!r}, precision {self.precision!r}: choose from "
                f"{', '.join(RULES)}, and from {', '.join(PRECISIONS)}."
            )
        if self.fixed_timestep not in ("", "peak") and not self.fixed_timestep.isdecimal():
            raise InputError(f"--fixed_timestep {self.fixed_timestep}: give a timestep or peak.")

    def trace_settings(self, files: BackboneFiles) -> TraceSettings:
        """Return how this model is looked into; raises InputError."""
        own = TraceSettings(**files.trace)
        given = {name: value for name, value in asdict(self).items() if hasattr(own, name)}
        fixed = own.fixed_timestep
        if self.fixed_timestep:
            fixed = None if self.fixed_timestep == "peak" else int(self.fixed_timestep)
        if fixed is None and not self.curve:
            raise InputError("--no_curve has nothing to choose a step by: give --fixed_timestep.")
        given["timesteps"] = tuple(self.timesteps)
        given["size"] = self.size or own.size or files.native_size
        return TraceSettings(**given | {"fixed_timestep": fixed})

    def remembered(self, tracing: TraceSettings) -> dict[str, Any]:
        """Return what must not change between two runs into the same folder."""
        names = ("pictures", "root", "backbone", "precision", "rule", "curve")
        return {name: getattr(self, name) for name in names} | asdict(tracing)
