"""The files of a checkpoint folder: their names, their JSON, their shards; refusals of the rest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segdemo.datatypes import InputError
from segdemo.regular_files import open_regular, read_regular

PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
DIFFUSERS_STEM = "diffusion_pytorch_model"
TRANSFORMERS_STEM = "model"
PHOTO_FEATURES = "photo_features"  # a folder beside the networks that see them
ADAPTER = "adapter"
DIFFDIS_LORA = "lora"
LORA_FILE = "pytorch_lora_weights.safetensors"  # diffusers' name
PEFT_FILE = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"
EDGE_GENERATOR = "edge_generator"
NULL_TEXT = "null_text.safetensors"
PREPARATION = "preprocessor_config.json"  # transformers' name: how images are prepared
VARIANTS = ("fp16", "bf16", "fp32", "non_ema", "ema")
"""Copies that a Hub repository may hold in place of the plain files, best first."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of colors in [0, 1]."""

MAX_JSON_BYTES = 50_000_000  # of a config, an index or a safetensors header
MAX_WEIGHT_BYTES = 1 << 40


class CheckpointError(InputError):
    """A set of weights cannot be found, opened or used; the message names the way out."""


@dataclass(frozen=True)
class NetworkFiles:
    """The safetensors files of one network, and which variant of them; None for the plain ones."""

    files: list[Path]
    variant: str | None = None


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object; raises CheckpointError where there is none."""
    try:
        content = json.loads(read_regular(file, MAX_JSON_BYTES))
    except OSError as error:
        raise CheckpointError(f"{file} is missing: copy the whole folder again.") from error
    except InputError as error:
        raise CheckpointError(f"{file}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not valid JSON: copy or download it again.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} holds no settings: copy or download it again.")
    return content


def read_color_statistics(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of a network's training; ImageNet's by default.

    Read from a folder of transformers; raises CheckpointError.
    """
    file = folder / PREPARATION
    settings = read_json(file) if file.exists() else {}
    mean = settings.get("image_mean", IMAGENET_MEAN)
    std = settings.get("image_std", IMAGENET_STD)
    try:
        mean, std = (tuple(float(value) for value in given) for given in (mean, std))
    except (TypeError, ValueError):
        mean = std = ()
    if not (len(mean) == len(std) == 3 and all(value > 0 for value in std)):
        raise CheckpointError(
            f"{file}: image_mean and image_std must be three numbers each, those of image_std "
            "above 0: copy or download it again."
        )
    return mean, std


def read_header(file: Path) -> dict[str, Any]:
    """Read what a safetensors file says of its tensors, by name, and under `__metadata__`.

    Raises CheckpointError.
    """
    try:
        with open_regular(file, MAX_WEIGHT_BYTES) as stream:
            length = int.from_bytes(stream.read(8), "little")
            content = json.loads(stream.read(length)) if length <= MAX_JSON_BYTES else None
    except InputError as error:
        raise CheckpointError(f"{file}: {error}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file) from error
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise damaged(file)
    return content


def network_files(folder_or_file: Path, stem: str = DIFFUSERS_STEM) -> NetworkFiles:
    """Find the safetensors files of one network, all shards of it; raises CheckpointError.

    Where the plain files are not there, those of a variant (`<stem>.fp16.safetensors`) are taken,
    the first of `VARIANTS` that there is, else any.
    """
    if folder_or_file.is_file():
        return NetworkFiles([folder_or_file])
    check_regular(folder_or_file)
    variants: list[str | None] = [None, *VARIANTS, *_other_variants(folder_or_file, stem)]
    for variant in variants:
        files = _files_of_variant(folder_or_file, stem, variant)
        if files:
            return NetworkFiles(files, variant)
    pickles = [p.name for p in sorted(folder_or_file.glob("*")) if p.suffix in PICKLES]
    if pickles:
        raise pickle_error(folder_or_file / pickles[0])
    raise CheckpointError(
        f"{folder_or_file / stem}.safetensors is missing: copy the whole checkpoint folder again."
    )


def network_patterns(folder: str, stem: str, variant: str | None = None) -> list[str]:
    """Return the patterns of the files of one network on the Hub.

    folder: empty, or ends with a slash. Shards of a variant have its name before or behind their
    number; both are in use.
    """
    if variant is None:
        weights = ["{}.safetensors", "{}.safetensors.index.json", "{}-?????-of-?????.safetensors"]
    else:
        weights = [
            f"{{}}.{variant}.safetensors",
            f"{{}}.safetensors.index.{variant}.json",
            f"{{}}.{variant}-?????-of-?????.safetensors",
            f"{{}}-?????-of-?????.{variant}.safetensors",
        ]
    return [f"{folder}config.json", *(f"{folder}{name.format(stem)}" for name in weights)]


def check_regular(folder: Path) -> None:
    """Raise CheckpointError for a pipe or a device in a folder, which libraries would wait for."""
    try:
        odd = [path for path in folder.iterdir() if not (path.is_file() or path.is_dir())]
    except OSError:  # what is missing is said by who needs it
        return
    if odd:
        raise CheckpointError(
            f"{min(odd)} is not a regular file, or a link to nothing: copy the whole folder again."
        )


def damaged(file: Path) -> CheckpointError:
    """Return the refusal of weights that cannot be read."""
    return CheckpointError(
        f"{file} is missing, damaged or not a safetensors file: copy or download it again."
    )


def pickle_error(
    file: Path,
    convert: str = "to .safetensors where you trust it (safetensors.torch.save_file)",
) -> CheckpointError:
    """Return the refusal of a pickle; convert: to what, and by which call."""
    return CheckpointError(
        f"{file} is a pickle, which can run any code when opened, so it is not loaded: convert it "
        f"{convert}."
    )


def _files_of_variant(folder: Path, stem: str, variant: str | None) -> list[Path]:
    """List one variant's files; empty where there are none. Raises CheckpointError if some lack."""
    dotted = "" if variant is None else f".{variant}"
    index = folder / f"{stem}.safetensors.index{dotted}.json"
    if index.is_file():
        return _shards(index)
    single = folder / f"{stem}{dotted}.safetensors"
    return [single] if single.is_file() else []


def _shards(index: Path) -> list[Path]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise CheckpointError(f"{index} lists no weights: copy or download it again.")
    files = [index.parent / name for name in sorted(set(map(str, names.values())))]
    for file in files:
        if file.parent != index.parent or file.suffix != ".safetensors":
            raise CheckpointError(
                f"{index} names {file.name!r}, which is not a .safetensors file beside it: copy or "
                "download it again."
            )
        if not file.is_file():
            raise CheckpointError(f"{file} is missing: copy the whole checkpoint folder again.")
    return files


def _other_variants(folder: Path, stem: str) -> list[str]:
    """Return what stands between stem and ending in the names of a folder."""
    name = re.compile(
        rf"{re.escape(stem)}\.([\w-]+?)(?:-\d{{5}}-of-\d{{5}})?\.safetensors"
        rf"|{re.escape(stem)}\.safetensors\.index\.([\w-]+)\.json"
    )
    found = (name.fullmatch(path.name) for path in sorted(folder.glob(f"{stem}.*")))
    return [match[1] or match[2] for match in found if match]
