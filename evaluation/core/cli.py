"""The command line that all measuring programs share."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segdemo.diffdis.settings import NOISES, DiffDISSettings

if TYPE_CHECKING:
    from segdemo.assistant import AnnotationAssistant


class Parser(argparse.ArgumentParser):
    """A parser that takes every flag with underscores and with hyphens: --output_dir, --output-dir.

    Flags must be written out, so that a new flag cannot change the meaning of a kept command.
    """

    def __init__(self, description: str, epilog: str = "") -> None:
        """Keep the line breaks of the example in `epilog`."""
        shape = argparse.RawDescriptionHelpFormatter
        super().__init__(
            description=description, epilog=epilog, formatter_class=shape, allow_abbrev=False
        )

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """Add an argument under its name with underscores and, if it is a flag, with hyphens."""
        other = [f"--{name[2:].replace('_', '-')}" for name in names if name.startswith("--")]
        return super().add_argument(*names, *(o for o in other if o not in names), **options)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add --output_dir, --workers, --panels and --allow_missing."""
    parser.add_argument(
        "--output_dir", type=Path, required=True, metavar="OUT", help="folder for the results"
    )
    parser.add_argument(
        "--workers", type=count, default=1, help="processes that measure (default: %(default)s)"
    )
    parser.add_argument(
        "--panels", type=int, default=8, metavar="N", help="worst images to draw (default: 8)"
    )
    parser.add_argument(
        "--allow_missing",
        action="store_true",
        help="go on without what is missing or too much; what is broken still stops the program",
    )


def add_model_settings(parser: argparse.ArgumentParser) -> None:
    """Add how a DiffDIS model is run; what is not given is what suits the model."""
    parser.add_argument("--size", type=int, help="working size (default: the model's own)")
    parser.add_argument("--seed", type=int, help="of the model's noise (default: 0)")
    parser.add_argument("--noise", choices=NOISES, help="starting noise (default: gaussian)")
    parser.add_argument(
        "--sampler", choices=("ddim", "ddpm"), help="between several steps (default: ddim)"
    )
    flags = {
        "augment": "average six passes",
        "mirror": "average with a pass over the mirrored image",
        "second_look": "average with a look at the part around the subject",
        "follow": "follow images' outlines",
        "second_opinion": "average with U2NetP's mask",
    }
    for name, what in flags.items():
        parser.add_argument(
            f"--{name}",
            action=argparse.BooleanOptionalAction,
            help=f"{what} (default: what suits the model)",
        )


def model_settings(assistant: AnnotationAssistant, options: argparse.Namespace) -> DiffDISSettings:
    """Return the settings that suit a model with those that were given; raises InputError."""
    names = [entry.name for entry in fields(DiffDISSettings)]
    given = {n: v for n, v in vars(options).items() if n in names and v is not None}
    return replace(assistant.segment_defaults, **given)


def count(text: str) -> int:
    """Read a whole number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
