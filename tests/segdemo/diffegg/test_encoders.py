"""Vision transformers as backbones: their attention, edges on the command line, one step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel

from segdemo.__main__ import main
from segdemo.checkpoints.backbone import locate_backbone
from segdemo.datatypes import InputError
from segdemo.diffegg.adapters import adapter_parameters, add_adapter, load_adapter, save_adapter
from segdemo.diffegg.loading import load_backbone, load_diffegg
from segdemo.diffegg.settings import TraceSettings
from tests.segdemo.uis.vits import PATCH, REGISTERS, write_vit

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


def test_trace_and_edges_of_a_vision_transformer_take_one_step(
    tmp_path: Path, image: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    write_vit(tmp_path / "dino", "vit")
    Image.fromarray(image).save(tmp_path / "photo.png")
    given = [str(tmp_path / "photo.png"), "--backbone", str(tmp_path / "dino"), "--size", "64"]

    assert main(["trace", *given, "--output_dir", str(tmp_path / "trace")]) == 0
    assert "one step, no curve" in capsys.readouterr().out
    assert main(["edges", *given, "--output_dir", str(tmp_path / "edges")]) == 0

    with np.load(tmp_path / "trace" / "photo" / "trace.npz") as kept:
        assert kept["timesteps"].tolist() == [0] and kept["gaps"].size == 0
        assert kept["edge_scores"].shape == (1, 8, 8) and kept["edge_scores"].max() > 0
    assert (tmp_path / "trace" / "photo" / "pca_0.png").exists()
    assert Image.open(tmp_path / "edges" / "photo_edge.png").size == (50, 40)


def test_a_lora_of_a_vision_transformer_is_saved_and_opens_again(tmp_path: Path) -> None:
    write_vit(tmp_path / "dino", "dinov2")
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
