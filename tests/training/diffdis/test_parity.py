"""One training step gives the official losses, gradients and BatchNorm buffers."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from segdemo.diffdis.denoising import LAST_TIMESTEP
from segdemo.diffdis.parameter_names import our_name
from tests.parity import build_pipeline, parity_folder
from training.diffdis.cutmix import cutmix
from training.diffdis.latents import EncodedBatch, encode_planes
from training.diffdis.losses import diffdis_losses


def test_parity_of_a_training_step() -> None:
    io = load_file(parity_folder() / "train_io.safetensors")
    pipeline = build_pipeline(parity_folder(), io["text_embed"])
    pipeline.unet.train()

    mixed = {
        name: cutmix(io[name], io["boxes"]) if name in io else io[f"mixed_{name}"]
        for name in ("rgb", "mask", "edge")
    }
    with torch.no_grad():
        latents = encode_planes(pipeline, torch.cat(list(mixed.values()), 1))
    losses = diffdis_losses(pipeline, EncodedBatch(latents, io["noise"], (LAST_TIMESTEP,)))
    losses["loss"].backward()

    for ours, official in (("loss", "loss"), ("mask", "loss_mask"), ("edge", "loss_edge")):
        torch.testing.assert_close(losses[ours], io[official], rtol=1e-5, atol=0)
    parameters = dict(pipeline.unet.named_parameters())
    buffers = dict(pipeline.unet.named_buffers())
    compared = 0
    for name, wanted in io.items():
        kind, _, key = name.partition(".")
        if kind == "grad":
            error = (parameters[our_name(key)].grad - wanted).abs().max() / wanted.abs().max()
            assert error < 1e-3, key
            compared += 1
        elif kind == "buffer_after":
            torch.testing.assert_close(buffers[our_name(key)], wanted, atol=1e-6, rtol=1e-6)
            compared += 1
    assert compared >= 9
