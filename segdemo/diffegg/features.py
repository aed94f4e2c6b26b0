"""Read a backbone's hidden states in one pass: what the edge generator looks at.

The paper's stage 2 "hooks" self-attention but names neither the tensor nor the layers. Here it is
what self-attention layers put out, after `to_out`, one map of few hundred channels a layer; or, as
Algorithm 3 reads literally, the accumulated attention map itself, whose channels are as many as its
cells (`attention_level`). All steps are differentiable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from segdemo.datatypes import InputError
from segdemo.diffegg.attention import check_map_size
from segdemo.diffegg.attention_features import ImageAttention, keep_attention
from segdemo.diffegg.backbones.base import Backbone
from segdemo.photo_features import PhotoFeatures


@dataclass(frozen=True)
class FeatureLevel:
    """One scale of the features.

    layers: the denoiser's modules whose maps are put side by side; none for a level of photo
    features. width: their channels together. stride: pixels of the image that a cell stands for.
    scale: how the layers' maps are enlarged to have it. attention: the map is not what the layers
    put out but their accumulated attention.
    """

    layers: list[str]
    width: int
    stride: float
    scale: float = 1.0
    attention: bool = False


def photo_levels(features: PhotoFeatures) -> list[FeatureLevel]:
    """Return the scales of photo features, finest first."""
    return [
        FeatureLevel([], width, stride)
        for width, stride in zip(features.widths, features.strides, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class HiddenStates:
    """Hidden states and output of one denoiser pass.

    maps: (B, width, h, w) of each level. prediction: (B, C, h, w).
    """

    maps: list[torch.Tensor]
    prediction: torch.Tensor


@contextmanager
def record_outputs(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Keep what some modules put out while it is open; then the network is as it was.

    Yields the outputs by name, in the order in which the modules ran; of a module that returns
    several values, the first. Raises InputError for a name that no module has.
    """
    kept: dict[str, torch.Tensor] = {}
    modules = dict(network.named_modules())
    with ExitStack() as stack:
        for name in names:
            if name not in modules:
                raise InputError(
                    f"The network has no layer {name!r}; its blocks are "
                    f"{', '.join(child for child, _ in network.named_children())}."
                )
            stack.callback(modules[name].register_forward_hook(_keeper(kept, name)).remove)
        yield kept


def feature_levels(backbone: Backbone, more_layers: Sequence[str] = ()) -> list[FeatureLevel]:
    """Return the scales that a backbone's features have, finest first.

    They are its `feature_layers` and `more_layers`, such as `down_blocks.0.resnets.0`; layers whose
    maps have one size make a level. Raises InputError for a layer that does not exist or puts out
    no map.
    """
    wanted = [*backbone.feature_layers(), *((name, 1.0) for name in more_layers)]
    latents = backbone.probe()
    grid, start = backbone.token_grid(latents), backbone.first_image_token
    with torch.no_grad(), record_outputs(backbone.network, [name for name, _ in wanted]) as kept:
        backbone.predict(latents, 0)
    found: dict[tuple[float, float], FeatureLevel] = {}
    for name, scale in wanted:
        shape = _as_map(kept, name, grid, start).shape  # (1, C, h, w)
        stride = backbone.pixels_per_latent * latents.shape[-1] / (shape[-1] * scale)
        level = found.get((stride, scale), FeatureLevel([], 0, stride, scale))
        joined = FeatureLevel([*level.layers, name], level.width + shape[1], stride, scale)
        found[stride, scale] = joined
    return sorted(found.values(), key=lambda level: level.stride)


def attention_level(backbone: Backbone, size: int) -> FeatureLevel:
    """Return the accumulated attention map as a level, for images of a size in pixels.

    It has a channel for each cell of the map, so that no other size will do. Raises InputError
    where that takes more memory than a recorded map may.
    """
    layers = backbone.attention_layers()
    with torch.no_grad():
        latents = backbone.encode(torch.zeros(1, 3, size, size, device=backbone.device))
        with _attention_of(backbone, layers, latents) as attention:
            backbone.predict(latents, 0)
    check_map_size(attention.side)
    return FeatureLevel(list(layers), attention.side**2, size / attention.side, attention=True)


