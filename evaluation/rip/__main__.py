"""Measure what RIP makes of masks: AP or PQ before and after, for masks and edges of any method.

    python -m evaluation.rip --bench BENCH/coco_instances --damage merge --edges true \
--output_dir out
    python -m evaluation.rip --annotations truth.json --predictions maskcut.json \
--images val2017 --edges small --output_dir out

Masks are a base method's predictions, or the truth corrupted on purpose: neighbours merged
(problem A), masks in fragments (problem B), or both. Edges come from a folder, a backbone, the
image's own gradients, or the truth, which shows what RIP does where edges are perfect. With class
maps (--semantic) and a panoptic truth the figures are PQ, SQ and RQ.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from evaluation.core.benchmark import check_output, exit_status, run
from evaluation.core.cli import Parser, add_run
from evaluation.data.corruption import Corruption
from evaluation.data.layouts import layouts
from evaluation.metrics.instance_metrics import LABELS
from evaluation.rip import instances, panoptic
from segdemo.diffegg.settings import METRICS
from segdemo.rip.settings import PRESETS
from segdemo.settings import PRECISION_NAMES


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    first, _, rest = __doc__.partition("\n")
    parser = Parser(first, rest)
    truth = parser.add_mutually_exclusive_group(required=True)
    truth.add_argument(
        "--bench", type=Path, metavar="DIR", help="folder with `instances` and `images`"
    )
    truth.add_argument(
        "--annotations", type=Path, metavar="FILE|DIR", help="the truth, as evaluation.uis has it"
    )
    base = parser.add_mutually_exclusive_group(required=True)
    base.add_argument("--predictions", type=Path, metavar="FILE|DIR", help="masks of a base method")
    base.add_argument(
        "--damage", choices=get_args(Corruption), help="corrupt the truth instead: see above"
    )
    base.add_argument(
        "--semantic",
        metavar="DIR|truth",
        help="class maps of a base method, or those of the panoptic truth",
    )
    parser.add_argument(
        "--edges",
        required=True,
        metavar="true|gradient|DIR|BACKBONE",
        help="true edges, gradients, a folder of edge maps, or a backbone's name, folder or Hub id",
    )
    parser.add_argument(
        "--edge_metric",
        choices=METRICS,
        help="take a backbone's edges from EdgeKL with this divergence (table F), also where it "
        "has an edge generator",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="the images")
    parser.add_argument("--dataset", choices=tuple(layouts()), help="for layout and papers' rows")
    parser.add_argument("--subset", type=Path, metavar="FILE", help="names or image ids wanted")
    parser.add_argument("--iou", nargs="+", choices=tuple(LABELS), default=["segm"])
    parser.add_argument("--preset", choices=tuple(PRESETS), default="robust", help="of RIP")
    parser.add_argument(
        "--rip", nargs="+", default=[], metavar="NAME=NUMBER", help="changes of RIP's settings"
    )
    parser.add_argument(
        "--points",
        metavar="true|FILE",
        help="a point on each object as seeds of the random walk, as `segdemo refine` has them, or "
        "the innermost pixel of each true one",
    )
    parser.add_argument("--seed", type=int, default=0, help="of --damage")
    parser.add_argument("--device", default="auto", help="for a backbone")
    parser.add_argument("--precision", choices=PRECISION_NAMES, default="fp32")
    add_run(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; 2 for wrong usage and for problems with files."""
    options = parse(argv)

    def work() -> int:
        named = [Path(text) for text in (options.edges, options.semantic) if text]
        check_output(options.output_dir, *(path for path in named if path.is_dir()))
        return run(panoptic.collect if options.semantic else instances.collect, options)

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
