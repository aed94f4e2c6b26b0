"""Flags that several verbs have, and settings as flags."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from segdemo.settings import AUTO_PRECISION, PRECISION_HELP, PRECISION_NAMES


def add_files(
    parser: argparse.ArgumentParser, inputs: str = "+", output_required: bool = True
) -> None:
    """Add INPUT... and --output_dir; inputs: how many there must be, as `nargs`."""
    parser.add_argument(
        "inputs", nargs=inputs, type=Path, metavar="INPUT", help="photo, or folder with photos"
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        required=output_required,
        metavar="OUT",
        help="folder for the results",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device and --precision."""
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps .. (default: %(default)s)"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISION_NAMES,
        default=AUTO_PRECISION,
        help=f"{PRECISION_HELP} (default: %(default)s)",
    )


def add_autoencoder(parser: argparse.ArgumentParser) -> None:
    """Add --autoencoder."""
    parser.add_argument(
        "--autoencoder",
        default="",
        metavar="FOLDER|HUB",
        help="in place of the model's own: a smaller one for the same latents, such as "
        "madebyollin/taesd (diffusers' AutoencoderTiny) for Stable Diffusion's (default: its own)",
    )


def add_settings(
    parser: argparse.ArgumentParser, settings: type, **special: dict[str, Any]
) -> None:
    """Add a flag for every field of a settings class. special: argparse's options by field."""
    for entry in fields(settings):
        add_setting(parser, settings, entry.name, **special.get(entry.name, {}))


def add_setting(parser: argparse.ArgumentParser, settings: type, name: str, **options: Any) -> None:
    """Add `--name`, for a switch `--no-name` too, by what the field says (`segdemo.settings`).

    Not given, it is absent from the arguments: defaults stay in one place. options: argparse's,
    where they cannot be derived.
    """
    (entry,) = (entry for entry in fields(settings) if entry.name == name)
    default, sentence = entry.default, entry.metadata["help"]
    if isinstance(default, bool):
        # a model's card may switch it, too
        options = {"action": argparse.BooleanOptionalAction} | options
        sentence += " (default: what suits the model)"
    elif default not in ("", None):
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        sentence += f" (default: {shown})"
    if isinstance(default, int | float | tuple) and not isinstance(default, bool):
        values = {"nargs": "+"} if isinstance(default, tuple) else {}
        kind = type(default[0] if isinstance(default, tuple) else default)
        metavar = entry.metadata.get("unit", "n").upper()
        options = {"type": kind, "metavar": metavar} | values | options
    if "choices" in entry.metadata:
        options["choices"] = entry.metadata["choices"]
    parser.add_argument(
        f"--{name}", default=argparse.SUPPRESS, help=sentence.replace("%", "%%"), **options
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
