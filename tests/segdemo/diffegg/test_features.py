"""Hidden states are read from one pass of every family, whole, and gradients go through them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from segdemo.datatypes import InputError
from segdemo.diffegg.adapters import adapter_parameters, add_adapter
from segdemo.diffegg.attention import AttentionLayers, record_attention
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.features import (
    attention_level,
    extract_features,
    feature_levels,
    finer_layers,
    record_outputs,
)
from tests.segdemo.diffegg.backbones import LATENT_SIDE, NATIVE_SIZE, latents_like


def test_every_family_has_levels_of_growing_stride_with_the_maps_they_promise(
    backbone: Backbone,
) -> None:
    levels = feature_levels(backbone, finer_layers(backbone))
    strides = [level.stride for level in levels]
    assert strides == sorted(set(strides))
    assert strides[0] == 8
    with torch.no_grad():
        maps = extract_features(backbone, levels, latents_like(backbone), 0).maps
    for level, values in zip(levels, maps, strict=True):
        side = int(8 * LATENT_SIDE / level.stride)
        assert values.shape == (2, level.width, side, side)


def test_a_unet_gives_the_last_attention_of_every_block_and_a_transformer_four_scales(
    backbone_of: Callable[[str], Backbone],
) -> None:
    sd15 = feature_levels(backbone_of("sd15"))
    assert [len(level.layers) for level in sd15] == [2, 2, 2, 1]
    assert sd15[0].layers[1] == "up_blocks.3.attentions.2.transformer_blocks.0.attn1"
    sd3 = feature_levels(backbone_of("sd3"))
    assert [level.scale for level in sd3] == [2, 1, 0.5, 0.25]


def test_only_networks_without_fine_attention_have_finer_layers(backbone: Backbone) -> None:
    finest = min(level.stride for level in feature_levels(backbone))
    assert bool(finer_layers(backbone)) == (finest > 8 and hasattr(backbone.network, "up_blocks"))


def test_features_are_the_output_of_the_attention_module_itself(backbone: Backbone) -> None:
    level = feature_levels(backbone)[-1]
    latents, outputs = latents_like(backbone, 1), []
    module = backbone.network.get_submodule(level.layers[-1])
    # FLUX's blocks of one stream have no projection after attention, and the text's tokens first
    last = getattr(module, "to_out", None)
    hooked = module if last is None else last[0]
    handle = hooked.register_forward_hook(lambda m, given, out: outputs.append(out))
    with torch.no_grad():
        values = extract_features(backbone, [level], latents, 0).maps[0]
    handle.remove()
    tokens = outputs[0][:, backbone.first_image_token if last is None else 0 :]
    side = int(tokens.shape[1] ** 0.5)
    own = tokens.transpose(1, 2).reshape(1, -1, side, side)
    if level.scale != 1:
        own = torch.nn.functional.interpolate(
            own, values.shape[-2:], mode="bilinear", antialias=True
        )
    torch.testing.assert_close(values[:, -own.shape[1] :], own)


def test_the_network_and_its_prediction_are_as_before(backbone: Backbone) -> None:
    latents = latents_like(backbone)
    with torch.no_grad():
        before = backbone.predict(latents, 0)
        states = extract_features(backbone, feature_levels(backbone), latents, 0)
    assert torch.equal(states.prediction, before)
    assert not any(m._forward_hooks for m in backbone.network.modules())


@pytest.mark.parametrize("family", ["own", "sd21", "sd3", "pixart", "flux"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_every_adapter_layer_also_when_activations_are_computed_twice(
    family: str, checkpointing: bool, fresh_backbone: Callable[[str], Backbone]
) -> None:
    backbone = fresh_backbone(family)
    add_adapter(backbone, list(backbone.attention_layers()), rank=2)
    parameters = adapter_parameters(backbone)
    torch.manual_seed(0)
    for parameter in parameters.values():
        torch.nn.init.normal_(parameter)  # B starts at zero, where A has no gradient
    if checkpointing:
        backbone.network.enable_gradient_checkpointing()
    states = extract_features(backbone, feature_levels(backbone), latents_like(backbone), 0)
    sum(values.square().sum() for values in states.maps).backward()
    missing = [n for n, p in parameters.items() if p.grad is None or not p.grad.any()]
    # image and text see each other in MM-DiT, so its last layers work on the image alone
    assert not missing
    assert not any(
        p.grad is not None for n, p in backbone.network.named_parameters() if n not in parameters
    )


@pytest.mark.parametrize("family", ["own", "sd15", "sd3", "flux"])
def test_the_attention_map_as_features_is_the_recorded_one_for_every_image_of_a_batch(
    family: str, backbone_of: Callable[[str], Backbone]
) -> None:
    backbone = backbone_of(family)
    level = attention_level(backbone, NATIVE_SIZE)
    side = math.isqrt(level.width)
    assert level.stride == NATIVE_SIZE / side
    latents = latents_like(backbone)
    with torch.inference_mode():
        (seen,) = extract_features(backbone, [level], latents, 0).maps
        first = backbone.first_image_token
        layers = AttentionLayers(backbone.attention_layers(), first_token=first)
        for number, image in enumerate(latents):
            with record_attention(layers, backbone.token_grid(latents)[0]) as recorded:
                backbone.predict(image[None], 0)
            rows = seen[number].flatten(1).T  # (side**2, side**2)
            torch.testing.assert_close(rows, recorded.rows(0, side), atol=1e-6, rtol=1e-4)


def test_gradients_of_the_attention_map_reach_the_layers_before_it(
    fresh_backbone: Callable[[str], Backbone],
) -> None:
    backbone = fresh_backbone("sd15")
    level = attention_level(backbone, NATIVE_SIZE)
    add_adapter(backbone, level.layers[:-1], rank=2)
    parameters = adapter_parameters(backbone)
    for parameter in parameters.values():
        torch.nn.init.normal_(parameter)
    backbone.network.enable_gradient_checkpointing()
    (seen,) = extract_features(backbone, [level], latents_like(backbone), 0).maps
    seen.square().sum().backward()
    assert not [n for n, p in parameters.items() if p.grad is None or not p.grad.any()]


def test_the_attention_map_of_another_size_is_refused(
    backbone_of: Callable[[str], Backbone],
) -> None:
    backbone = backbone_of("own")
    level = attention_level(backbone, 64)
    with pytest.raises(InputError, match=r"has 64 cells, where the edge generator sees 16"):
        extract_features(backbone, [level], latents_like(backbone), 0)


def test_a_layer_that_does_not_exist_or_puts_out_no_map_is_refused(
    backbone_of: Callable[[str], Backbone],
) -> None:
    backbone = backbone_of("own")
    with pytest.raises(InputError, match=r"no layer 'up_blocks\.9'.*down_blocks"):
        feature_levels(backbone, ["up_blocks.9"])
    with pytest.raises(InputError, match="no map of the image"):
        feature_levels(backbone, ["time_embedding"])


def test_hooks_are_gone_after_an_error(backbone_of: Callable[[str], Backbone]) -> None:
    network = backbone_of("own").network
    with pytest.raises(ZeroDivisionError), record_outputs(network, ["mid_block", "conv_in"]):
        raise ZeroDivisionError
    assert not any(m._forward_hooks for m in network.modules())
