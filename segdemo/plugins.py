"""What other packages add, found by their entry points in the group `segdemo.plugins`.

An entry point is a function that takes a `Plugins` and fills it; docs/extending.md shows each kind.
A plugin that does not work is left out with one sentence, and stops nothing. No torch.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from segdemo.datatypes import FloatMap, InputError, InstanceMasks

if TYPE_CHECKING:
    import torch

    from evaluation.data.layouts import Layout
    from segdemo.diffegg.backbones.base import Backbone
    from segdemo.prompting.interface import Prompter
    from segdemo.uis.methods import Method

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

GROUP = "segdemo.plugins"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

LoadBackbone = Callable[["torch.device", "torch.dtype"], "Backbone"]
LoadPrompter = Callable[["torch.device", "torch.dtype"], "Prompter"]
EdgeMetric = Callable[[FloatMap, npt.NDArray[np.bool_]], float]
"""Of an image's edge map (H, W) in [0, 1] and its annotators' boundaries (A, H, W)."""


@dataclass(frozen=True)
class MaskFileFormat:
    """A format of instance masks in one file.

    suffix: of its files, with the dot. read: returns masks by image name; None: cannot be read.
    write: writes masks by image name to a file and returns in sentences what it could not hold;
    None: cannot be written. Both may raise InputError.
    """

    suffix: str
    read: Callable[[Path], Mapping[str, InstanceMasks]] | None = None
    write: Callable[[Mapping[str, InstanceMasks], Path], list[str]] | None = None

    def __post_init__(self) -> None:
        """Check the suffix; raises ValueError."""
        if not re.fullmatch(r"\.[a-z0-9]+", self.suffix):
            raise ValueError(f"suffix {self.suffix!r} is not like .toy")


@dataclass(frozen=True)
class Plugins:
    """What plugins register, by the names that users give."""

    backbones: dict[str, LoadBackbone] = field(default_factory=dict)
    uis_methods: dict[str, Method] = field(default_factory=dict)
    prompters: dict[str, LoadPrompter] = field(default_factory=dict)
    mask_formats: dict[str, MaskFileFormat] = field(default_factory=dict)
    edge_metrics: dict[str, EdgeMetric] = field(default_factory=dict)
    data_sets: dict[str, Layout] = field(default_factory=dict)


_found: list[Plugins] = []


def plugins() -> Plugins:
    """Return what all installed plugins registered; they are looked for once a process.

    While they are, a plugin that asks gets what is there so far.
    """
    if not _found:
        _found.append(Plugins())
        _look_for(_found[0])
    return _found[0]


def forget_plugins() -> None:
    """Look for plugins again when they are asked for next."""
    _found.clear()


def _look_for(found: Plugins) -> None:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            _merge(_registered(entry), found)
        except (Exception, SystemExit) as error:  # whatever a foreign package does
            package = entry.dist.name if entry.dist is not None else entry.value
            logger.warning(
                "The plugin %r of the package %s does not work and is left out (%s): update the "
                "package or uninstall it.",
                entry.name,
                package,
                _first_line(error),
            )


def call_plugin(name: str, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call what a plugin registered; raises InputError, also for whatever else it raises."""
    try:
        return function(*arguments)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{name}, which a plugin added, failed ({_first_line(error)}): update that package or "
            "report it to its authors."
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _registered(entry: EntryPoint) -> Plugins:
    own = Plugins()
    entry.load()(own)
    return own


def _merge(own: Plugins, found: Plugins) -> None:
    """Add all that a plugin registered, or nothing; raises ValueError."""
    for kind in fields(Plugins):
        for name, value in getattr(own, kind.name).items():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise ValueError(f"{name!r} in {kind.name} is no name of letters, digits, _ . -")
            if name in getattr(found, kind.name):
                raise ValueError(f"{kind.name} has {name!r} already")
            if not _fits(kind.name, value):
                raise ValueError(f"{name!r} in {kind.name} is a {type(value).__name__}")
    for kind in fields(Plugins):
        getattr(found, kind.name).update(getattr(own, kind.name))


def _fits(kind: str, value: Any) -> bool:
    match kind:
        case "mask_formats":
            return isinstance(value, MaskFileFormat)
        case "uis_methods":
            return all(hasattr(value, name) for name in ("title", "settings", "find"))
        case "data_sets":
            return all(hasattr(value, name) for name in ("section", "places"))
        case _:
            return callable(value)


def added(own: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return this project's own entries and a plugin's; its own win, with a warning."""
    for name in own.keys() & more.keys():
        logger.warning("A plugin's %r is left out: that name is this project's own.", name)
    return {**own, **{name: value for name, value in more.items() if name not in own}}
