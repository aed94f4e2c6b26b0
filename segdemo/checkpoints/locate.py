"""Find weights by registered name, folder, file or Hub id; downloads where that is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
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
    DIFFDIS_LORA,
    DIFFUSERS_STEM,
    EDGE_GENERATOR,
    LORA_FILE,
    NULL_TEXT,
    PEFT_CONFIG,
    PEFT_FILE,
    PHOTO_FEATURES,
    PICKLES,
    PREPARATION,
    TRANSFORMERS_STEM,
    VARIANTS,
    CheckpointError,
    network_patterns,
    pickle_error,
)
from segdemo.checkpoints.registry import Kind, registered_names, registered_source
from segdemo.regular_files import real_path

HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+")
NOUNS: dict[Kind, str] = {
    "diffdis": "model",
    "backbone": "backbone",
    "features": "features",
    "prompter": "prompter",
    "autoencoder": "autoencoder",
}
CHOICES: dict[Kind, str] = {
    "diffdis": "a folder, a .safetensors file or a Hub id",
    "backbone": "a folder, a .safetensors file or a Hub id",
    "features": "a folder with a ViT as transformers saves it or a Hub id",
    "prompter": "a folder with a SAM, SAM 2 or EdgeTAM as transformers saves it or a Hub id",
    "autoencoder": "a folder as diffusers saves it or a Hub id such as madebyollin/taesd",
}
SINGLE_FILE = "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)"
"""Makes a folder of a single file, or of a pickle that one trusts."""


@dataclass(frozen=True)
class Parts:
    """What is needed of a Hub repository.

    networks: the stem of the weights by folder, "" for the repository's own. others: patterns of
    further files.
    """

    networks: dict[str, str]
    others: tuple[str, ...] = ()

    def patterns(self) -> list[str]:
        """Return the patterns of the plain files, without copies in half precision or of EMA."""
        return [*self.others, *self._weights(self.networks, None)]

    def variant_patterns(self, folder: Path, variant: str) -> list[str]:
        """Return the patterns of a variant for networks whose weights are not in `folder`."""
        lacking = {
            part: stem
            for part, stem in self.networks.items()
            if (folder / part / "config.json").exists()
            and not any((folder / part).glob(f"{stem}*.safetensors*"))
        }
        return self._weights(lacking, variant)

    def _weights(self, networks: dict[str, str], variant: str | None) -> list[str]:
        return [
            pattern
            for part, stem in networks.items()
            for pattern in network_patterns(f"{part}/" if part else "", stem, variant)
        ]


VAE = Parts({"vae": DIFFUSERS_STEM})
TOKENIZER_FILES = ("*.json", "*.txt", "spiece.model")
TEXT_ENCODER = Parts({"text_encoder": TRANSFORMERS_STEM}, ("tokenizer/*.json", "tokenizer/*.txt"))
_SHARED = ("README.md", CARD, NULL_TEXT, "scheduler/*.json")
PARTS: dict[Kind, Parts] = {
    "features": Parts({"": TRANSFORMERS_STEM}, (PREPARATION,)),
    "prompter": Parts({"": TRANSFORMERS_STEM}, (PREPARATION,)),
    "autoencoder": Parts({"": DIFFUSERS_STEM}),
    "diffdis": Parts(
        dict.fromkeys(("unet", "vae", PHOTO_FEATURES), DIFFUSERS_STEM),
        (*_SHARED, *(f"{DIFFDIS_LORA}/{name}" for name in (PEFT_FILE, PEFT_CONFIG))),
    ),
    "backbone": Parts(
        dict.fromkeys(
            ("prior", "unet", "transformer", "vae", EDGE_GENERATOR, PHOTO_FEATURES), DIFFUSERS_STEM
        )
        | dict.fromkeys(("text_encoder", "text_encoder_2", ""), TRANSFORMERS_STEM),
        (
            *_SHARED,
            PREPARATION,
            "model_index.json",
            *(f"{ADAPTER}/{name}" for name in (LORA_FILE, PEFT_FILE, PEFT_CONFIG)),
            # spiece.model: T5's, where there is no tokenizer.json
            *("tokenizer.json", "tokenizer_config.json"),  # of a vision-language model
            *(f"tokenizer{n}/{part}" for n in ("", "_2") for part in TOKENIZER_FILES),
        ),
    ),
}


def locate(name: str, kind: Kind) -> Path:
    """Return the folder of weights of a kind; of a network or a backbone it may be a file.

    name: registered, a folder, a file or a Hub id, which is downloaded unless it is in the local
    cache, never a pickle. Raises CheckpointError.
    """
    source = registered_source(name, kind) or Path(name).expanduser()
    if isinstance(source, Path) and source.is_file():
        return _single_file(source, kind)
    if isinstance(source, Path) and source.is_dir():
        return _snapshot(source)
    if HUB_ID.fullmatch(str(source)):
        return download_parts(str(source), PARTS[kind])
    registered = ", ".join(registered_names(kind))
    choices = f"one of {registered}, {CHOICES[kind]}" if registered else CHOICES[kind]
    raise CheckpointError(f"No {NOUNS[kind]} {name!r}: give {choices}.")


def locate_base(base: str, folder: Path, kind: Kind, parts: Parts) -> Path:
    """Return the folder of the model that the card in `folder` names as its base.

    base: registered for `kind`, a folder, which may be relative to `folder`, or a Hub id, of which
    the parts are downloaded. Raises CheckpointError.
    """
    source = registered_source(base, kind)
    if isinstance(source, Path):
        return source
    local = real_path(folder / Path(base).expanduser())
    if local.is_dir():
        return _snapshot(local)
    if not HUB_ID.fullmatch(base):
        raise CheckpointError(
            f"{folder / CARD} names {base!r} as its base, which is not here: write there where "
            "that model is now."
        )
    return download_parts(base, parts)


def download_parts(repository: str, parts: Parts) -> Path:
    """Fetch parts of a Hub repository, or find them in the local cache; raises CheckpointError.

    Of a network without plain weights the first of `VARIANTS` that there is comes instead.
    """
    folder = download(repository, parts.patterns())
    for variant in VARIANTS:
        patterns = parts.variant_patterns(folder, variant)
        if not patterns:
            break
        download(repository, patterns)
    return folder


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


def _snapshot(folder: Path) -> Path:
    """Return the files of a model's folder in the Hub's cache, other folders as they are."""
    snapshots = folder / "snapshots"
    if not folder.name.startswith("models--") or not snapshots.is_dir():
        return folder
    found = sorted(path for path in snapshots.iterdir() if path.is_dir())
    main = folder / "refs" / "main"
    wanted = main.read_text(errors="replace").strip() if main.is_file() else ""
    chosen = [path for path in found if path.name == wanted] or found
    if len(chosen) != 1:
        said = ", ".join(path.name for path in found) or "none"
        raise CheckpointError(
            f"{folder} is a folder of the Hub's cache, with these snapshots: {said}. Give the "
            "folder of one in snapshots/."
        )
    return chosen[0]


def _single_file(file: Path, kind: Kind) -> Path:
    """Refuse a file where a folder is needed, and a pickle everywhere."""
    if file.suffix in PICKLES and kind == "backbone":
        raise pickle_error(file, f"to a folder where you trust it ({SINGLE_FILE})")
    if file.suffix in PICKLES:
        raise pickle_error(file)
    if kind in ("features", "prompter", "autoencoder"):
        raise CheckpointError(f"{file} is a single file: give the folder that holds it.")
    if file.suffix != ".safetensors":
        raise CheckpointError(f"{file} is not a .safetensors file: give {CHOICES[kind]}.")
    return file
