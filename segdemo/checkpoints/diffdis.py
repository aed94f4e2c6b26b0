"""Where the parts of a DiffDIS checkpoint lie: a folder, or a bare official U-Net file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from segdemo.checkpoints.card import CARD, ModelCard, read_card
from segdemo.checkpoints.files import DIFFDIS_LORA, CheckpointError
from segdemo.checkpoints.locate import locate


@dataclass(frozen=True)
class DiffDISFiles:
    """A located checkpoint: its card, the folder, and the U-Net's folder or file.

    lora: the folder of a LoRA for the U-Net, or None; `folder` is then that of the model that it
    belongs to.
    """

    card: ModelCard
    folder: Path
    unet: Path
    lora: Path | None = None


def locate_diffdis(name: str) -> DiffDISFiles:
    """Find a checkpoint by registered name, folder, safetensors file or Hub id.

    Downloads from the Hub where that is meant. Raises CheckpointError.
    """
    source = locate(name, "diffdis")
    if source.is_file():
        # beside SD-Turbo's own folders the file is in unet/, and its neighbours are used
        folder = source.parent.parent if source.parent.name == "unet" else source.parent
        return DiffDISFiles(read_card(folder, source.name), folder, source)
    if (source / DIFFDIS_LORA).is_dir() and (source / CARD).exists():
        return _lora(source, read_card(source, name))
    unet = source / "unet"
    if not unet.is_dir():
        raise CheckpointError(
            f"{source} is not a DiffDIS checkpoint: it has no unet/ folder. Give the folder that "
            "holds unet/, or a .safetensors file."
        )
    return DiffDISFiles(read_card(source, name), source, unet)


def _lora(folder: Path, card: ModelCard) -> DiffDISFiles:
    """Find a LoRA and the model that it belongs to."""
    if not card.lora_of or Path(card.lora_of).expanduser().exists():
        raise CheckpointError(
            f"{folder / CARD}: 'lora_of' should be the registered name or Hub id of the model that "
            "the LoRA belongs to."
        )
    whole = locate_diffdis(card.lora_of)
    if whole.lora is not None:
        raise CheckpointError(f"{folder} is a LoRA of {card.lora_of}, which is a LoRA itself.")
    own = replace(card, base=whole.card.base)
    return DiffDISFiles(own, whole.folder, whole.unet, folder / DIFFDIS_LORA)
