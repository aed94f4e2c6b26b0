"""Flags that several verbs have, and settings as flags."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

LARGEST_SEED = 2**63 - 1


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add INPUT... and --output_dir."""
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="photo, or folder with photos"
    )
    parser.add_argument(
        "--output_dir", type=Path, required=True, metavar="OUT", help="folder for the results"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device and --precision."""
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps .. (default: %(default)s)"
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16", "fp16"),
        default="fp32",
        help="number format of the network (default: %(default)s)",
    )


def add_setting(parser: argparse.ArgumentParser, settings: type, name: str, **options: Any) -> None:
    """Add `--name`; not given, it is absent from the arguments: defaults stay in one place."""
    (entry,) = (entry for entry in fields(settings) if entry.name == name)
    default = entry.default
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
    sentence = entry.metadata["help"] + ("" if shown in ("", None) else f" (default: {shown})")
    if "choices" in entry.metadata:
        options["choices"] = entry.metadata["choices"]
    parser.add_argument(
        f"--{name}", default=argparse.SUPPRESS, help=sentence.replace("%", "%%"), **options
    )


def add_switch(parser: argparse.ArgumentParser, settings: type, name: str) -> None:
    """Add `--name` and `--no-name`; not given, it is absent, and the model's card decides."""
    (entry,) = (entry for entry in fields(settings) if entry.name == name)
    parser.add_argument(
        f"--{name}",
        default=argparse.SUPPRESS,
        action=argparse.BooleanOptionalAction,
        help=f"{entry.metadata['help']} (default: what suits the model)".replace("%", "%%"),
    )


def given(arguments: argparse.Namespace, settings: type) -> dict[str, Any]:
    """Return those fields of a settings class that were given, to build it from."""
    names = [entry.name for entry in fields(settings) if entry.name in arguments]
    values = {name: getattr(arguments, name) for name in names}
    # of several values argparse makes a list, which settings that never change cannot hold
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


def fraction(text: str) -> float:
    """Read a number in [0, 1]."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def seed(text: str) -> int:
    """Read a whole number that PyTorch takes as a seed."""
    value = int(text)
    if not 0 <= value <= LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {LARGEST_SEED}")
    return value
