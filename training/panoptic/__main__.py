"""Train Mask2Former on pseudo-panoptic masks (DiffEGG, section 5.3 and table 2).

    segdemo refine --images VOC2012/JPEGImages --masks class_maps --semantic voc \
--stuff background --output pseudo.json --format panoptic
    python -m training.panoptic --images VOC2012/JPEGImages --annotations pseudo.json \
--model microsoft/resnet-50 --output_dir runs/panoptic
    python -m training.panoptic.predict --model runs/panoptic/export \
--images VOC2012/val --output_dir maps
    python -m evaluation.wps --annotations VOC2012 --predictions maps --output_dir out

On several GPUs: `accelerate launch -m training.panoptic ...`. A run that was stopped resumes with
the same command. `export/` is a folder that transformers opens.
"""

from __future__ import annotations

import sys

from training.panoptic.settings import PanopticSettings
from training.panoptic.train import train
from training.program import run_program


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""

    def run(settings: PanopticSettings) -> None:
        train(settings)

    return run_program(run, PanopticSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
