"""Our code, given the official classes' inputs and weights, returns the official numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from segdemo.diffdis.augmentations import AUGMENTED
from segdemo.diffdis.loading import OFFICIAL_CONFIG
from segdemo.diffdis.maps import combine, stretch
from segdemo.diffdis.parameter_names import official_name, our_name
from segdemo.diffdis.pipeline import DiffDISPipeline, Passes
from segdemo.diffdis.unet import DiffDISUNet, task_labels
from segdemo.images import load_rgb, resize_map, to_grey
from tests.parity import FIXTURES, build_pipeline, build_unet, parity_folder, recipe_tensor


@pytest.fixture(scope="module")
def recorded() -> dict[str, torch.Tensor]:
    return load_file(parity_folder() / "pipeline_io.safetensors")


@pytest.fixture(scope="module")
def pipeline(recorded: dict[str, torch.Tensor]) -> DiffDISPipeline:
    return build_pipeline(parity_folder(), recorded["text_embed"])


@torch.inference_mode()
def test_parity_of_the_unet() -> None:
    io = load_file(parity_folder() / "unet_io.safetensors")
    pyramid = (io["rgb_token_1"], io["rgb_token_2"], io["rgb_token_3"])

    prediction = build_unet(parity_folder())(
        io["sample"], io["timestep"], io["encoder_hidden_states"], io["class_labels"], pyramid
    )

    pictures = len(io["sample"]) // 2  # each gives two streams, its mask's and its edge's
    torch.testing.assert_close(task_labels(pictures), io["class_labels"])
    torch.testing.assert_close(prediction, io["noise_pred"], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_parity_of_a_single_pass(
    pipeline: DiffDISPipeline, recorded: dict[str, torch.Tensor]
) -> None:
    picture = _picture(recorded)
    latents = pipeline.encode(picture)
    pyramid = pipeline.condition_pyramid(picture)
    clean = pipeline.denoise(latents, pyramid, recorded["noise"].repeat(2, 1, 1, 1))
    maps = stretch(pipeline.decode(clean))

    torch.testing.assert_close(clean, recorded["x0"], atol=1e-3, rtol=0)
    torch.testing.assert_close(maps[0], recorded["mask"], atol=1e-4, rtol=0)
    torch.testing.assert_close(maps[1], recorded["edge"], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_parity_of_the_maps_that_are_written(
    pipeline: DiffDISPipeline, recorded: dict[str, torch.Tensor]
) -> None:
    maps = stretch(pipeline.predict(_picture(recorded), recorded["noise"]))

    for values, name in zip(maps, ("mask", "edge"), strict=True):
        official = recorded[f"{name}_uint8"].numpy().astype(int)
        written = to_grey(resize_map(values.numpy(), official.shape)).astype(int)
        assert np.abs(written - official).max() <= 1


@torch.inference_mode()
def test_parity_of_test_time_augmentation(
    pipeline: DiffDISPipeline, recorded: dict[str, torch.Tensor]
) -> None:
    io = load_file(parity_folder() / "tta_io.safetensors")
    noises = [io[f"noise_{variant}"] for variant in range(6)]

    maps, _ = pipeline.predict_averaged(Passes(_picture(recorded), AUGMENTED, noises))

    torch.testing.assert_close(maps[0], io["mask"].squeeze(), atol=1e-4, rtol=0)
    if "edge" in io:  # the compact set records the mask only
        torch.testing.assert_close(maps[1], io["edge"].squeeze(), atol=1e-4, rtol=0)


@pytest.mark.slow  # 3.7 GB of weights, about a minute
@torch.inference_mode()
def test_parity_at_full_width() -> None:
    io = load_file(FIXTURES / "diffdis_fullsize" / "unet_io.safetensors")
    unet = _full_width_unet()

    prediction = unet(
        io["sample"],
        io["timestep"],
        io["encoder_hidden_states"],
        io["class_labels"],
        (io["rgb_token_1"], io["rgb_token_2"], io["rgb_token_3"]),
    )

    torch.testing.assert_close(prediction, io["noise_pred"], atol=1e-4, rtol=0)


def _full_width_unet() -> DiffDISUNet:
    with torch.device("meta"):
        unet = DiffDISUNet.from_config(OFFICIAL_CONFIG)
    file = FIXTURES / "diffdis_fullsize" / "official_state_dict_shapes.json"
    shapes = json.loads(file.read_text())
    ours = {official_name(name): list(value.shape) for name, value in unet.state_dict().items()}
    assert ours == {name: list(shape) for name, shape in shapes.items()}
    weights = {our_name(name): recipe_tensor(name, tuple(shape)) for name, shape in shapes.items()}
    unet.load_state_dict(weights, assign=True)
    return unet.eval()


def _picture(recorded: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the recorded input, or make it from the picture as the official script does."""
    if "image" in recorded:
        return recorded["image"]
    image = load_rgb(parity_folder() / "image.png")
    side = 8 * recorded["noise"].shape[-1]
    squashed = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    values = torch.from_numpy(np.asarray(squashed, np.float32) / 255 * 2 - 1)
    return values.permute(2, 0, 1)[None]


def test_parity_of_ensembling() -> None:
    io = load_file(FIXTURES / "ensemble_io.safetensors")

    median, uncertainty = combine(io["input"])

    # the official code searches scales and shifts numerically, and stops early
    torch.testing.assert_close(median, io["aligned"], atol=0.02, rtol=0)
    torch.testing.assert_close(uncertainty, io["uncertainty"], atol=0.02, rtol=0)
