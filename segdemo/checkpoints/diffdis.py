"""Where the parts of a DiffDIS checkpoint lie: a folder, or a bare official U-Net file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segdemo.checkpoints.card import ModelCard, read_card
from segdemo.checkpoints.files import CheckpointError
from segdemo.checkpoints.locate import locate


@dataclass(frozen=True)
class DiffDISFiles:
    """A located checkpoint: its card, the folder, and the U-Net's folder or file."""

    card: ModelCard
    folder: Path
    unet: Path


def locate_diffdis(name: str) -> DiffDISFiles:
    """Find a checkpoint by registered name, folder, safetensors file or Hub id.

    Downloads from the Hub where that is meant. Raises CheckpointError.
    """
    source = locate(name, "diffdis")
    if source.is_file():
        # beside SD-Turbo's own folders the file is in unet/, and its neighbours are used
        folder = source.parent.parent if source.parent.name == "unet" else source.parent
        return DiffDISFiles(read_card(folder, source.name), folder, source)
    unet = source / "unet"
    if not unet.is_dir():
        raise CheckpointError(
            f"{source} is not a DiffDIS checkpoint: it has no unet/ folder. Give the folder that "
            "holds unet/, or a .safetensors file."
        )
    return DiffDISFiles(read_card(source, name), source, unet)
