"""Which weights there are, where they lie, and what their folder says about them. No torch.

A checkpoint is a folder: `segdemo.json` (the model card), `unet/`, `vae/`, `scheduler/` and
`null_text.safetensors`. What a folder lacks comes from the card's `base`. A bare official DiffDIS
U-Net file works too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from segdemo.datatypes import InputError

SD_TURBO = "stabilityai/sd-turbo"
OFFICIAL_LICENCE = (
    "DiffDIS weights by their authors (code MIT); SD-Turbo parts under the Stability AI licence"
)
PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
CARD = "segdemo.json"
PHOTO_FEATURES = "photo_features"  # a folder beside the networks that look at it
ASSETS = Path(__file__).parent / "assets"


class CheckpointError(InputError):
    """A set of weights cannot be found, opened or used; the message names the way out."""


@dataclass(frozen=True)
class Checkpoint:
    """A named set of weights: a folder beside this file, or a Hub repository."""

    source: str | Path
    note: str


CHECKPOINTS = {
    "small": Checkpoint(ASSETS / "small", "embedded, trained from scratch by training/small/"),
    "small-imagenet": Checkpoint(
        ASSETS / "small-imagenet", "embedded, as small but with features trained on ImageNet"
    ),
    "official": Checkpoint("qianyu1217/diffdis", "released DiffDIS U-Net over SD-Turbo"),
}
DEFAULT_MODEL = "small-imagenet"
"""What is used unless something else is asked for; both methods have a model of this name."""
SEGMENT_KEYS = frozenset(("augment", "follow"))
HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+")
DIFFUSERS_STEM = "diffusion_pytorch_model"
TRANSFORMERS_STEM = "model"


@dataclass(frozen=True)
class ModelCard:
    """What `segdemo.json` says.

    quality: measured figures and their command. noise: deviation of the noise that DiffDIS' one
    step starts from; 1 in the paper, 0 starts from its mean. segment: which of `SEGMENT_KEYS`,
    switches of `DiffDISSettings`, suit the model. trace: values of `TraceSettings` that suit it
    better than the paper's, by name.
    """

    name: str
    licence: str
    native_size: int = 1024
    base: str | None = SD_TURBO
    quality: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    noise: float = 1.0
    segment: dict[str, bool] = field(default_factory=dict)
    trace: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointFiles:
    """A located checkpoint: its card, the folder, and the U-Net's folder or file."""

    card: ModelCard
    folder: Path
    unet: Path


def locate(name: str) -> CheckpointFiles:
    """Find a checkpoint by registered name, folder, safetensors file or Hub id.

    Downloads from the Hub where that is meant. Raises CheckpointError.
    """
    registered = CHECKPOINTS.get(name)
    source = registered.source if registered else Path(name).expanduser()
    if isinstance(source, str):
        return _in_folder(download(source, ["unet/*", "*.json", "*.safetensors"]), name)
    if source.is_file():
        return _bare_file(source)
    if source.is_dir():
        return _in_folder(source, name)
    if HUB_ID.fullmatch(name):
        patterns = ["unet/*", "vae/*", "scheduler/*", "*.json", "*.safetensors"]
        return _in_folder(download(name, patterns), name)
    known = ", ".join(CHECKPOINTS)
    raise CheckpointError(
        f"No model {name!r}: give one of {known}, a folder, a .safetensors file or a Hub id."
    )


def download(repository: str, patterns: list[str]) -> Path:
    """Fetch the matching files of a Hub repository, or find them in the local cache."""
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns))
    except GatedRepoError as error:
        raise CheckpointError(
            f"{repository} is gated: accept its licence at https://huggingface.co/{repository} and "
            "log in with `hf auth login`."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"The Hub has no repository {repository!r} that you may read: check the name, or log "
            "in with `hf auth login` if it is private."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise CheckpointError(
            f"{repository} is not in the local cache and the Hub cannot be reached: connect once, "
            "give a local folder, or use small."
        ) from error


def read_card(folder: Path, name: str) -> ModelCard:
    """Read a folder's `segdemo.json`; a folder without one is taken for official weights."""
    file = folder / CARD
    if not file.exists():
        return ModelCard(name=name, licence=OFFICIAL_LICENCE)
    try:
        entries = json.loads(file.read_text())
        known = {key: entries[key] for key in ModelCard.__dataclass_fields__ if key in entries}
        card = ModelCard(**known)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{file} is not a valid model card: {error}.") from error
    suits = card.segment if isinstance(card.segment, dict) else {"": ""}
    if set(suits) - SEGMENT_KEYS or not all(isinstance(value, bool) for value in suits.values()):
        names = " and ".join(sorted(SEGMENT_KEYS))
        raise CheckpointError(f"{file}: 'segment' may hold {names} only, each true or false.")
    return card


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


def official_name(name: str) -> str:
    """Translate a parameter name of ours to the official DiffDIS code's."""
    for ours, theirs in _RENAMES:
        name = re.sub(ours, theirs, name)
    return name


def our_name(name: str) -> str:
    """Translate an official parameter name to ours; names of ours stay as they are."""
    name = name.removeprefix("module.")  # what an unwrapped data-parallel model leaves
    for theirs, ours in _RENAMES_BACK:
        name = re.sub(theirs, ours, name)
    return name


_RENAMES = (
    (r"^injectors\.(\d)\.features\.", r"rgb_conv.\1."),
    (r"^injectors\.(\d)\.scale\.", r"rgb_proj.\1."),
    (r"^injectors\.(\d)\.shift\.", r"rgb_proj1.\1."),
    (r"^(mid_block\..*)attn_mutual\.", r"\1attn3."),
    (r"^(mid_block\..*)norm_mutual\.", r"\1norm2_."),
)
_RENAMES_BACK = (
    (r"^rgb_conv\.(\d)\.", r"injectors.\1.features."),
    (r"^rgb_proj\.(\d)\.", r"injectors.\1.scale."),
    (r"^rgb_proj1\.(\d)\.", r"injectors.\1.shift."),
    (r"^(mid_block\..*)attn3\.", r"\1attn_mutual."),
    (r"^(mid_block\..*)norm2_\.", r"\1norm_mutual."),
)


def _in_folder(folder: Path, name: str) -> CheckpointFiles:
    unet = folder / "unet"
    if not unet.is_dir():
        raise CheckpointError(
            f"{folder} is no DiffDIS checkpoint: it has no unet/ folder. Give the folder that "
            "holds unet/, or a .safetensors file."
        )
    return CheckpointFiles(read_card(folder, name), folder, unet)


def _bare_file(file: Path) -> CheckpointFiles:
    if file.suffix in PICKLES:
        raise pickle_error(file)
    if file.suffix != ".safetensors":
        raise CheckpointError(f"{file} is no .safetensors file: give the U-Net's weights.")
    # beside SD-Turbo's own folders the file stands in unet/, and its neighbours are used
    folder = file.parent.parent if file.parent.name == "unet" else file.parent
    return CheckpointFiles(read_card(folder, file.name), folder, file)


def pickle_error(file: Path) -> CheckpointError:
    """Return the refusal of a pickle."""
    return CheckpointError(
        f"{file} is a pickle, which can run any code when opened, so it is not loaded: convert it "
        "to .safetensors where you trust it (safetensors.torch.save_file)."
    )
