"""DiffDIS whose step starts from another network's answer, in a compact autoencoder's latents."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.card import CARD, ModelCard, write_card
from segdemo.checkpoints.files import CheckpointError
from segdemo.compact_autoencoder import CompactAutoencoder
from segdemo.datatypes import RGBImage
from segdemo.diffdis.loading import save_unet
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.u2netp import U2NETP_WEIGHTS, U2NetP
from training.small.networks import build_null_text, build_prior, build_scheduler

PLAIN = DiffDISSettings(size=64)


def write_model(folder: Path) -> None:
    """Write an untrained model; its photo fusions let the features through."""
    torch.manual_seed(0)
    widths = U2NetP.from_pretrained(U2NETP_WEIGHTS).condition_widths
    unet = DiffDISUNet.from_stable_diffusion(build_prior()).with_latents(16, widths)
    for fusion in unet.photo_fusions:
        torch.nn.init.normal_(fusion.shift.weight, std=0.05)
    save_unet(unet, folder / "unet")
    autoencoder = CompactAutoencoder(4, 16, (8, 8), encoder_blocks=(1, 1), decoder_blocks=(1, 1))
    autoencoder.save_pretrained(folder / "vae")
    build_scheduler().save_pretrained(folder / "scheduler")
    save_file({"null_text": build_null_text()}, folder / "null_text.safetensors")
    card = ModelCard("tiny", "MIT", native_size=64, base=None, noise=0.0, first_answer="u2netp")
    write_card(card, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first_answer")
    write_model(folder)
    return folder


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> DiffDISPipeline:
    return AnnotationAssistant(str(folder), device="cpu")._loaded_diffdis()


@pytest.fixture(scope="module")
def image() -> RGBImage:
    return np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)


def test_the_step_starts_from_the_answer_and_sees_its_features(pipeline: DiffDISPipeline) -> None:
    torch.manual_seed(1)
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        maps, start = pipeline.look(images)
        assert pipeline.saliency is not None and start is not None
        output = pipeline.saliency(images)
        expected = pipeline.encode((output.logits.sigmoid() * 2 - 1).repeat(1, 3, 1, 1))
        torch.testing.assert_close(start, expected)
        for found, wanted in zip(maps[3:], pipeline.saliency.conditions(output), strict=True):
            torch.testing.assert_close(found, wanted)
        quiet = torch.zeros(1, 16, 8, 8)
        other = pipeline.predict(images, quiet, answer=torch.zeros(1, 1, 64, 64))
        assert not torch.allclose(pipeline.predict(images, quiet), other)


def test_the_first_answer_has_its_share_in_the_mask(
    pipeline: DiffDISPipeline, image: RGBImage
) -> None:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    quiet = torch.zeros(1, 16, 8, 8)
    with torch.no_grad():
        own = pipeline.predict(images, quiet)
        start = pipeline.look(images)[1]
        assert start is not None
        try:
            pipeline.first_answer_share = 1.0
            mask, edge = pipeline.predict(images, quiet)
            given = pipeline.predict(images, quiet, answer=torch.zeros(1, 1, 64, 64))
        finally:
            pipeline.first_answer_share = 0.0
        torch.testing.assert_close(mask, pipeline.decode(start)[0])
        torch.testing.assert_close(edge, own[1])
        alone = pipeline.predict(images, quiet, answer=torch.zeros(1, 1, 64, 64))
        torch.testing.assert_close(given, alone)


def test_there_is_no_noise_but_in_an_ensemble(pipeline: DiffDISPipeline, image: RGBImage) -> None:
    first, second = (pipeline(image, DiffDISSettings(size=64, seed=seed)) for seed in (0, 1))
    np.testing.assert_array_equal(first.mask, second.mask)
    doubt = pipeline(image, DiffDISSettings(size=64, ensemble=3)).uncertainty
    assert doubt is not None and doubt.max() > 0


def test_a_mirrored_image_gets_the_mirrored_mask(
    pipeline: DiffDISPipeline, image: RGBImage
) -> None:
    both = DiffDISSettings(size=64, mirror=True)
    mask, mirrored = pipeline(image, both).mask, pipeline(image[:, ::-1].copy(), both).mask
    np.testing.assert_allclose(mask, mirrored[:, ::-1], atol=1e-4)
    assert not np.allclose(mask, pipeline(image, PLAIN).mask)


def test_a_window_is_looked_at_again_from_the_mask_so_far(
    pipeline: DiffDISPipeline, image: RGBImage
) -> None:
    mask = pipeline(image, PLAIN).mask
    box = np.array([20, 10, 60, 45])
    refined = pipeline.refine_window(image, mask, box, PLAIN)
    outside = np.ones(mask.shape, bool)
    outside[10:45, 20:60] = False
    np.testing.assert_array_equal(refined[outside], mask[outside])
    assert np.abs(refined - mask)[18:37, 30:50].max() > 0.05
    inverted = pipeline.refine_window(image, 1 - mask, box, PLAIN)
    assert not np.allclose(refined[20:35, 30:50], inverted[20:35, 30:50])


def test_features_that_do_not_fit_are_one_sentence(folder: Path, tiny_diffdis_folder: Path) -> None:
    card = tiny_diffdis_folder / CARD
    content = card.read_text()
    try:
        card.write_text(json.dumps(json.loads(content) | {"first_answer": "u2netp"}))
        with pytest.raises(CheckpointError, match=r"segdemo\.json gives \(192, 128, 64, 64\)"):
            AnnotationAssistant(str(tiny_diffdis_folder), device="cpu").load()
        card.write_text(json.dumps(json.loads(content) | {"first_answer": "mine"}))
        with pytest.raises(CheckpointError, match="'first_answer' is 'mine'"):
            AnnotationAssistant(str(tiny_diffdis_folder), device="cpu")
    finally:
        card.write_text(content)
