"""Export a trained prompter in the form that is shipped: half precision, with a model card.

    python -m training.small.compact.export_prompting --run runs/prompting

Reads RUN/network and writes segdemo/assets/prompted-u2netp. The figures of --results, the folder
that `python -m evaluation.prompting` wrote, go into the card.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.checkpoints.loading import load_frozen
from segdemo.checkpoints.registry import DEFAULT_PROMPTER, registered_source
from segdemo.prompting.network import PromptedU2Net
from segdemo.settings import setting
from training.program import run_program
from training.small.compact.runs import MATERIAL, best_validation, measured, run_settings

LICENCE = (
    "weights Apache-2.0 (U2NetP's authors, https://github.com/xuebinqin/U-2-Net), trained further "
    "here; ImageNet features Apache-2.0"
)


@dataclass(frozen=True)
class ExportSettings:
    """What is exported, and where to."""

    run: str = setting("runs/prompting", "Folder of the run.")
    output_dir: str = setting(
        str(registered_source(DEFAULT_PROMPTER, "prompter")), "Folder to write."
    )
    results: str = setting("", "Folder that evaluation.prompting wrote, for the card.")
    hardware: str = setting("", "What it was trained on, for the card.")
    side: int = setting(192, "Side in pixels of the windows.", minimum=32, maximum=1024)


def export(settings: ExportSettings) -> None:
    """Write weights and card; raises InputError."""
    run, folder = Path(settings.run), Path(settings.output_dir)
    results = Path(settings.results)
    quality = measured(results, "evaluation.prompting") if settings.results else {}
    trained = load_frozen(PromptedU2Net, run / "network", torch.float16)
    stored = dict(trained.config)  # it names the folder of the run too, by a private key
    config = {name: value for name, value in stored.items() if not name.startswith("_")}
    network = PromptedU2Net(**config).half()
    network.load_state_dict(trained.state_dict())
    network.save_pretrained(folder)
    (folder / "diffusion_pytorch_model.safetensors").chmod(0o644)
    card = ModelCard(
        name="U2NetP with boxes and clicks",
        licence=LICENCE,
        native_size=settings.side,
        base=None,
        quality=quality,
        training={
            "recipe": "python -m training.small.compact.prompting",
            "data": MATERIAL,
            "settings": run_settings(run),
            "validation": best_validation(run, "iou"),
            "hardware": settings.hardware,
        },
    )
    write_card(card, folder)


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and export; 2 for wrong usage."""
    return run_program(export, ExportSettings, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
