"""The files of a checkpoint folder: their names, their JSON, their shards; refusals of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segdemo.datatypes import InputError

PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
DIFFUSERS_STEM = "diffusion_pytorch_model"
TRANSFORMERS_STEM = "model"
PHOTO_FEATURES = "photo_features"  # a folder beside the networks that see them
ADAPTER = "adapter"
LORA_FILE = "pytorch_lora_weights.safetensors"  # diffusers' name
EDGE_GENERATOR = "edge_generator"
NULL_TEXT = "null_text.safetensors"


class CheckpointError(InputError):
    """A set of weights cannot be found, opened or used; the message names the way out."""


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object; raises CheckpointError where there is none."""
    try:
        content = json.loads(file.read_text())
    except OSError as error:
        raise CheckpointError(f"{file} is missing: copy the whole folder again.") from error
    except ValueError as error:
        raise CheckpointError(f"{file} is not valid JSON: copy or download it again.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} holds no settings: copy or download it again.")
    return content


def weight_files(folder_or_file: Path, stem: str = DIFFUSERS_STEM) -> list[Path]:
    """List the safetensors files of one network, all shards of it; raises CheckpointError."""
    if folder_or_file.is_file():
        return [folder_or_file]
    index = folder_or_file / f"{stem}.safetensors.index.json"
    if index.exists():
        names = read_json(index).get("weight_map")
        if not isinstance(names, dict):
            raise CheckpointError(f"{index} lists no weights: copy or download it again.")
        files = [folder_or_file / name for name in sorted(set(map(str, names.values())))]
    else:
        files = [folder_or_file / f"{stem}.safetensors"]
    missing = [file for file in files if not file.exists()]
    if missing:
        pickles = [p.name for p in sorted(folder_or_file.glob("*")) if p.suffix in PICKLES]
        if pickles:
            raise pickle_error(folder_or_file / pickles[0])
        raise CheckpointError(f"{missing[0]} is missing: copy the whole checkpoint folder again.")
    return files


def pickle_error(file: Path) -> CheckpointError:
    """Return the refusal of a pickle."""
    return CheckpointError(
        f"{file} is a pickle, which can run any code when opened, so it is not loaded: convert it "
        "to .safetensors where you trust it (safetensors.torch.save_file)."
    )
