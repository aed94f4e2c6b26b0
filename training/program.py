"""What the `main` of every training program does: parse, run, report errors, return a code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from transformers import HfArgumentParser

from segdemo.datatypes import InputError
from segdemo.terminal import print_any_text

ARGPARSE_OPTIONS = frozenset(
    (
        "action",
        "choices",
        "const",
        "default",
        "dest",
        "help",
        "nargs",
        "required",
        "type",
        "version",
    )
)

OK, FAILED, WRONG_USAGE = 0, 1, 2
"""Exit codes: done or stopped; a loss that is not a number; input that does not work."""


class SettingsParser(HfArgumentParser):
    """Options from dataclasses of settings, whose metadata has more than argparse knows."""

    def add_argument(self, *names: Any, **options: Any) -> Any:
        """Add an option; choices are listed in its help, and checked by the settings."""
        options = {key: value for key, value in options.items() if key in ARGPARSE_OPTIONS}
        if choices := options.pop("choices", None):
            options["metavar"] = f"{{{','.join(filter(None, choices))}}}"
        if "help" in options:
            options["help"] = options["help"].replace("%", "%%")  # argparse formats it
        return super().add_argument(*names, **options)


def run_program(
    run: Callable[..., int | None],
    settings: type | list[type],
    argv: list[str] | None,
    description: str | None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> int:
    """Parse a command line into settings and run a program with them; returns the exit code.

    run: gets one object of each class of settings; None from it is 0. presets: defaults by the
    value of --preset; options of the command line win over them.
    """
    print_any_text()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = SettingsParser(settings, description=description)
    parser.set_defaults(**(defaults or {}))
    if presets is not None:
        chosen, _ = _preset_parser().parse_known_args(argv)
        parser.set_defaults(**presets.get(chosen.preset, {}))
    try:
        return run(*parser.parse_args_into_dataclasses(argv, look_for_args_file=False)) or OK
    except InputError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    except FloatingPointError as error:
        print(f"{error}; try --precision fp32 or a lower --learning_rate.", file=sys.stderr)
        return FAILED


def _preset_parser() -> HfArgumentParser:
    parser = HfArgumentParser([], add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", default="")
    return parser
