"""An image is generated as diffusers would, and its attention traced on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from PIL import Image

from segdemo.__main__ import main
from segdemo.checkpoints.backbone import locate_backbone
from segdemo.datatypes import InputError
from segdemo.diffegg.backbones.base import Denoiser
from segdemo.diffegg.generation import generate
from segdemo.diffegg.loading import encode_prompt, load_backbone
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.diffegg.settings import TraceSettings
from tests.segdemo.uis.vits import write_vit

CPU = torch.device("cpu")
SETTINGS = TraceSettings(timesteps=(300, 200, 100), size=64, seed=3)
Folders = Callable[[str], Path]


@pytest.mark.parametrize("family", ["sd15", "sd21", "sd3", "pixart", "flux"])
def test_the_image_is_that_of_the_schedulers_own_loop(
    family: str, backbone_folder: Folders
) -> None:
    folder = backbone_folder(family)
    files = locate_backbone(str(folder))
    backbone = load_backbone(files, CPU)
    assert isinstance(backbone, Denoiser)
    prompt = encode_prompt(files, backbone, "a b")
    assert prompt is not None
    trace, image = generate(DiffEGGPipeline(backbone), SETTINGS, prompt)

    channels, side = backbone.autoencoder.config.latent_channels, 64 // backbone.pixels_per_latent
    latents = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode(), backbone.prompted(prompt):
        if family in ("sd3", "flux"):
            flow = FlowMatchEulerDiscreteScheduler()
            flow.set_timesteps(sigmas=[0.3, 0.2, 0.1])  # the last step goes to 0
            for timestep in flow.timesteps:
                prediction = backbone.predict(latents, round(float(timestep)))
                latents = flow.step(prediction, timestep, latents).prev_sample
        else:
            ddim = DDIMScheduler.from_pretrained(folder / "scheduler", clip_sample=False)
            ddim.set_timesteps(10)  # by hundreds
            for timestep in SETTINGS.timesteps:
                step = ddim.step(backbone.predict(latents, timestep), timestep, latents)
                latents, clean = step.prev_sample, step.pred_original_sample
            latents = clean
        expected = ((backbone.decode(latents)[0].clamp(-1, 1) + 1) * 127.5).round()
    assert abs(image.astype(int) - expected.permute(1, 2, 0).numpy()).max() <= 1
    assert trace.curve.timesteps == (300, 200, 100) and len(trace.curve.gaps) == 2


def test_a_generated_trace_on_the_command_line(
    backbone_folder: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def traced(family: str, prompt: str, out: str) -> Path:
        grid = ["--timesteps", "500", "100", "--size", "64"]
        given = ["--backbone", str(backbone_folder(family)), "--output_dir", str(tmp_path / out)]
        assert main(["trace", "--generate", prompt, *given, *grid]) == 0
        return tmp_path / out

    one = traced("sd15", "A b!", "sd15") / "a-b"
    other = traced("sd15", "", "sd15") / "no-prompt"
    assert "no text encoder" not in capsys.readouterr().out
    names = ["edge_score.png", "generated.png", "kl_curve.csv", "kl_curve.png", "pca_100.png"]
    names += ["pca_500.png", "pseudo_edge.png", "trace.npz"]
    assert sorted(path.name for path in one.iterdir()) == names
    assert Image.open(one / "generated.png").size == (64, 64)
    gaps = [np.load(folder / "trace.npz")["gaps"] for folder in (one, other)]
    assert not np.array_equal(*gaps)  # the prompt reaches the network

    assert (traced("own", "a b", "own") / "a-b" / "generated.png").exists()
    assert "has no text encoder: its prompt is constant" in capsys.readouterr().out


def test_what_cannot_be_generated_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_vit(tmp_path, "vit")
    pipeline = DiffEGGPipeline(load_backbone(locate_backbone(str(tmp_path)), CPU))
    with pytest.raises(InputError, match="generates no images"):
        generate(pipeline, SETTINGS)
    for given in ([], ["photo.jpg", "--generate", "a"]):
        with pytest.raises(SystemExit):
            main(["trace", *given, "--output_dir", str(tmp_path)])
        assert "one of both" in capsys.readouterr().err
