"""Our code, given the official classes' inputs and weights, returns the official numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from segdemo.datatypes import FloatMap
from segdemo.diffdis.loading import OFFICIAL_CONFIG, load_unet
from segdemo.diffdis.pipeline import AUGMENTED, DiffDISPipeline, stretch
from segdemo.diffdis.unet import DiffDISUNet, class_labels
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

    torch.testing.assert_close(class_labels(2), io["class_labels"])
    torch.testing.assert_close(prediction, io["noise_pred"], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_parity_of_a_single_pass(
    pipeline: DiffDISPipeline, recorded: dict[str, torch.Tensor]
) -> None:
    latents = pipeline.encode(recorded["image"])
    pyramid = pipeline.condition_pyramid(recorded["image"])
    clean = pipeline.denoise(latents, pyramid, recorded["noise"].repeat(2, 1, 1, 1))
    maps = stretch(pipeline.decode(clean))

    torch.testing.assert_close(latents, recorded["rgb_latent"], atol=1e-4, rtol=0)
    for level, name in zip(pyramid, ("half", "quarter", "eighth"), strict=True):
        if f"rgb_latent_{name}" in recorded:
            torch.testing.assert_close(level, recorded[f"rgb_latent_{name}"], atol=1e-4, rtol=0)
    torch.testing.assert_close(clean, recorded["x0"], atol=1e-3, rtol=0)
    torch.testing.assert_close(maps[0], recorded["mask"], atol=1e-4, rtol=0)
    torch.testing.assert_close(maps[1], recorded["edge"], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_parity_of_the_maps_that_are_written(
    pipeline: DiffDISPipeline, recorded: dict[str, torch.Tensor]
) -> None:
    image = load_rgb(parity_folder() / "image.png")
    squashed = Image.fromarray(image).resize((256, 256), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(squashed) / 127.5 - 1 - _hwc(recorded["image"])).max() < 0.008

    maps = stretch(pipeline.predict(recorded["image"], recorded["noise"]))

    for values, name in zip(maps, ("mask", "edge"), strict=True):
        assert _worst_level(values.numpy(), image.shape[:2], recorded[f"{name}_uint8"]) <= 1


@torch.inference_mode()
def test_parity_of_test_time_augmentation(
    pipeline: DiffDISPipeline, recorded: dict[str, torch.Tensor]
) -> None:
    io = load_file(parity_folder() / "tta_io.safetensors")
    noises = [io[f"noise_{variant}"] for variant in range(6)]
    picture = recorded.get("image", io.get("image"))
    assert picture is not None

    maps, _ = pipeline.predict_averaged(picture, AUGMENTED, noises)

    torch.testing.assert_close(maps[0], io["mask"].squeeze(), atol=1e-4, rtol=0)
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
    import json

    from segdemo.checkpoints import official_name, our_name

    with torch.device("meta"):
        unet = DiffDISUNet.from_config(OFFICIAL_CONFIG)
    file = FIXTURES / "diffdis_fullsize" / "official_state_dict_shapes.json"
    shapes = json.loads(file.read_text())
    ours = {official_name(name): list(value.shape) for name, value in unet.state_dict().items()}
    assert ours == {name: list(shape) for name, shape in shapes.items()}
    weights = {our_name(name): recipe_tensor(name, tuple(shape)) for name, shape in shapes.items()}
    unet.load_state_dict(weights, assign=True)
    return unet.eval()


def _hwc(pictures: torch.Tensor) -> np.ndarray:
    return pictures[0].permute(1, 2, 0).numpy()


def _worst_level(values: FloatMap, size: tuple[int, int], official: torch.Tensor) -> int:
    """Compare with the official order of work: to 8 bits, then to the picture's size."""
    grey = Image.fromarray(to_grey(values)).resize(size[::-1], Image.Resampling.BILINEAR)
    ours = to_grey(resize_map(values, size)).astype(int)
    wanted = official.numpy().astype(int)
    assert np.abs(np.asarray(grey, int) - wanted).max() <= 1
    # resizing before the truncation moves a value by less than one level more
    return int(np.abs(ours - wanted).max()) - 1
