"""Which weights there are, where they lie, and what their folder says about them. No torch.

A checkpoint is a folder: `segdemo.json` (the model card), `unet/`, `vae/`, `scheduler/` and
`null_text.safetensors`. What a folder lacks comes from the card's `base`. A bare official DiffDIS
U-Net file works too.

A backbone, whose attention DiffEGG reads, is such a folder with the text-to-image network in
`prior/`, or a Stable Diffusion model as diffusers saves it (`PIPELINES`).
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
ASSETS = Path(__file__).parent / "assets"


class CheckpointError(InputError):
    """A set of weights cannot be found, opened or used; the message names the way out."""


@dataclass(frozen=True)
class Checkpoint:
    """A named set of weights: a folder beside this file, or a Hub repository."""

    source: str | Path
    note: str


CHECKPOINTS = {
    "small": Checkpoint(ASSETS / "small", "embedded, trained from scratch by training/small.py"),
    "official": Checkpoint("qianyu1217/diffdis", "released DiffDIS U-Net over SD-Turbo"),
}
BACKBONES = {"small": CHECKPOINTS["small"]}
HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+")
DIFFUSERS_STEM = "diffusion_pytorch_model"
TRANSFORMERS_STEM = "model"


@dataclass(frozen=True)
class PipelineParts:
    """Which folders of a diffusers model count here, beside `vae/` and `scheduler/`."""

    network: str
    text_encoders: tuple[str, ...]


OWN_FAMILY = "segdemo"
PIPELINES = {
    "StableDiffusionPipeline": PipelineParts("unet", ("text_encoder",)),
    "StableDiffusionXLPipeline": PipelineParts("unet", ("text_encoder", "text_encoder_2")),
    # its third encoder, T5, is larger than the network itself, and trained to be left out
    "StableDiffusion3Pipeline": PipelineParts("transformer", ("text_encoder", "text_encoder_2")),
}
"""The text-to-image models that are understood, by the class that `model_index.json` names."""


@dataclass(frozen=True)
class ModelCard:
    """What `segdemo.json` says. quality: measured figures and their command."""

    name: str
    licence: str
    native_size: int = 1024
    base: str | None = SD_TURBO
    quality: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckpointFiles:
    """A located checkpoint: its card, the folder, and the U-Net's folder or file."""

    card: ModelCard
    folder: Path
    unet: Path


@dataclass(frozen=True)
class BackboneFiles:
    """A located text-to-image model.

    name: what the user called it. family: `OWN_FAMILY`, or the class in `PIPELINES`. network: the
    denoiser's folder. native_size: side in pixels that it was trained at.
    """

    name: str
    folder: Path
    family: str
    network: Path
    native_size: int
    licence: str


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