def finer_layers(backbone: Backbone) -> list[str]:
    """Return the last resnet of every U-Net block whose maps are finer than those of attention.

    The embedded model has self-attention at 1/16 of the image and below only, and edges from
    such cells are coarse: these layers, at 1/8, sharpen them. XL has such blocks too; other
    families have none.
    """
    names = [name for name, _ in backbone.network.named_modules() if ".resnets." in name]
    names = [name for name in names if name.split(".")[-2] == "resnets"]
    last = {name.rpartition(".")[0]: name for name in names}
    finest = min(level.stride for level in feature_levels(backbone))
    levels = feature_levels(backbone, list(last.values()))
    return [n for level in levels if level.stride < finest for n in level.layers]


def extract_features(
    backbone: Backbone, levels: Sequence[FeatureLevel], noisy: torch.Tensor, timestep: int
) -> HiddenStates:
    """Run the denoiser once on (B, C, h, w) and return the levels' maps; differentiable.

    Raises InputError for latents of a size that an attention level was not made for.
    """
    hidden = [level for level in levels if not level.attention]
    names = list(dict.fromkeys(name for level in hidden for name in level.layers))
    seen = {name for level in levels if level.attention for name in level.layers}
    modules = {name: m for name, m in backbone.attention_layers().items() if name in seen}
    with (
        record_outputs(backbone.network, names) as kept,
        _attention_of(backbone, modules, noisy) as attention,
    ):
        prediction = backbone.predict(noisy, timestep)
    grid, start = backbone.token_grid(noisy), backbone.first_image_token

    def level_map(level: FeatureLevel) -> torch.Tensor:
        if level.attention:
            if attention.side**2 != level.width:
                raise InputError(
                    f"The attention map has {attention.side**2} cells, where the edge generator "
                    f"sees {level.width}: give images of the size that it was trained at."
                )
            return attention.map()
        return torch.cat([_as_map(kept, name, grid, start) for name in level.layers], 1)

    maps = [_scaled(level_map(level), level.scale) for level in levels]
    return HiddenStates(maps, prediction)


def _attention_of(
    backbone: Backbone, modules: Mapping[str, nn.Module], latents: torch.Tensor
) -> AbstractContextManager[ImageAttention]:
    """Keep the attention of modules while the backbone runs on latents (B, C, h, w)."""
    full, _ = backbone.token_grid(latents)
    return keep_attention(modules, full, backbone.first_image_token)


def _keeper(kept: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    def keep(module: nn.Module, given: Any, output: Any) -> None:
        kept[name] = output[0] if isinstance(output, tuple) else output

    return keep


def _as_map(
    kept: dict[str, torch.Tensor], name: str, grid: tuple[int, int], start: int
) -> torch.Tensor:
    """Return an output as (B, C, h, w); tokens (B, n, C) lie on the grid or a whole part of it.

    start: where the image's tokens begin in an output that has others as well.
    """
    values = kept.get(name)
    if values is None:
        raise InputError(f"Layer {name} did not run: choose one that a forward pass goes through.")
    if values.ndim == 4:
        return values
    if values.ndim == 3:
        if values.shape[1] > grid[0] * grid[1]:
            values = values[:, start : start + grid[0] * grid[1]]
        tokens = values.shape[1]
        factor = math.isqrt(grid[0] * grid[1] // tokens)
        height, width = grid[0] // max(1, factor), grid[1] // max(1, factor)
        if height * width == tokens:
            return values.transpose(1, 2).unflatten(2, (height, width))  # (B, C, h, w)
    raise InputError(
        f"Layer {name} puts out {tuple(values.shape)}, no map of the image: choose another."
    )


def _scaled(values: torch.Tensor, scale: float) -> torch.Tensor:
    if scale == 1:
        return values
    size = [max(1, round(side * scale)) for side in values.shape[-2:]]
    return F.interpolate(values.float(), size, mode="bilinear", antialias=scale < 1)
