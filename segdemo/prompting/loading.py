"""Load a prompter by name: the embedded one, or a SAM as transformers saves it."""

from __future__ import annotations

from pathlib import Path

import torch

from segdemo.checkpoints.card import CARD, read_card
from segdemo.checkpoints.files import CheckpointError, read_color_statistics, read_json
from segdemo.checkpoints.loading import load_frozen
from segdemo.checkpoints.locate import locate
from segdemo.photo_features import PHOTO_FEATURES_WEIGHTS, PhotoFeatures
from segdemo.plugins import call_plugin, plugins
from segdemo.precision import channels_last
from segdemo.prompting.interface import Prompter
from segdemo.prompting.network import PromptedU2Net
from segdemo.prompting.predictor import EmbeddedPrompter
from segdemo.prompting.segment_anything import NETWORKS, SegmentAnythingPrompter


def load_prompter(name: str, device: torch.device, dtype: torch.dtype = torch.float32) -> Prompter:
    """Load by registered name, plugin's name, folder or Hub id, such as facebook/sam-vit-base.

    Of a Hub id the weights are downloaded unless they are in the cache, never a pickle. Raises
    CheckpointError.
    """
    if name in plugins().prompters:
        return call_plugin(name, plugins().prompters[name], device, dtype)
    folder = locate(name, "prompter")
    content = read_json(folder / "config.json")
    if content.get("_class_name") == PromptedU2Net.__name__:
        return _load_embedded(folder, name, device, dtype)
    kind = str(content.get("model_type"))
    if kind not in NETWORKS:
        raise CheckpointError(
            f"{folder} is a {kind}: only {', '.join(NETWORKS)}, such as facebook/sam-vit-base or "
            "facebook/sam2.1-hiera-tiny, and a PromptedU2Net can be opened here."
        )
    network = load_frozen(NETWORKS[kind], folder, dtype)
    return SegmentAnythingPrompter(network.to(device), *read_color_statistics(folder))


def _load_embedded(
    folder: Path, name: str, device: torch.device, dtype: torch.dtype
) -> EmbeddedPrompter:
    """Load a PromptedU2Net, and the photo features where it sees them."""
    card = read_card(folder, name) if (folder / CARD).exists() else None
    network = load_frozen(PromptedU2Net, folder, dtype)
    channels_last(network.to(device), device)
    features = None
    if network.config.photo_widths:
        features = load_frozen(PhotoFeatures, PHOTO_FEATURES_WEIGHTS, dtype)
        if features.widths != list(network.config.photo_widths):
            raise CheckpointError(
                f"{folder / 'config.json'} asks for photo features of "
                f"{list(network.config.photo_widths)} channels, and those that ship have "
                f"{features.widths}: check where the checkpoint comes from."
            )
        channels_last(features.to(device), device)
    side = {} if card is None else {"side": card.native_size}
    return EmbeddedPrompter(network, features, **side)
