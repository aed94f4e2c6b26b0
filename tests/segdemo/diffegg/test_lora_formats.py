"""A LoRA means the same in the form of every program, or a sentence names its form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from segdemo.checkpoints.backbone import locate_backbone
from segdemo.checkpoints.files import LORA_FILE, PEFT_CONFIG, PEFT_FILE, CheckpointError
from segdemo.diffegg.adapters import adapter_parameters, add_adapter, load_adapter, save_adapter
from segdemo.diffegg.backbones.base import Backbone
from tests.segdemo.diffegg.backbones import latents_like
from tests.segdemo.diffegg.original_names import unet_name

FreshBackbone = Callable[[str], Backbone]
FolderOf = Callable[[str], Path]
Weights = dict[str, torch.Tensor]
RANK, ALPHA = 2, 0.5


@pytest.fixture(scope="module")
def lora(
    backbone_folder: FolderOf, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Weights, torch.Tensor]:
    """Return a LoRA as diffusers saves it, after `unet.`, and what the network predicts with it."""
    from segdemo.diffegg.loading import load_backbone

    backbone = load_backbone(locate_backbone(str(backbone_folder("sd15"))), torch.device("cpu"))
    add_adapter(backbone, list(backbone.attention_layers()), RANK)
    torch.manual_seed(2)
    for parameter in adapter_parameters(backbone).values():
        torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("lora")
    save_adapter(backbone, folder)
    return load_file(folder / LORA_FILE), predicted(backbone)


@torch.inference_mode()
def predicted(backbone: Backbone) -> torch.Tensor:
    with backbone.adapted():
        return backbone.predict(latents_like(backbone), 399)


def unscaled(weights: Weights) -> Weights:
    """Return weights that a scale of alpha / rank brings back to what they were."""
    return {n: v * (RANK / ALPHA if "lora_B" in n else 1) for n, v in weights.items()}


def write_kohya(weights: Weights, folder: Path) -> Path:
    named: Weights = {}
    for name, value in unscaled(weights).items():
        layer, _, tensor = name.removeprefix("unet.").rpartition(".lora_")
        key = f"lora_unet_{layer.replace('.', '_')}"
        named[f"{key}.lora_{'down' if tensor.startswith('A') else 'up'}.weight"] = value
        named[f"{key}.alpha"] = torch.tensor(ALPHA)
    # of the text encoder, which does not matter here
    text = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    named |= {f"{text}.lora_{way}.weight": torch.ones(2, 16) for way in ("down",)}
    named |= {f"{text}.lora_up.weight": torch.ones(16, 2), f"{text}.alpha": torch.tensor(1.0)}
    return saved(named, folder / LORA_FILE)


def write_comfyui(weights: Weights, folder: Path) -> Path:
    named: Weights = {}
    for name, value in unscaled(weights).items():
        layer, _, tensor = name.removeprefix("unet.").rpartition(".lora_")
        key = f"diffusion_model.{unet_name(layer)}"
        named[f"{key}.lora_{'down' if tensor.startswith('A') else 'up'}.weight"] = value
        named[f"{key}.alpha"] = torch.tensor(ALPHA)
    return saved(named, folder / LORA_FILE)


def write_peft(weights: Weights, folder: Path) -> Path:
    named = {f"base_model.model.{n.removeprefix('unet.')}": v for n, v in unscaled(weights).items()}
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["to_q"]}
    (folder / PEFT_CONFIG).write_text(json.dumps(config))
    return saved(named, folder / PEFT_FILE)


def old_names(weights: Weights) -> Weights:
    named = {}
    for name, value in weights.items():
        layer, _, tensor = name.rpartition(".lora_")
        block, _, projection = layer.removesuffix(".0").rpartition(".")
        way = "down" if tensor.startswith("A") else "up"
        named[f"{block}.processor.{projection}_lora.{way}.weight"] = value
    return named


def write_old_diffusers(weights: Weights, folder: Path) -> Path:
    return saved(old_names(weights), folder / LORA_FILE)


def write_attention_processors(weights: Weights, folder: Path) -> Path:
    named = {n.removeprefix("unet."): v for n, v in old_names(weights).items()}
    return saved(named, folder / LORA_FILE)


def write_metadata(weights: Weights, folder: Path) -> Path:
    """Write as diffusers does today, with a scale in the header."""
    settings = {"unet.r": RANK, "unet.lora_alpha": 7.0, "unet.alpha_pattern": {"to_q": ALPHA}}
    settings["unet.alpha_pattern"] |= {"to_k": ALPHA, "to_v": ALPHA, "to_out.0": ALPHA}
    header = {"format": "pt", "lora_adapter_metadata": json.dumps(settings)}
    save_file(unscaled(weights), folder / LORA_FILE, header)
    return folder / LORA_FILE


def saved(weights: Weights, file: Path) -> Path:
    save_file({name: value.contiguous() for name, value in weights.items()}, file)
    return file


FORMS = {
    "kohya": write_kohya,
    "ComfyUI": write_comfyui,
    "PEFT": write_peft,
    "diffusers of old": write_old_diffusers,
    "attention processors": write_attention_processors,
    "scale in the header": write_metadata,
}


@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_predictions(
    write: Callable[[Weights, Path], Path],
    lora: tuple[Weights, torch.Tensor],
    fresh_backbone: FreshBackbone,
    tmp_path: Path,
) -> None:
    weights, expected = lora
    backbone = fresh_backbone("sd15")
    plain = predicted(backbone)
    load_adapter(backbone, write(weights, tmp_path))
    torch.testing.assert_close(predicted(backbone), expected)
    assert not torch.allclose(plain, expected)


def test_a_file_of_peft_is_found_in_the_folder_of_a_model(
    lora: tuple[Weights, torch.Tensor], backbone_copy: FolderOf
) -> None:
    folder = backbone_copy("sd15")
    (folder / "adapter").mkdir()
    file = write_peft(lora[0], folder / "adapter")
    assert locate_backbone(str(folder)).adapter == file
    file = file.rename(file.with_name("my lora.safetensors"))
    assert locate_backbone(str(folder)).adapter == file


@pytest.mark.parametrize(
    ("family", "names", "said"),
    [
        ("sd15", ["lora_unet_down_blocks_0.lokr_w1"], "is a LyCORIS LoKr, not a plain LoRA"),
        ("sd15", ["lora_unet_down_blocks_0.hada_w1_a"], "is a LyCORIS LoHa"),
        ("sd15", ["unet.down_blocks.0.to_q.lora_magnitude_vector"], "is a DoRA"),
        ("sd15", ["conv_in.weight"], "is not a LoRA of a unet"),
        ("sd15", ["unet.(a+)+$.lora_A.weight"], "cannot be the name of a layer"),
        ("sd15", ["lora_unet_down.lora_down.weight"], "in kohya form that cannot be converted"),
        ("sd15", ["text_encoder.a.lora_A.weight"], "holds no LoRA of a unet, in diffusers form"),
        ("sd3", ["lora_unet_joint_blocks_0.lora_down.weight"], "kohya form, which is read for U-"),
        ("sd3", ["diffusion_model.joint_blocks.0.lora_A.weight"], "ComfyUI form, which is read"),
    ],
)
def test_the_form_is_named_where_it_cannot_be_read(
    family: str, names: list[str], said: str, fresh_backbone: FreshBackbone, tmp_path: Path
) -> None:
    file = saved({name: torch.ones(2, 2) for name in names}, tmp_path / LORA_FILE)
    with pytest.raises(CheckpointError, match=LORA_FILE) as error:
        load_adapter(fresh_backbone(family), file)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"unet.lora_alpha": -1},
        {"unet.lora_alpha": "much"},
        {"unet.r": 2},
        {"unet.lora_alpha": 1, "unet.alpha_pattern": {"(a+)+$": 1}},
        {"unet.lora_alpha": 1, "unet.use_dora": True},
        [1],
        "{",
    ],
)
def test_hostile_settings_in_the_header_are_refused(
    settings: object,
    lora: tuple[Weights, torch.Tensor],
    fresh_backbone: FreshBackbone,
    tmp_path: Path,
) -> None:
    text = settings if isinstance(settings, str) else json.dumps(settings)
    save_file(lora[0], tmp_path / LORA_FILE, {"lora_adapter_metadata": text})
    with pytest.raises(CheckpointError, match=LORA_FILE):
        load_adapter(fresh_backbone("sd15"), tmp_path / LORA_FILE)
