"""Settings, declared once: command line, forms and API are made from what each field says.

Settings are frozen dataclasses whose fields are made by `setting`. The metadata of a field:

help: a sentence for a person. choices: the values there are, for those of a kind that can be
listed. minimum, maximum: the range of a number, both included. unit: what a number counts, such as
"pixels". label: what a form calls it, where the name does not say it. A class may add keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field, fields
from typing import Any

from segdemo.datatypes import InputError

LARGEST_SEED = 2**63 - 1  # that PyTorch takes
AUTO_PRECISION = "auto"
PRECISION_NAMES = (AUTO_PRECISION, "fp32", "bf16", "fp16")
"""Number formats of networks; see `segdemo.precision`."""
PRECISION_HELP = (
    "number format of the networks; auto: bf16 where the processor or GPU multiplies it and masks "
    "stay as they are, else fp32"
)


def check_precision(name: str) -> None:
    """Raise InputError for a precision that does not exist."""
    if name not in PRECISION_NAMES:
        raise InputError(f"Precision {name!r}: choose one of {', '.join(PRECISION_NAMES)}.")


def setting(
    default: Any,
    help: str,  # noqa: A002
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str = "",
    label: str = "",
    choices: Sequence[str] = (),
    **more: Any,
) -> Any:
    """Declare a field of a settings class; only what is given becomes metadata."""
    said = {"minimum": minimum, "maximum": maximum, "unit": unit, "label": label} | more
    said["choices"] = tuple(choices)
    kept = {key: value for key, value in said.items() if value not in (None, "", ())}
    return field(default=default, metadata={"help": help} | kept)


def check_settings(settings: Any) -> None:
    """Check every field's range and choices; None is no value. Raises InputError."""
    for entry in fields(settings):
        value, said = getattr(settings, entry.name), entry.metadata
        if value is None:
            continue
        choices = said.get("choices")
        if choices and value not in choices:
            raise InputError(
                f"{entry.name} {value!r}: choose one of {', '.join(filter(None, choices))}."
            )
        if not {"minimum", "maximum"} & said.keys():
            continue
        low, high = said.get("minimum", -math.inf), said.get("maximum", math.inf)
        for number in value if isinstance(value, list | tuple) else [value]:
            if not low <= number <= high:  # refuses what is not a number, too
                raise InputError(f"{entry.name} {number}{_range(low, high, said.get('unit', ''))}.")


def _range(low: float, high: float, unit: str) -> str:
    unit = f" {unit}" if unit else ""
    if math.isinf(high):
        return f": choose {low}{unit} or more"
    if math.isinf(low):
        return f": choose {high}{unit} or less"
    return f" is outside {low} to {high}{unit}"
