"""The edge generator and its adapter: made, saved, opened with one flag, used by the app."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.backbone import locate_backbone
from segdemo.checkpoints.card import ModelCard, write_card
from segdemo.checkpoints.files import LORA_FILE, CheckpointError
from segdemo.datatypes import EdgeSource, InputError
from segdemo.diffegg.adapters import adapter_parameters, add_adapter, save_adapter
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.edge_generator import EdgeGenerator, edge_probability
from segdemo.diffegg.features import feature_levels, finer_layers
from segdemo.diffegg.loading import load_diffegg
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.diffegg.settings import TraceSettings
from tests.segdemo.diffegg.backbones import latents_like

CPU = torch.device("cpu")
SIZE = 128
PHOTO = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
SQUARES = torch.zeros(2, 3, SIZE, SIZE)
FreshBackbone = Callable[[str], Backbone]
FolderOf = Callable[[str], Path]


def _generator(backbone: Backbone, timestep: int = 0) -> EdgeGenerator:
    torch.manual_seed(1)
    levels = [asdict(level) for level in feature_levels(backbone, finer_layers(backbone))]
    return EdgeGenerator(levels, channels=8, size=SIZE, timestep=timestep).eval()


def _trained(backbone: Backbone, folder: Path, base: str) -> EdgeGenerator:
    """Save an adapter that changes something, and a generator; returns the latter."""
    generator = _generator(backbone)
    add_adapter(backbone, list(backbone.attention_layers()), rank=2)
    for parameter in adapter_parameters(backbone).values():
        torch.nn.init.normal_(parameter, std=0.3)
    save_adapter(backbone, folder / "adapter")
    generator.save_pretrained(folder / "edge_generator")
    write_card(ModelCard("tiny", "MIT", base=base), folder)
    return generator


# The network --------------------------------------------------------------------------------------


def test_edges_have_a_quarter_of_the_pictures_side_whatever_the_family(backbone: Backbone) -> None:
    generator = _generator(backbone)
    with torch.no_grad():
        logits = generator(
            DiffEGGPipeline(backbone, generator).read(latents_like(backbone), SQUARES).maps
        )
    assert logits.shape == (2, 1, SIZE // 4, SIZE // 4)
    # untrained, it expects a tenth of all pixels to be edges
    assert 0.03 < float(edge_probability(logits, (SIZE, SIZE)).mean()) < 0.3


def test_it_survives_being_saved_whatever_the_order_of_its_levels(
    backbone_of: Callable[[str], Backbone], tmp_path: Path
) -> None:
    backbone = backbone_of("sd21")
    generator = _generator(backbone)
    generator.save_pretrained(tmp_path)
    again = EdgeGenerator.from_pretrained(tmp_path)
    assert again.levels == generator.levels == feature_levels(backbone)
    maps = DiffEGGPipeline(backbone, generator).read(latents_like(backbone), SQUARES).maps
    assert torch.equal(again(maps), generator(maps))


def test_above_timestep_0_every_picture_gets_the_same_noise(
    backbone_of: Callable[[str], Backbone],
) -> None:
    backbone = backbone_of("own")
    clean, noisy = (
        DiffEGGPipeline(backbone, _generator(backbone, t)).generate_edges(PHOTO).probability
        for t in (0, 300)
    )
    again = DiffEGGPipeline(backbone, _generator(backbone, 300)).generate_edges(PHOTO).probability
    assert np.array_equal(noisy, again)
    assert not np.allclose(noisy, clean)


# The adapter --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["own", "sd15", "sdxl", "sd3", "pixart", "flux"])
def test_adapter_and_generator_open_with_their_base_and_give_the_same_edges(
    family: str, fresh_backbone: FreshBackbone, backbone_folder: FolderOf, tmp_path: Path
) -> None:
    backbone = fresh_backbone(family)
    plain = DiffEGGPipeline(backbone, _generator(backbone)).generate_edges(PHOTO).probability
    generator = _trained(backbone, tmp_path, str(backbone_folder(family)))
    trained = DiffEGGPipeline(backbone, generator).generate_edges(PHOTO).probability
    files = locate_backbone(str(tmp_path))
    assert (files.name, files.base) == (str(tmp_path), str(backbone_folder(family)))

    edge = load_diffegg(files, CPU).edges(PHOTO, TraceSettings())
    assert edge.origin == "edge_generator"
    assert edge.probability.shape == PHOTO.shape[:2]
    np.testing.assert_allclose(edge.probability, trained, atol=1e-6)
    assert np.abs(trained - plain).max() > 1e-3


def test_attention_is_looked_into_without_the_adapter(
    fresh_backbone: FreshBackbone, backbone_folder: FolderOf, tmp_path: Path
) -> None:
    backbone, latents = fresh_backbone("own"), latents_like(fresh_backbone("own"))
    with torch.no_grad():
        before = backbone.predict(latents, 99)
        _trained(backbone, tmp_path, str(backbone_folder("own")))
        opened = load_diffegg(locate_backbone(str(tmp_path)), CPU).backbone
        assert torch.equal(opened.predict(latents, 99), before)
        with opened.adapted():
            assert not torch.allclose(opened.predict(latents, 99), before)
        assert torch.equal(opened.predict(latents, 99), before)


def test_diffusers_own_pipeline_loads_the_adapter(
    fresh_backbone: FreshBackbone, backbone_folder: FolderOf, tmp_path: Path
) -> None:
    backbone = fresh_backbone("sd15")
    _trained(backbone, tmp_path, "")
    pipeline = StableDiffusionPipeline.from_pretrained(
        backbone_folder("sd15"), safety_checker=None, feature_extractor=None, image_encoder=None
    )
    pipeline.load_lora_weights(tmp_path / "adapter")
    unet: UNet2DConditionModel = pipeline.unet
    latents, text = latents_like(backbone), torch.ones(2, 3, unet.config.cross_attention_dim)
    with torch.no_grad():
        expected = backbone.network(latents, 50, text).sample
        torch.testing.assert_close(unet(latents, 50, text).sample, expected)


# One flag opens it --------------------------------------------------------------------------------


def test_the_assistant_takes_edges_from_the_generator_and_traces_as_before(
    fresh_backbone: FreshBackbone, backbone_folder: FolderOf, tmp_path: Path
) -> None:
    base = str(backbone_folder("own"))
    settings = TraceSettings(timesteps=(500, 100))
    bare = AnnotationAssistant(device="cpu", backbone=base)
    assert bare.edges(PHOTO, settings).origin == "edge_kl"

    generator = _trained(fresh_backbone("own"), tmp_path, base)
    assistant = AnnotationAssistant(device="cpu", backbone=str(tmp_path))
    edge = assistant.edges(PHOTO, settings)
    assert edge.origin == "edge_generator"
    assert edge.probability.shape == PHOTO.shape[:2]
    assert bare.edge_source == EdgeSource("edge_kl", base, "MIT")
    assert assistant.edge_source == EdgeSource("edge_generator", str(tmp_path), "MIT")
    assert generator.config.size == SIZE
    *_, expected = bare.trace(PHOTO, settings)
    *_, trace = assistant.trace(PHOTO, settings)
    assert np.array_equal(trace.chosen.edge_score, expected.chosen.edge_score)


def test_both_may_lie_beside_the_model_itself(
    fresh_backbone: FreshBackbone, backbone_copy: FolderOf, tmp_path: Path
) -> None:
    trained, whole = tmp_path / "trained", backbone_copy("sd21")
    _trained(fresh_backbone("sd21"), trained, str(whole))
    for part in ("adapter", "edge_generator"):
        shutil.copytree(trained / part, whole / part)
    shutil.rmtree(trained / "adapter")
    files = locate_backbone(str(whole))
    assert files.adapter == whole / "adapter" / LORA_FILE
    assert locate_backbone(str(trained)).adapter is None  # its own parts only
    assert load_diffegg(files, CPU).backbone.has_adapter


def test_a_base_may_be_named_relative_to_the_folder_or_by_its_registered_name(
    fresh_backbone: FreshBackbone, backbone_copy: FolderOf, tmp_path: Path
) -> None:
    whole = backbone_copy("own")
    _trained(fresh_backbone("own"), tmp_path / "runs" / "export", f"../../{whole.name}")
    assert locate_backbone(str(tmp_path / "runs" / "export")).folder == whole
    write_card(ModelCard("tiny", "MIT", base="small"), tmp_path / "runs" / "export")
    assert locate_backbone(str(tmp_path / "runs" / "export")).base == "small"


def test_a_base_that_is_not_there_is_named(
    fresh_backbone: FreshBackbone, backbone_folder: FolderOf, tmp_path: Path
) -> None:
    _trained(fresh_backbone("own"), tmp_path, "models/gone/away")
    with pytest.raises(CheckpointError, match=r"segdemo\.json names 'models/gone/away'"):
        locate_backbone(str(tmp_path))
    (tmp_path / "segdemo.json").unlink()
    with pytest.raises(CheckpointError, match="names none as 'base'"):
        locate_backbone(str(tmp_path))


def test_an_adapter_of_another_model_or_damaged_is_refused(
    fresh_backbone: FreshBackbone, backbone_folder: FolderOf, tmp_path: Path
) -> None:
    file = tmp_path / "adapter" / LORA_FILE
    _trained(fresh_backbone("own"), tmp_path, str(backbone_folder("sd15")))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_diffegg(locate_backbone(str(tmp_path)), CPU)

    write_card(ModelCard("tiny", "MIT", base=str(backbone_folder("own"))), tmp_path)
    weights = load_file(file)
    name = next(iter(weights))
    save_file(weights | {name: weights[name] * float("nan")}, file)
    with pytest.raises(CheckpointError, match="NaN"):
        load_diffegg(locate_backbone(str(tmp_path)), CPU)
    file.write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="damaged"):
        load_diffegg(locate_backbone(str(tmp_path)), CPU)
    file.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        locate_backbone(str(tmp_path))


def test_a_generator_of_another_model_is_refused(
    fresh_backbone: FreshBackbone, backbone_folder: FolderOf, tmp_path: Path
) -> None:
    _trained(fresh_backbone("own"), tmp_path, str(backbone_folder("own")))
    config = tmp_path / "edge_generator" / "config.json"
    entries = json.loads(config.read_text())
    entries["levels"][0]["layers"][0] = "up_blocks.7.attn"
    config.write_text(json.dumps(entries))
    with pytest.raises(CheckpointError, match=r"needs layer up_blocks\.7\.attn"):
        load_diffegg(locate_backbone(str(tmp_path)), CPU)


def test_an_assistant_offers_the_embedded_generators_beside_its_backbone() -> None:
    assistant = AnnotationAssistant(device="cpu", backbone="small")
    assert list(assistant.other_edge_sources) == ["small-imagenet"]
    settings = TraceSettings(size=64)
    own = assistant.edges(PHOTO, settings).probability
    other = assistant.edges(PHOTO, settings, source="small-imagenet").probability
    alone = AnnotationAssistant(device="cpu", backbone="small-imagenet")
    np.testing.assert_array_equal(other, alone.edges(PHOTO, settings).probability)
    assert np.abs(own - other).max() > 0.05
    with pytest.raises(InputError, match="the other edge generators are small-imagenet"):
        assistant.edges(PHOTO, source="small")
