"""The command line: `python -m segdemo COMMAND ...`.

Example: python -m segdemo segment photos/ cat.jpg --output_dir masks

Exit status: 0 when all is done, 1 when some images failed, 2 on wrong usage, 130 after Ctrl-C.
PyTorch is imported only after the arguments are checked, since that takes seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from segdemo.commands.edges import add_edges
from segdemo.commands.progress import STOPPED
from segdemo.commands.project import add_project
from segdemo.commands.prompt import add_prompt
from segdemo.commands.propose import add_propose
from segdemo.commands.refine import add_refine
from segdemo.commands.segment import add_segment
from segdemo.commands.trace import add_trace
from segdemo.terminal import print_any_text


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; wrong usage raises SystemExit(2)."""
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m segdemo",
        description="Precise object masks from diffusion models, and their self-attention.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_segment(commands)
    add_trace(commands)
    add_edges(commands)
    add_propose(commands)
    add_prompt(commands)
    add_refine(commands)
    add_project(commands)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("Stopped. Results written so far are complete.", file=sys.stderr)
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