def locate_backbone(name: str) -> BackboneFiles:
    """Find a text-to-image model by registered name, folder or Hub id, all its weights there.

    Downloads from the Hub where that is meant, never a pickle. Raises CheckpointError.
    """
    registered = BACKBONES.get(name)
    source = registered.source if registered else Path(name).expanduser()
    if isinstance(source, Path) and source.is_dir():
        return _backbone_in_folder(source, name)
    if isinstance(source, Path) and source.is_file():
        if source.suffix in PICKLES:
            raise _pickle_error(source)
        raise CheckpointError(
            f"{source} is a single file: give a folder as diffusers saves it "
            "(StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER) makes one)."
        )
    if HUB_ID.fullmatch(str(source)):
        return _backbone_in_folder(download(str(source), _backbone_patterns()), name)
    raise CheckpointError(
        f"No backbone {name!r}: give one of {', '.join(BACKBONES)}, a folder or a Hub id."
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
        return ModelCard(**known)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{file} is not a valid model card: {error}.") from error


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
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        files = [folder_or_file / name for name in names]
    else:
        files = [folder_or_file / f"{stem}.safetensors"]
    missing = [file for file in files if not file.exists()]
    if missing:
        pickles = [p.name for p in sorted(folder_or_file.glob("*")) if p.suffix in PICKLES]
        if pickles:
            raise _pickle_error(folder_or_file / pickles[0])
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


def _backbone_in_folder(folder: Path, name: str) -> BackboneFiles:
    index = folder / "model_index.json"
    if (folder / "prior").is_dir():
        family, parts = OWN_FAMILY, PipelineParts("prior", ())
    elif index.exists():
        family = str(read_json(index).get("_class_name"))
        if family not in PIPELINES:
            raise CheckpointError(
                f"{folder} is a {family}: only {', '.join(PIPELINES)} can be opened here."
            )
        parts = PIPELINES[family]
    else:
        networks = [part for part in ("unet", "transformer") if (folder / part).is_dir()]
        lack = "model_index.json nor prior/" if networks else "unet/, transformer/ nor prior/"
        raise CheckpointError(
            f"{folder} is no text-to-image model: it has neither {lack}. Give a whole folder as "
            "diffusers saves it, a Hub id, or small."
        )
    network = folder / parts.network
    for part in (network, folder / "vae"):
        weight_files(part)
    for encoder in parts.text_encoders:
        weight_files(folder / encoder, TRANSFORMERS_STEM)
    if family == OWN_FAMILY:
        card = read_card(folder, name)
        return BackboneFiles(name, folder, family, network, card.native_size, card.licence)
    size = _native_size(network, folder / "vae")
    return BackboneFiles(name, folder, family, network, size, _stated_licence(folder))


def _native_size(network: Path, autoencoder: Path) -> int:
    """Return the side in pixels that a network's latents stand for."""
    side = read_json(network / "config.json").get("sample_size")
    widths = read_json(autoencoder / "config.json").get("block_out_channels")
    if not isinstance(side, int) or not isinstance(widths, list):
        raise CheckpointError(
            f"{network / 'config.json'} or the one in {autoencoder} does not say its size "
            "(sample_size, block_out_channels): copy or download them again."
        )
    halvings = len(widths) - 1
    return int(side * 2**halvings)


def _stated_licence(folder: Path) -> str:
    """Return what the head of a Hub repository's README.md calls its licence."""
    readme = folder / "README.md"
    text = readme.read_text(errors="replace") if readme.exists() else ""
    stated = dict(re.findall(r"^(license|license_name): *(\S+)$", text, re.MULTILINE))
    return stated.get("license_name") or stated.get("license") or "licence not stated in its folder"


def _backbone_patterns() -> list[str]:
    """Name the files of a Hub repository that a backbone needs.

    Not the half-precision, EMA-free and single-file copies, which often lie beside them and are
    several times as large.
    """
    patterns = ["README.md", "model_index.json", CARD, "null_text.safetensors", "scheduler/*.json"]
    patterns += [f"{part}/*.{kind}" for part in ("tokenizer", "tokenizer_2") for kind in _TEXTS]
    stems = dict.fromkeys(("prior", "unet", "transformer", "vae"), DIFFUSERS_STEM)
    stems |= dict.fromkeys(("text_encoder", "text_encoder_2"), TRANSFORMERS_STEM)
    for part, stem in stems.items():
        patterns += [
            f"{part}/config.json",
            f"{part}/{stem}.safetensors",
            f"{part}/{stem}.safetensors.index.json",
            f"{part}/{stem}-?????-of-?????.safetensors",
        ]
    return patterns


_TEXTS = ("json", "txt")


def _bare_file(file: Path) -> CheckpointFiles:
    if file.suffix in PICKLES:
        raise _pickle_error(file)
    if file.suffix != ".safetensors":
        raise CheckpointError(f"{file} is no .safetensors file: give the U-Net's weights.")
    # beside SD-Turbo's own folders the file stands in unet/, and its neighbours are used
    folder = file.parent.parent if file.parent.name == "unet" else file.parent
    return CheckpointFiles(read_card(folder, file.name), folder, file)


def _pickle_error(file: Path) -> CheckpointError:
    return CheckpointError(
        f"{file} is a pickle, which can run any code when opened, so it is not loaded: convert it "
        "to .safetensors where you trust it (safetensors.torch.save_file)."
    )
