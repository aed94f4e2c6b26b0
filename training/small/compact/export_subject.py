"""Export a trained subject network with its autoencoder as a folder that `--model` opens.

    python -m training.small.compact.export_subject --run runs/subject

Half precision, files below 10 MB, a model card; U2NetP, from whose answer the step starts, is in
the package. The figures of --results, the folder that `python -m evaluation.dis` wrote, go into
the card.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.checkpoints.loading import load_frozen
from segdemo.compact_autoencoder import CompactAutoencoder
from segdemo.diffdis.loading import LARGEST_SHARD, load_unet, save_unet
from segdemo.settings import setting
from training.model_card import strip_local_paths
from training.program import run_program
from training.small.compact.runs import MATERIAL, best_validation, measured
from training.small.networks import build_null_text, build_scheduler

NAME = "compact"
LICENCE = "MIT (weights; U2NetP Apache-2.0); training data under the licences named in segdemo.json"
FIRST_ANSWER_SHARE = 0.5
SEGMENT = {"mirror": True, "share": True, "second_look": True}
"""Chosen, as the share and the size, on scenes and photos that were kept back from training."""


@dataclass(frozen=True)
class ExportSettings:
    """What is exported, and where to."""

    run: str = setting("runs/subject", "Folder of the run.")
    autoencoder: str = setting("runs/autoencoder/vae", "Folder of the autoencoder it learnt with.")
    output_dir: str = setting("runs/subject/export", "Folder to write.")
    native_size: int = setting(320, "Working size in pixels.", minimum=64, maximum=2048)
    results: str = setting("", "Folder that evaluation.dis wrote, for the card.")
    hardware: str = setting("", "What it was trained on, for the card.")


def export(settings: ExportSettings) -> None:
    """Write weights and card; raises InputError."""
    run, folder = Path(settings.run), Path(settings.output_dir)
    save_unet(load_unet(run / "unet"), folder / "unet", torch.float16)
    trained = load_frozen(CompactAutoencoder, Path(settings.autoencoder), torch.float16)
    trained.save_pretrained(folder / "vae", max_shard_size=LARGEST_SHARD)
    strip_local_paths(folder / "vae" / "config.json")
    build_scheduler().save_pretrained(folder / "scheduler")
    save_file({"null_text": build_null_text()}, folder / "null_text.safetensors")
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)
    card = ModelCard(
        name=NAME,
        licence=LICENCE,
        native_size=settings.native_size,
        base=None,
        quality=_quality(settings.results),
        training={
            "recipe": "python -m training.small.compact.subject",
            "data": MATERIAL,
            "validation": best_validation(run, "iou"),
            "hardware": settings.hardware,
        },
        noise=0.0,
        first_answer="u2netp",
        first_answer_share=FIRST_ANSWER_SHARE,
        segment=SEGMENT,
    )
    write_card(card, folder)


def _quality(results: str) -> dict[str, Any]:
    """Return the IoU of each data set and the command; empty without results."""
    if not results:
        return {}
    found = measured(Path(results), "evaluation.dis")
    names = {name: value for name, value in found["figures"].items() if name.endswith("/IoU")}
    iou = {name.split("/")[0]: round(value, 3) for name, value in names.items()}
    return {"iou": iou, "command": found["command"]}


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and export; 2 for wrong usage."""
    return run_program(export, ExportSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
