"""SAM, SAM 2 and EdgeTAM: tiny networks of the real classes, opened and asked like the embedded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    Sam2Config,
    Sam2Model,
    SamConfig,
    SamModel,
)

from segdemo.checkpoints.files import CheckpointError
from segdemo.datatypes import InputError
from segdemo.prompting.loading import load_prompter
from segdemo.prompting.predictor import EmbeddedPrompter
from segdemo.prompting.prompts import Prompt
from segdemo.prompting.segment_anything import SegmentAnythingPrompter
from tests.segdemo.uis.vits import write_vit

CPU = torch.device("cpu")
BOX = np.array([10.0, 5, 40, 30])
CLICK = {"points": np.array([[20.0, 15.0]]), "labels": np.array([True])}
DECODER = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 4, "iou_head_hidden_dim": 16}


def sam() -> Any:
    vision = {
        "hidden_size": 16,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
    }
    prompt = {
        "hidden_size": 32,
        "image_size": 64,
        "patch_size": 8,
        "image_embedding_size": 8,
        "mask_input_channels": 4,
    }
    return SamModel(
        SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=DECODER)
    )


def sam2() -> Any:
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [64, 64],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "blocks_per_stage": [1, 1, 2, 1],
        "window_size_per_stage": [4, 4, 4, 4],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [2, 2],
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    }
    prompt = {"hidden_size": 32, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
    return Sam2Model(
        Sam2Config(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=DECODER)
    )


@pytest.mark.parametrize("build", [sam, sam2])
def test_boxes_clicks_and_a_mask_so_far_are_answered_at_the_images_size(
    build: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = build()
    for parameter in network.parameters():  # as initialised, a prompt changes next to nothing
        torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(tmp_path)
    prompter = load_prompter(str(tmp_path), CPU)
    assert isinstance(prompter, SegmentAnythingPrompter)
    with pytest.raises(InputError, match="set_image"):
        prompter.predict(Prompt(BOX))
    encoded: list[int] = []
    prompter.network.vision_encoder.register_forward_hook(lambda *_: encoded.append(1))
    prompter.set_image(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
    first = prompter.predict(Prompt(BOX))
    assert first.mask.shape == (40, 60)
    assert first.mask.dtype == np.float32
    assert 0 <= first.mask.min() <= first.mask.max() <= 1
    assert 0 <= first.score <= 1
    answers = [
        prompter.predict(prompt).mask
        for prompt in (Prompt(**CLICK), Prompt(BOX, **CLICK), Prompt(**CLICK, mask=first.mask))
    ]
    for one, other in zip(answers, [first.mask, *answers], strict=False):
        assert not np.allclose(one, other)
    np.testing.assert_array_equal(prompter.predict(Prompt(BOX)).mask, first.mask)
    assert len(encoded) == 1


def test_sam_is_given_places_in_its_own_pixels(tmp_path: Path) -> None:
    prompter = SegmentAnythingPrompter(sam(), (0.5,) * 3, (0.5,) * 3)
    prompter.set_image(np.zeros((20, 40, 3), np.uint8))  # 64 pixels see 40: a factor of 1.6
    inputs = prompter._inputs(Prompt(np.array([0.0, 0, 40, 20]), mask=np.ones((20, 40))))
    np.testing.assert_allclose(inputs["input_boxes"], [[[-0.5, -0.5, 63.5, 31.5]]])
    (mask,) = inputs["input_masks"][0]
    assert mask.shape == (32, 32)
    assert (mask[:15] > 0).all()
    assert (mask[17:] < 0).all()  # the margin below


def test_the_shipped_prompter_is_the_default_and_others_are_named() -> None:
    prompter = load_prompter("prompted-u2netp", CPU)
    assert isinstance(prompter, EmbeddedPrompter)
    assert sum(p.numel() for p in prompter.network.parameters()) < 1.2e6
    with pytest.raises(CheckpointError, match="No prompter 'nothing': give one of prompted-u2net"):
        load_prompter("nothing", CPU)


def test_what_is_no_prompter_is_said(tmp_path: Path) -> None:
    write_vit(tmp_path)
    with pytest.raises(CheckpointError, match=r"is a vit: only sam, sam2.*sam2.1-hiera-tiny"):
        load_prompter(str(tmp_path), CPU)
