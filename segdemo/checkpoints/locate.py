"""Find weights by registered name, folder, file or Hub id; downloads where that is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from segdemo.checkpoints.card import CARD
from segdemo.checkpoints.files import (
    ADAPTER,
    DIFFUSERS_STEM,
    EDGE_GENERATOR,
    LORA_FILE,
    NULL_TEXT,
    PHOTO_FEATURES,
    PICKLES,
    TRANSFORMERS_STEM,
    CheckpointError,
    pickle_error,
)
from segdemo.checkpoints.registry import Kind, registered_names, registered_source

HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+")
NOUNS: dict[Kind, str] = {"diffdis": "model", "backbone": "backbone", "features": "features"}
CHOICES: dict[Kind, str] = {
    "diffdis": "a folder, a .safetensors file or a Hub id",
    "backbone": "a folder or a Hub id",
    "features": "a folder with a ViT as transformers saves it or a Hub id",
}


def locate(name: str, kind: Kind) -> Path:
    """Return the folder of weights of a kind; for DiffDIS it may be the network's file.

    name: registered, a folder, a file or a Hub id, which is downloaded unless it is in the local
    cache, never a pickle. Raises CheckpointError.
    """
    source = registered_source(name, kind) or Path(name).expanduser()
    if isinstance(source, Path) and source.is_file():
        return _single_file(source, kind)
    if isinstance(source, Path) and source.is_dir():
        return source
    if HUB_ID.fullmatch(str(source)):
        return download(str(source), downloads(kind))
    registered = ", ".join(registered_names(kind))
    raise CheckpointError(f"No {NOUNS[kind]} {name!r}: give one of {registered}, {CHOICES[kind]}.")


def locate_base(base: str, folder: Path, kind: Kind, patterns: Sequence[str]) -> Path:
    """Return the folder of the model that the card in `folder` names as its base.

    base: registered for `kind`, a folder, which may be relative to `folder`, or a Hub id, of which
    the files that match `patterns` are downloaded. Raises CheckpointError.
    """
    source = registered_source(base, kind)
    if isinstance(source, Path):
        return source
    local = (folder / Path(base).expanduser()).resolve()
    if local.is_dir():
        return local
    if not HUB_ID.fullmatch(base):
        raise CheckpointError(
            f"{folder / CARD} names {base!r} as its base, which is not here: write there where "
            "that model is now."
        )
    return download(base, patterns)


def download(repository: str, patterns: Sequence[str]) -> Path:
    """Fetch the matching files of a Hub repository, or find them in the local cache."""
    try:
        return Path(snapshot_download(repository, allow_patterns=list(patterns)))
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


def downloads(kind: Kind) -> list[str]:
    """Return the patterns of the files that are needed of a Hub repository.

    Not the half-precision, EMA-free and single-file copies, which often lie beside them and are
    several times as large.
    """
    if kind == "features":
        return ["config.json", "preprocessor_config.json", *_network_files("", TRANSFORMERS_STEM)]
    shared = ["README.md", CARD, NULL_TEXT, "scheduler/*.json"]
    if kind == "diffdis":
        networks = dict.fromkeys(("unet", "vae", PHOTO_FEATURES), DIFFUSERS_STEM)
    else:
        shared += ["model_index.json", f"{ADAPTER}/{LORA_FILE}"]
        shared += [f"tokenizer{n}/*.{text}" for n in ("", "_2") for text in ("json", "txt")]
        parts = ("prior", "unet", "transformer", "vae", EDGE_GENERATOR, PHOTO_FEATURES)
        networks = dict.fromkeys(parts, DIFFUSERS_STEM)
        networks |= dict.fromkeys(("text_encoder", "text_encoder_2"), TRANSFORMERS_STEM)
    return shared + [
        pattern for part, stem in networks.items() for pattern in _network_files(f"{part}/", stem)
    ]


def _network_files(folder: str, stem: str) -> list[str]:
    """Return the files of one network in `folder`, which is empty or ends with a slash."""
    return [
        f"{folder}config.json",
        f"{folder}{stem}.safetensors",
        f"{folder}{stem}.safetensors.index.json",
        f"{folder}{stem}-?????-of-?????.safetensors",
    ]


def _single_file(file: Path, kind: Kind) -> Path:
    """Refuse a file where a folder is needed, and a pickle everywhere."""
    if file.suffix in PICKLES:
        raise pickle_error(file)
    if kind == "backbone":
        raise CheckpointError(
            f"{file} is a single file: give a folder as diffusers saves it "
            "(StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER) makes one)."
        )
    if kind == "features":
        raise CheckpointError(f"{file} is a single file: give the folder that holds it.")
    if file.suffix != ".safetensors":
        raise CheckpointError(f"{file} is not a .safetensors file: give the U-Net's weights.")
    return file
