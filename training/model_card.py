"""A finished model on disk: the folder that the app opens, and its README.md for people."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import torch
from huggingface_hub import HfApi
from safetensors.torch import save_file

from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.checkpoints.files import DIFFDIS_LORA, DIFFUSERS_STEM, PHOTO_FEATURES
from segdemo.datatypes import InputError
from segdemo.diffdis.lora import save_lora, without_lora
from segdemo.diffdis.parameter_names import official_name
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}
PANELS = "panels"
"""Folder of validation images to look at."""
HEADS = {
    "max_f": "max F",
    "mae": "MAE",
    "edge_components": "edge components",
    "closed_contours": "closed contours",
}


def write_model(
    pipeline: DiffDISPipeline, card: ModelCard, folder: Path, precision: str = "fp32"
) -> None:
    """Write a folder that the app opens: networks, schedule, text embedding and `segdemo.json`.

    precision: of the stored weights. Raises InputError for another than fp32 and fp16.
    """
    if precision not in PRECISIONS:
        raise InputError(f"--export_precision {precision!r}: choose fp32 or fp16.")
    dtype = PRECISIONS[precision]
    shutil.rmtree(folder / "unet", ignore_errors=True)  # shards of an earlier export
    shutil.rmtree(folder / DIFFDIS_LORA, ignore_errors=True)  # likewise
    _save_whole(without_lora(pipeline.unet), folder / "unet", dtype)
    autoencoder = copy.deepcopy(pipeline.autoencoder).cpu()
    if dtype != autoencoder.dtype:
        autoencoder = autoencoder.to(dtype)
    autoencoder.save_pretrained(folder / "vae")
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    for part in ("unet/config.json", "vae/config.json"):
        strip_local_paths(folder / part)
    if pipeline.photo_features is not None:
        features = copy.deepcopy(pipeline.photo_features).cpu().to(dtype)
        features.save_pretrained(folder / PHOTO_FEATURES)
        strip_local_paths(folder / PHOTO_FEATURES / "config.json")
    null_text = pipeline.null_text.detach().float().cpu().contiguous()
    save_file({"null_text": null_text}, folder / "null_text.safetensors")
    write_card(card, folder)


def write_lora(unet: DiffDISUNet, card: ModelCard, folder: Path) -> None:
    """Write a folder that the app opens: a LoRA and `segdemo.json`, which names its model."""
    for part in ("unet", "vae", "scheduler", PHOTO_FEATURES):  # of an earlier export of all weights
        shutil.rmtree(folder / part, ignore_errors=True)
    save_lora(unet, folder / DIFFDIS_LORA)
    write_card(card, folder)


def _save_whole(unet: DiffDISUNet, folder: Path, dtype: torch.dtype) -> None:
    """Write config.json and one file of weights, under the official names.

    The official code loads with `low_cpu_mem_usage=False`, which in its diffusers (0.30) knows no
    shards.
    """
    folder.mkdir(parents=True)
    unet.save_config(folder)
    weights = {
        official_name(name): value.detach().to("cpu", dtype if value.is_floating_point() else None)
        for name, value in unet.state_dict().items()
    }
    whole = {name: value.contiguous() for name, value in weights.items()}
    save_file(whole, folder / f"{DIFFUSERS_STEM}.safetensors", metadata={"format": "pt"})


def strip_local_paths(config: Path) -> None:
    """Take the path of this machine out of a config that diffusers wrote."""
    entries = json.loads(config.read_text())
    entries.pop("_name_or_path", None)
    config.write_text(json.dumps(entries, indent=2) + "\n")


def write_readme(
    folder: Path, card: ModelCard, rows: list[dict[str, float]], panels: list[Path]
) -> None:
    """Write README.md: how it was trained and what was measured.

    rows: of all validations. panels: images that are copied and shown.
    """
    shutil.rmtree(folder / PANELS, ignore_errors=True)
    shown = []
    (folder / PANELS).mkdir()
    for panel in panels:
        shutil.copyfile(panel, folder / PANELS / panel.name)
        shown.append(f"![photo, truth, prediction]({PANELS}/{panel.name})")
    text = [
        "---",
        "pipeline_tag: image-segmentation",
        "tags: [diffdis, dichotomous-image-segmentation]",
        "---",
        f"# {card.name}",
        "A DiffDIS model: one denoising step turns a photograph into the mask of its subject and "
        "its edges.",
        f"Licence: {card.licence}. Trained at {card.native_size} pixels.",
        "",
        "Open it: `python app.py --model FOLDER` of segdemo, FOLDER being this one.",
        "",
        "## Measured while training",
        f"Images that were not trained on: {card.quality['pictures']}, from "
        f"{card.quality['from']} (overlap: {card.quality['overlap']}); at their own size, soft "
        "masks, one pass. Step 0 is before training. Max F: the best threshold of the mean F "
        "curve, beta squared 0.3. MAE: mean absolute difference.",
        "",
        *metric_table(rows),
        "",
        "## Training",
        "```json",
        json.dumps(card.training, indent=1),
        "```",
        *(["", "## Examples", "Photo, truth, prediction.", "", *shown] if shown else []),
    ]
    (folder / "README.md").write_text("\n".join(text) + "\n")


def push(folder: Path, repository: str) -> None:
    """Upload a folder to a Hub repository, made private where it is new; raises InputError."""
    api = HfApi()
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder)
    # What a missing connection raises changes with the Hub client's release; the model is safe
    except Exception as error:
        sentence = str(error).strip().splitlines()[0]
        raise InputError(
            f"{folder} could not be uploaded to {repository} ({sentence}): log in with `hf auth "
            "login` and upload it with `hf upload`; nothing is lost."
        ) from error


def metric_table(rows: list[dict[str, float]]) -> list[str]:
    """Return the best and the last of a run's validations as a Markdown table."""
    named = {"best": max(rows, key=lambda row: row["max_f"]), "last": rows[-1]}
    figures = [name for name in rows[0] if name != "step"]
    titles = [HEADS.get(name, name) for name in figures]
    lines = [f"| checkpoint | step | {' | '.join(titles)} |", "|---" * (len(titles) + 2) + "|"]
    for name, row in named.items():
        cells = " | ".join(f"{row[figure]:.4f}" for figure in figures)
        lines.append(f"| {name} | {row['step']:.0f} | {cells} |")
    return lines
