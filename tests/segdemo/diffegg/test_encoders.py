"""Vision transformers as backbones: their attention, edges on the command line, one step."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AttentionInterface,
    AutoModel,
    AutoTokenizer,
    LlavaForConditionalGeneration,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from segdemo.__main__ import main
from segdemo.checkpoints.backbone import locate_backbone
from segdemo.datatypes import InputError
from segdemo.diffegg.adapters import adapter_parameters, add_adapter, load_adapter, save_adapter
from segdemo.diffegg.loading import load_backbone, load_diffegg
from segdemo.diffegg.settings import TraceSettings
from tests.segdemo.uis.vits import PATCH, REGISTERS, write_llava, write_vit

CPU = torch.device("cpu")
CLASS_TOKENS = {
    "vit": 1,
    "dinov2": 1,
    "dinov2_with_registers": 1 + REGISTERS,
    "clip": 1,
    "siglip": 0,
}


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.mark.parametrize("kind", CLASS_TOKENS)
def test_the_map_is_the_mean_over_layers_and_heads_of_what_patches_see_in_patches(
    kind: str, tmp_path: Path, image: np.ndarray
) -> None:
    write_vit(tmp_path, kind)
    colors = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(colors))
    pipeline = load_diffegg(locate_backbone(str(tmp_path)), CPU)
    backbone = pipeline.backbone

    layers = pipeline.attention_layers(TraceSettings())
    square = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        pixels = backbone.encode(square)
        attention = pipeline.attention_at(layers, pixels, [torch.zeros_like(pixels)], 0)

    mean, std = (torch.tensor(values)[:, None, None] for values in colors.values())
    torch.testing.assert_close(pixels, ((square + 1) / 2 - mean) / std)
    whole = AutoModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    options = {} if kind.startswith("dinov2") else {"interpolate_pos_encoding": True}
    with torch.inference_mode():
        output = getattr(whole, "vision_model", whole)(pixels, output_attentions=True, **options)
    seen = torch.stack(output.attentions)[:, 0, :, CLASS_TOKENS[kind] :, CLASS_TOKENS[kind] :]
    expected = (seen / seen.sum(-1, keepdim=True)).mean((0, 1))  # (patches, patches)
    assert expected.shape == ((64 // PATCH) ** 2,) * 2
    torch.testing.assert_close(attention.rows(0, 64 // PATCH), expected, atol=1e-6, rtol=1e-5)


def test_llava_is_asked_to_describe_the_image_and_its_attention_is_read_without_the_mask(
    tmp_path: Path,
) -> None:
    scores: list[torch.Tensor] = []

    def attention_that_is_kept(module: Any, query: Any, key: Any, *given: Any, **more: Any) -> Any:
        if module.is_causal:  # the language model's, of which two heads share a key
            shared = key.repeat_interleave(2, 1)
            scores.append((query @ shared.transpose(2, 3) * more["scaling"])[0])
        return sdpa_attention_forward(module, query, key, *given, **more)

    AttentionInterface.register("kept", attention_that_is_kept)
    write_llava(tmp_path)
    pipeline = load_diffegg(locate_backbone(str(tmp_path)), CPU)
    backbone, side = pipeline.backbone, 32 // PATCH
    layers = pipeline.attention_layers(TraceSettings())
    pixels = backbone.encode(torch.rand(1, 3, 64, 64) * 2 - 1)
    with torch.inference_mode():
        attention = pipeline.attention_at(layers, pixels, [torch.zeros_like(pixels)], 0)
        predicted = backbone.predict(pixels, 0)

    whole = LlavaForConditionalGeneration.from_pretrained(tmp_path).eval()
    whole.model.language_model.set_attn_implementation("kept")
    asked = f"USER: {'<image> ' * side**2}Describe this image ASSISTANT:"
    ids = AutoTokenizer.from_pretrained(tmp_path)(asked, return_tensors="pt").input_ids
    with torch.inference_mode():
        output = whole.model(input_ids=ids, pixel_values=pixels)
    image = slice(1, 1 + side**2)  # "USER:" lies before it
    states = output.last_hidden_state[0, image].T.unflatten(1, (side, side))
    torch.testing.assert_close(predicted[0], states, atol=1e-4, rtol=1e-4)
    assert len(scores) == len(layers.modules) == 3
    seen = [values[:, image, image].softmax(-1).mean(0) for values in scores]
    torch.testing.assert_close(attention.rows(0, side), sum(seen) / 3, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("write", [write_vit, write_llava])
def test_trace_and_edges_of_a_vision_transformer_take_one_step(
    write: Callable[[Path], Any],
    tmp_path: Path,
    image: np.ndarray,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / "dino")
    Image.fromarray(image).save(tmp_path / "photo.png")
    given = [str(tmp_path / "photo.png"), "--backbone", str(tmp_path / "dino"), "--size", "64"]

    assert main(["trace", *given, "--output_dir", str(tmp_path / "trace")]) == 0
    assert "one step, no curve" in capsys.readouterr().out
    assert main(["edges", *given, "--output_dir", str(tmp_path / "edges")]) == 0

    with np.load(tmp_path / "trace" / "photo" / "trace.npz") as kept:
        assert kept["timesteps"].tolist() == [0] and kept["gaps"].size == 0
        side = 8 if write is write_vit else 4  # a language model gets one size only
        assert kept["edge_scores"].shape == (1, side, side) and kept["edge_scores"].max() > 0
    assert (tmp_path / "trace" / "photo" / "pca_0.png").exists()
    assert Image.open(tmp_path / "edges" / "photo_edge.png").size == (50, 40)


@pytest.mark.parametrize("write", [partial(write_vit, kind="dinov2"), write_llava])
def test_a_lora_of_a_vision_transformer_is_saved_and_opens_again(
    write: Callable[[Path], Any], tmp_path: Path
) -> None:
    write(tmp_path / "dino")
    files = locate_backbone(str(tmp_path / "dino"))
    trained, opened = load_backbone(files, CPU), load_backbone(files, CPU)
    pixels = torch.randn(1, 3, 32, 32)
    plain = trained.predict(pixels, 0)
    add_adapter(trained, list(trained.attention_layers())[:2], 2)
    for parameter in adapter_parameters(trained).values():
        torch.nn.init.normal_(parameter)

    save_adapter(trained, tmp_path / "adapter")
    load_adapter(opened, tmp_path / "adapter" / "adapter_model.safetensors")

    assert str(tmp_path) not in (tmp_path / "adapter" / "adapter_config.json").read_text()
    torch.testing.assert_close(opened.predict(pixels, 0), plain)
    with opened.adapted():
        torch.testing.assert_close(opened.predict(pixels, 0), trained.predict(pixels, 0))
    assert (trained.predict(pixels, 0) - plain).abs().max() > 0.01


def test_other_models_of_transformers_are_refused_by_their_kind(tmp_path: Path) -> None:
    write_vit(tmp_path, "vit")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(InputError, match=r"is a bert: .*vision encoder"):
        locate_backbone(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config | {"image_size": "big"}))
    with pytest.raises(InputError, match="image_size 'big'"):
        locate_backbone(str(tmp_path))
