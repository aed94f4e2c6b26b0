"""Train DiffEGG's stage 2: LoRA in a diffusion model's self-attention, and an edge generator.

    python -m training.pseudo_edges --pictures photos --output_dir runs/edges
    python -m training.diffegg --pictures photos --pseudo_edges runs/edges \
        --backbone stabilityai/stable-diffusion-2-1 --size 512 --output_dir runs/diffegg
    segdemo edges photo.jpg --backbone runs/diffegg/export --output_dir out

On several GPUs: `accelerate launch -m training.diffegg ...`. A run that was stopped resumes with
the same command. The model itself stays frozen: checkpoints and `export/` hold the LoRA
(`adapter/`, which diffusers and peft load) and the generator (`edge_generator/`), and
`segdemo.json` names the model that they belong to.
"""

from __future__ import annotations

import sys

from training.diffegg.settings import DiffEGGSettings
from training.diffegg.train import train
from training.program import run_program


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""

    def run(settings: DiffEGGSettings) -> None:
        train(settings)

    return run_program(run, DiffEGGSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
