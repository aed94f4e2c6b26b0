"""The settings of `training.pseudo_edges`: those of a trace, its images and its time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from segdemo.checkpoints.backbone import BackboneFiles
from segdemo.datatypes import InputError
from segdemo.diffegg.pseudo_edge import RULES
from segdemo.diffegg.settings import TraceSettings
from segdemo.precision import DTYPES
from segdemo.settings import setting
from training.loop.settings import Settings, required, same_as

RULES_HELP = " ".join(f"{rule}: {text}" for rule, text in RULES.items())


@dataclass(frozen=True, kw_only=True)
class PseudoEdgeSettings(Settings):
    """Which images, which model, how its attention is read, and for how long."""

    own_folder = True

    pictures: list[str] = required(  # noqa: RUF009
        "A folder; a text list of paths; or tar archives, also as a quoted pattern such as "
        "'part-{000..099}.tar'."
    )
    output_dir: str = setting(
        "runs/pseudo_edges", "Where the files go, one .npz per image.", may_change=True
    )
    root: str = setting(
        "",
        "Folder that a list's paths and the names of their results are relative to; empty: the "
        "list's own.",
    )
    count: int = setting(0, "Only the first images; 0: all.", minimum=0, may_change=True)
    shuffle: bool = setting(
        False, "Random order by --seed, so that --count takes a sample.", may_change=True
    )
    minutes: float = setting(
        0.0,
        "Start no image after this time; 0: no limit.",
        minimum=0,
        unit="minutes",
        may_change=True,
    )
    backbone: str = setting(
        "small",
        "Model whose attention is read: small (embedded), or the folder or Hub id of any that "
        "`segdemo trace --help` names.",
    )
    precision: str = setting("fp32", "Number format of the network.", choices=tuple(DTYPES))
    device: str = setting(
        "auto", "auto: what accelerate finds.", choices=("auto", "cpu"), may_change=True
    )
    rule: str = setting("paper", f"Thresholds of the score. {RULES_HELP}", choices=tuple(RULES))
    timesteps: list[int] = field(
        default_factory=lambda: list(TraceSettings.timesteps),
        metadata={
            "help": TraceSettings.__dataclass_fields__["timesteps"].metadata["help"],
            "minimum": 0,
            "maximum": 999,
        },
    )
    size: int = same_as(TraceSettings, "size")
    seed: int = same_as(TraceSettings, "seed")
    noise: str = same_as(TraceSettings, "noise")
    noise_draws: int = same_as(TraceSettings, "noise_draws")
    layers: str = same_as(TraceSettings, "layers")
    layer_weights: str = same_as(TraceSettings, "layer_weights")
    key_norm: str = same_as(TraceSettings, "key_norm")
    text_keys: str = same_as(TraceSettings, "text_keys")
    gap_metric: str = same_as(TraceSettings, "gap_metric")
    keep: str = same_as(TraceSettings, "keep")
    fixed_timestep: str = setting(
        "",
        "Take edges from the step nearest to this, or peak: from the one that PeakKL chooses. "
        "Empty: as the model's card says (small: 99), else peak.",
    )
    curve: bool = setting(
        True,
        "Run all timesteps even where the step is fixed; --no_curve runs that one alone, many "
        "times faster, and leaves the gaps empty.",
    )
    edge_metric: str = same_as(TraceSettings, "edge_metric")
    border: str = same_as(TraceSettings, "border")

    def __post_init__(self) -> None:
        """Check ranges and choices; raises InputError."""
        super().__post_init__()
        if self.fixed_timestep not in ("", "peak") and not self.fixed_timestep.isdecimal():
            raise InputError(f"--fixed_timestep {self.fixed_timestep}: give a timestep or peak.")

    def trace_settings(self, files: BackboneFiles) -> TraceSettings:
        """Return how this model's attention is read; raises InputError."""
        own = TraceSettings(**files.trace)
        given = {name: value for name, value in asdict(self).items() if hasattr(own, name)}
        fixed = own.fixed_timestep
        if self.fixed_timestep:
            fixed = None if self.fixed_timestep == "peak" else int(self.fixed_timestep)
        if fixed is None and not self.curve:
            raise InputError(
                "--no_curve leaves PeakKL nothing to choose from: give --fixed_timestep."
            )
        given["timesteps"] = tuple(self.timesteps)
        given["size"] = self.size or own.size or files.native_size
        return TraceSettings(**given | {"fixed_timestep": fixed})

    def fixed_with(self, tracing: TraceSettings) -> dict[str, Any]:
        """Return the settings that all files of one folder share, those of the trace resolved."""
        return self.fixed() | asdict(tracing)
