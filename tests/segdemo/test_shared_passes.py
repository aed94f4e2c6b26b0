"""What may be left out of the making of a mask: edges, repeated work, the own autoencoder."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image

from segdemo.__main__ import main
from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.files import CheckpointError
from segdemo.datatypes import InputError
from segdemo.diffdis.settings import DiffDISSettings

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture
def assistant(tiny_diffdis_folder):
    return AnnotationAssistant(str(tiny_diffdis_folder), "cpu", "fp32")


def test_a_mask_without_its_edge_is_the_same_mask(assistant):
    both = assistant.segment(PHOTO)
    alone = assistant.segment(PHOTO, edges=False)
    np.testing.assert_array_equal(alone.mask, both.mask)
    assert alone.edge is None and both.edge is not None
    with pytest.raises(InputError, match="without its edge"):
        _ = alone.known_edge


def test_one_pass_that_shares_is_the_plain_pass(assistant):
    plain = assistant.segment(PHOTO, DiffDISSettings())
    shared = assistant.segment(PHOTO, DiffDISSettings(share=True))
    np.testing.assert_allclose(shared.mask, plain.mask, atol=1e-6)
    np.testing.assert_allclose(shared.known_edge, plain.known_edge, atol=1e-6)


def test_shared_passes_encode_each_size_once_and_decode_once(assistant):
    assistant.load()
    autoencoder = assistant._loaded_diffdis().autoencoder
    counts = {"encoder": 0, "decoder": 0}
    hooks = [
        getattr(autoencoder, name).register_forward_hook(
            lambda *_, name=name: counts.__setitem__(name, counts[name] + 1)
        )
        for name in counts
    ]
    settings = DiffDISSettings(augment=True, size=192)  # and 128 and 256
    assistant.segment(PHOTO, settings)
    assert counts == {"encoder": 6 * 4, "decoder": 6 * 2}  # the image and its three reduced copies
    counts.update(encoder=0, decoder=0)
    found = assistant.segment(PHOTO, replace(settings, share=True))
    assert counts == {"encoder": 3 * 4, "decoder": 2}
    assert found.mask.min() == pytest.approx(0, abs=0.1)
    for hook in hooks:
        hook.remove()


def test_large_latents_are_decoded_in_tiles_and_small_ones_whole(assistant, monkeypatch):
    assistant.load()
    pipeline = assistant._loaded_diffdis()
    latents = torch.randn(1, 4, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = pipeline.decode(latents)
        monkeypatch.setattr("segdemo.diffdis.pipeline.LARGEST_WHOLE", 16)
        before = pipeline.autoencoder.tile_latent_min_size
        tiled = pipeline.decode(latents)
    assert tiled.shape == whole.shape and not torch.equal(tiled, whole)
    after = pipeline.autoencoder
    assert not after.use_tiling and after.tile_latent_min_size == before


def test_another_autoencoder_takes_the_place_of_the_models_own(tiny_diffdis_folder, tmp_path):
    torch.manual_seed(0)
    widths = dict.fromkeys(("encoder_block_out_channels", "decoder_block_out_channels"), (8,) * 4)
    blocks = dict.fromkeys(("num_encoder_blocks", "num_decoder_blocks"), (1,) * 4)
    AutoencoderTiny(**widths, **blocks).save_pretrained(tmp_path / "tiny")
    AutoencoderTiny(**widths, **blocks, latent_channels=16).save_pretrained(tmp_path / "wide")
    model = str(tiny_diffdis_folder)
    own = AnnotationAssistant(model, "cpu", "fp32").segment(PHOTO)
    tiny = AnnotationAssistant(model, "cpu", "fp32", autoencoder=str(tmp_path / "tiny"))
    assert not np.array_equal(tiny.segment(PHOTO).mask, own.mask)
    wide = AnnotationAssistant(model, "cpu", "fp32", autoencoder=str(tmp_path / "wide"))
    with pytest.raises(CheckpointError, match="16 channels, the model works on 4"):
        wide.load()
    nothing = AnnotationAssistant(model, "cpu", "fp32", autoencoder="nothing")
    with pytest.raises(CheckpointError, match="No autoencoder 'nothing': give a folder"):
        nothing.load()
    (tmp_path / "odd").mkdir()
    shutil.copy(tiny_diffdis_folder / "unet" / "config.json", tmp_path / "odd")
    odd = AnnotationAssistant(model, "cpu", "fp32", autoencoder=str(tmp_path / "odd"))
    with pytest.raises(CheckpointError, match="holds a"):
        odd.load()


def test_segment_without_edges_writes_none(tiny_diffdis_folder, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    out = tmp_path / "out"
    command = ["segment", str(tmp_path / "photo.png"), "--output_dir", str(out), "--no-edges"]
    assert main([*command, "--model", str(tiny_diffdis_folder), "--device", "cpu"]) == 0
    assert sorted(one.name for one in out.glob("*.png")) == ["photo_cutout.png", "photo_mask.png"]
