"""What the `main` of every training program does: parse, run, report errors, return a code."""

from __future__ import annotations

import argparse
import difflib
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import diffusers
import transformers
import yaml
from transformers import HfArgumentParser

from segdemo.datatypes import InputError
from segdemo.regular_files import read_regular
from segdemo.terminal import print_any_text
from training.loop.settings import Settings
from training.run_lock import one_run

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

    def read_config(self, file: Path) -> None:
        """Take a YAML file's values as defaults; raises InputError, which names the entry."""
        # of two options of one setting, --x and --no_x, the first has the default
        options = {action.dest: action for action in reversed(self._actions)}
        for name, value in _yaml_entries(file).items():
            if value is None:
                continue
            action = options.get(name)
            if action is None or name in ("help", "config"):
                close = difflib.get_close_matches(str(name), options, 1)
                hint = f" (did you mean {close[0]}?)" if close else ""
                raise InputError(f"{file}: {name!r} is no setting of this program{hint}.")
            action.default = _converted(value, action, f"{file}: {name} {value!r}")
            action.required = False


def _yaml_entries(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(read_regular(file).decode())
    except OSError as error:
        raise InputError(f"--config {file}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).replace("\n", " ")
        raise InputError(f"--config {file} is not readable YAML ({reason}).") from error
    if not isinstance(content, dict):
        raise InputError(f"--config {file}: write one setting a line, as in `learning_rate: 1e-4`.")
    return content


def _converted(value: Any, action: argparse.Action, where: str) -> Any:
    kind = action.type or str
    several = action.nargs in ("*", "+")
    if several != isinstance(value, list) or not callable(kind):
        raise InputError(f"{where}: {'give a list' if several else 'give one value'}.")
    try:
        return [kind(str(entry)) for entry in value] if several else kind(str(value))
    except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
        raise InputError(f"{where} is not of the right kind (see --help).") from error


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
    value of --preset. --config names a YAML file of settings, such as a run's `settings.yaml`.
    Options of the command line win over the file, and that over the preset. No other run may use
    the folder of settings that say so (`Settings.own_folder`).
    """
    print_any_text()
    quiet_libraries()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = SettingsParser(settings, description=description)
    parser.set_defaults(**(defaults or {}))
    parser.add_argument("--config", default="", help="YAML file of settings, by their names.")
    early, _ = _early_parser().parse_known_args(argv)
    if presets is not None:
        parser.set_defaults(**presets.get(early.preset, {}))
    try:
        if early.config:
            parser.read_config(Path(early.config))
        *parsed, _ = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
        with _folder_lock(parsed):
            return run(*parsed) or OK
    except InputError as error:
        print(error, file=sys.stderr)
        return WRONG_USAGE
    except FloatingPointError as error:
        print(f"{error}; try --precision fp32 or a lower --learning_rate.", file=sys.stderr)
        return FAILED


def quiet_libraries() -> None:
    """Let diffusers and transformers say errors only, and draw no bars of their own.

    Their notes on optional packages, number formats and shards are about their own insides.
    """
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # says what it saved in shards
    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _folder_lock(parsed: list[Any]) -> AbstractContextManager[None]:
    folders = [
        Path(vars(s)["output_dir"]) for s in parsed if isinstance(s, Settings) and s.own_folder
    ]
    return one_run(folders[0]) if folders else nullcontext()


def _early_parser() -> HfArgumentParser:
    parser = HfArgumentParser([], add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", default="")
    parser.add_argument("--config", default="")
    return parser
