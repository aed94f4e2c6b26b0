"""Settings of training programs: declared once, checked once, compared when a run is resumed.

A field's metadata is what `segdemo.settings` describes, and `may_change`: whether a run may be
resumed with another value, because it says how long, where or by what means, not what is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import yaml

from segdemo.datatypes import InputError
from segdemo.files import write_text
from segdemo.settings import check_settings, setting

PRECISIONS = ("fp32", "bf16", "fp16")
SCHEDULES = ("cosine", "constant", "diffdis")
OPTIMIZERS = ("adamw", "adam")
SETTINGS_FILE = "settings.yaml"
TRACKERS = ("tensorboard", "wandb")
NO_LIMIT = 1_000_000
"""Steps of a run that something else ends."""


def required(help: str, **more: Any) -> Any:  # noqa: A002
    """Declare a field without a default."""
    return field(metadata={"help": help} | more)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of every program's settings.

    own_folder: whether only one run at a time may use their `output_dir`.
    """

    own_folder: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check ranges and choices; raises InputError."""
        check_settings(self)

    @classmethod
    def present(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that an earlier version stored under today's names."""
        return dict(stored)

    def fixed(self) -> dict[str, Any]:
        """Return the settings that must not change when a run is resumed."""
        return {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if not entry.metadata.get("may_change")
        }


def write_settings(settings: Settings, folder: Path) -> None:
    """Write `settings.yaml`, which `--config` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(asdict(settings), sort_keys=False, allow_unicode=True)
    write_text(text, folder / SETTINGS_FILE)


def check_resumed(earlier: Mapping[str, Any], now: Mapping[str, Any], run: str) -> None:
    """Raise InputError for settings that differ from those that a run was started with.

    Settings that one of the two does not know are not compared. run: what the message calls it.
    """
    differing = [
        f"--{name} {earlier[name]}, now {now[name]}"
        for name in sorted(earlier.keys() & now)
        if earlier[name] != now[name]
    ]
    if differing:
        raise InputError(
            f"{run} was started with other settings ({'; '.join(differing)}): give the same, or "
            "another --output_dir."
        )


def same_as(settings: Any, name: str, **changes: Any) -> Any:
    """Declare a field as another settings class does; changes: of its default or metadata."""
    (entry,) = (entry for entry in fields(settings) if entry.name == name)
    default = changes.pop("default", entry.default)
    return field(default=default, metadata={**entry.metadata, **changes})


@dataclass(frozen=True, kw_only=True)
class LoopSettings(Settings):
    """How long, how fast and how safely; shared by all programs that train."""

    own_folder = True

    minutes: float = setting(
        0.0,
        "Training time in all, resumed parts included; 0: no limit.",
        minimum=0,
        unit="minutes",
        may_change=True,
    )
    max_steps: int = setting(NO_LIMIT, "Stop after this many steps.", minimum=1, may_change=True)
    learning_rate: float = setting(4e-4, "Peak learning rate.", minimum=1e-12, maximum=1)
    schedule: str = setting(
        "cosine", "Of the learning rate; diffdis: decays by epochs.", choices=SCHEDULES
    )
    epoch_steps: int = setting(
        0, "Steps of an epoch, for the schedule diffdis.", minimum=0, may_change=True
    )
    warmup_steps: int = setting(100, "Steps of linear warm-up.", minimum=0)
    optimizer: str = setting("adamw", "adam has no weight decay.", choices=OPTIMIZERS)
    accumulation: int = setting(
        1, "Batches whose gradients make one step.", minimum=1, may_change=True
    )
    clip: float = setting(1.0, "Largest gradient norm; 0: unlimited.", minimum=0)
    ema_decay: float = setting(0.998, "Decay of the averaged weights.", minimum=0, maximum=1)
    precision: str = setting("bf16", "Number format of the computation.", choices=PRECISIONS)
    workers: int = setting(0, "Processes that prepare batches.", minimum=0, may_change=True)
    save_minutes: float = setting(
        3.0, "Time between checkpoints.", minimum=0, unit="minutes", may_change=True
    )
    save_steps: int = setting(
        0, "Steps between checkpoints; 0: by time.", minimum=0, may_change=True
    )
    keep: int = setting(2, "How many of the last checkpoints to keep.", minimum=1, may_change=True)
    validate_steps: int = setting(
        0, "Steps between validations; 0: none.", minimum=0, may_change=True
    )
    log_steps: int = setting(
        50, "Steps whose mean losses make a row of the log.", minimum=1, may_change=True
    )
    best_metric: str = setting(
        "",
        "Metric of the validation that decides which checkpoint is the best; empty: the first one.",
        may_change=True,
    )
    patience: int = setting(
        0,
        "Stop after this many validations without a better one; 0: never. With --validate_steps.",
        minimum=0,
        may_change=True,
    )
    report_to: list[str] = field(
        default_factory=list,
        metadata={
            "help": f"Trackers to log with as well: {', '.join(TRACKERS)}.",
            "may_change": True,
        },
    )
    seed: int = setting(0, "Seed of order and noise.", minimum=0)
    init_seed: int = setting(
        -1, "Seed of layers that start untrained; -1: the same as --seed.", minimum=-1
    )

    @property
    def first_seed(self) -> int:
        """The seed of untrained layers."""
        return self.seed if self.init_seed < 0 else self.init_seed
