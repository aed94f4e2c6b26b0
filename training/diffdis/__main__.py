"""Train DiffDIS on a folder of images with masks.

    python -m training.diffdis --data_dir DIS5K --base_model stabilityai/sd-turbo --preset paper
    python -m training.diffdis --data_dir my_photos --base_model small --output_dir runs/mine

`data_dir` holds `im/` and `gt/` (DIS5K; `DIS-TR/` is found in it) or `images/` and `masks/`. The
same command resumes. On several GPUs or machines: `accelerate launch -m training.diffdis ...`; then
`batch_size` is each process's. The app opens what comes out: `python app.py --model
runs/mine/best` (best validation) or `runs/mine/export` (end).
"""

from __future__ import annotations

import sys

from training.diffdis.settings import PRESETS, DiffDISTraining
from training.diffdis.train import train
from training.program import run_program


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""

    def run(settings: DiffDISTraining) -> None:
        train(settings)

    return run_program(run, DiffDISTraining, argv, __doc__, presets=PRESETS)


if __name__ == "__main__":
    sys.exit(main())
