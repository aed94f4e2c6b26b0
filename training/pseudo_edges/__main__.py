r"""Stage 1 of DiffEGG over many images: PeakKL chooses a timestep, EdgeKL scores its edges.

    python -m training.pseudo_edges --pictures photos --output_dir runs/edges
    python -m training.pseudo_edges --pictures 'shards/{00000..00099}.tar' --output_dir runs/edges \
        --backbone stabilityai/stable-diffusion-2-1 --precision fp16
    accelerate launch -m training.pseudo_edges --pictures list.txt --output_dir runs/edges

Writes `<output_dir>/<path of the image>.npz` (`training.stored_edges`) for stage 2,
`training.diffegg`. Stopped at any moment, the same command resumes: what has a result is skipped.
Several processes share the output folder and the images: the k-th of n takes every n-th.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState

from training.program import FAILED, OK, run_program
from training.pseudo_edges.files import PROBLEMS
from training.pseudo_edges.run import make_pseudo_edges
from training.pseudo_edges.settings import PseudoEdgeSettings

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code, FAILED where images had problems."""
    return run_program(_run, PseudoEdgeSettings, argv, __doc__)


def _run(settings: PseudoEdgeSettings) -> int:
    summary = make_pseudo_edges(settings)
    if PartialState().is_main_process:
        _report(summary, Path(settings.output_dir))
    return FAILED if summary["problems"] else OK


def _report(summary: dict[str, Any], output_dir: Path) -> None:
    """Log the result."""
    unfinished = "" if summary["complete"] else ", stopped early: the same command resumes"
    logger.info(
        "%d images, %d of them new (%.2f a second)%s; results in %s",
        summary["pictures"],
        summary["made"],
        summary["pictures_per_second"],
        unfinished,
        output_dir,
    )
    chosen = ", ".join(f"{timestep}: {n}" for timestep, n in summary["timesteps"].items())
    logger.info(
        "timesteps chosen: %s; the guard against too little interior was used for %d (%.0f %%)",
        chosen or "none",
        summary["guarded"],
        100 * summary["guarded_share"],
    )
    if summary["left_out"]:
        logger.info(
            "%d images in archives were left out as parts of samples: WebDataset's names end at "
            "the first dot",
            summary["left_out"],
        )
    if summary["problems"]:
        logger.error("%d problems: see %s", summary["problems"], output_dir / PROBLEMS)


if __name__ == "__main__":
    sys.exit(main())
