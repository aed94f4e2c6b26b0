"""The command line: `python -m segdemo VERB ...`.

Example: python -m segdemo segment photos/ cat.jpg --output_dir masks

Ends with 0 when all is done, 1 when some pictures failed, 2 on wrong usage, 130 when stopped by
Ctrl-C. PyTorch is imported only once the arguments are found good, since that takes seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from segdemo.commands.edges import add_edges
from segdemo.commands.progress import STOPPED
from segdemo.commands.propose import add_propose
from segdemo.commands.refine import add_refine
from segdemo.commands.segment import add_segment
from segdemo.commands.trace import add_trace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; wrong usage leaves by SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog="python -m segdemo",
        description="Precise object masks from diffusion models, and a look inside these.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    add_segment(verbs)
    add_trace(verbs)
    add_edges(verbs)
    add_propose(verbs)
    add_refine(verbs)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("Stopped. Results written so far are complete.", file=sys.stderr)
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
