"""RIP's presets and parameters on the command line, from what their settings classes say."""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import fields
from functools import partial

from segdemo.rip.settings import ALGORITHMS, PRESETS, RIPSettings


def add_rip(parser: argparse.ArgumentParser, default: str) -> None:
    """Add --preset and --rip, and a table of the parameters of each algorithm below the help.

    Every parameter is also an option of its own, `--grid 128` for `--rip grid=128`, left out of the
    help. See `segdemo.rip.settings.from_pairs` for how both are read.
    """
    parser.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        default=default,
        help="careful: region merging, not in the paper, which splits only where whole borders "
        "stand out and joins what is probably one object; robust: RIP, the paper's random walk, "
        "gaps of the edges closed first, for good edges; paper: RIP along the edges as they are "
        f"(Algorithm 4), for closed ones (default: {default})",
    )
    parser.add_argument(
        "--rip",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=NUMBER",
        help="change parameters of the preset; see below",
    )
    entries = [entry for algorithm in ALGORITHMS for entry in fields(algorithm)]
    names = [n for entry in entries for n in (entry.name, *entry.metadata.get("aliases", ()))]
    for name in dict.fromkeys(names):
        pair = partial("{}={}".format, name)
        parser.add_argument(
            f"--{name}", dest="rip", action="append", type=pair, help=argparse.SUPPRESS
        )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = textwrap.fill(parser.description or "", 78)
    parser.epilog = "\n\n".join(_table(algorithm) for algorithm in ALGORITHMS)


def _table(algorithm: type[RIPSettings]) -> str:
    """Describe an algorithm's parameters, one a line."""
    presets = [name for name, preset in PRESETS.items() if isinstance(preset, algorithm)]
    lines = [f"parameters of {ALGORITHMS[algorithm]} (preset {' and '.join(presets)}):"]
    for entry in fields(algorithm):
        values = [str(getattr(PRESETS[name], entry.name)) for name in presets]
        default = values[0] if len(set(values)) == 1 else " and ".join(values)
        said = entry.metadata
        span = f"{said['minimum']:g} to {said['maximum']:g} {said.get('unit', '')}".strip()
        text = f"{entry.name:16}{said['help']} ({span}; default: {default})"
        lines.append(textwrap.fill(text, 78, initial_indent="  ", subsequent_indent=" " * 18))
    return "\n".join(lines)
