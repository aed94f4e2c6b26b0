"""Which number formats networks compute in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segdemo.assistant import AnnotationAssistant
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.datatypes import InputError
from segdemo.diffdis.loading import load_diffdis
from segdemo.precision import bulk_dtype, compile_network, exact_dtype, fastest_precision

CPU = torch.device("cpu")


def test_auto_is_bf16_only_where_the_processor_multiplies_it():
    with open("/proc/cpuinfo") as file:
        flags = file.read()
    expected = "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "fp32"
    assert fastest_precision(CPU) == expected
    assert fastest_precision(torch.device("mps")) == "fp32"
    assert exact_dtype("auto") == torch.float32
    with pytest.raises(InputError, match="auto, fp32, bf16, fp16"):
        bulk_dtype("int8", CPU)


def test_auto_rounds_the_autoencoder_and_not_a_small_network(caplog, recwarn):
    pipeline = load_diffdis(locate_diffdis("small-imagenet"), CPU, "auto")
    assert pipeline.autoencoder.dtype == bulk_dtype("auto", CPU)
    assert pipeline.unet.dtype == pipeline.photo_features.dtype == torch.float32
    assert not caplog.records and not recwarn.list


def test_the_predicted_noise_leaves_a_bf16_network_in_float32():
    pipeline = load_diffdis(locate_diffdis("small"), CPU, "bf16")
    latents = torch.zeros(1, 4, 8, 8)
    given = torch.cat([latents, latents], 1).repeat(2, 1, 1, 1).bfloat16()
    pyramid = tuple(torch.zeros(1, 4, side, side).bfloat16() for side in (4, 2, 1))
    with torch.inference_mode():
        made = pipeline.unet(
            given,
            torch.full((2,), 999),
            pipeline.null_text.bfloat16().expand(2, -1, -1),
            torch.zeros(2, 4).bfloat16(),
            pyramid,
        )
    assert made.dtype == torch.float32


def test_compiling_needs_a_compiler(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="needs a C\\+\\+ compiler"):
        compile_network(torch.nn.Linear(1, 1), CPU)


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_mask(tiny_diffdis_folder):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    masks = [
        AnnotationAssistant(str(tiny_diffdis_folder), "cpu", "fp32", compiled=on).segment(image)
        for on in (False, True)
    ]
    np.testing.assert_allclose(masks[1].mask, masks[0].mask, atol=1e-3)
