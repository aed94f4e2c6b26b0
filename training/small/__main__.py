"""Train the embedded small model: scenes, autoencoder, latents, prior, DiffDIS, export.

    python -m training.small --material_dir train_mix --output_dir runs/small --stages all

Every stage resumes where it was stopped and skips what is complete. `--minutes` is wall-clock time
of this machine, divided among the training stages asked for. A run at another image size may
start from an earlier run's weights with `--start_from`. `--preset smoke` tries it all in minutes.
"""

from __future__ import annotations

import sys

from training.program import run_program
from training.small.settings import PRESETS, SmallSettings
from training.small.train import train


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    return run_program(train, SmallSettings, argv, __doc__, presets=PRESETS)


if __name__ == "__main__":
    sys.exit(main())
