"""A trained prompter becomes what is shipped: half precision, with a card, and it loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segdemo.checkpoints.card import read_card
from segdemo.checkpoints.files import CheckpointError
from segdemo.photo_features import PhotoFeatures
from segdemo.prompting.loading import load_prompter
from segdemo.prompting.network import PromptedU2Net
from segdemo.prompting.prompts import Prompt
from training.small.compact import export_prompting


def test_a_run_is_exported_with_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out, results = (tmp_path / name for name in ("run", "out", "results"))
    widths = tuple(PhotoFeatures().widths)
    network = PromptedU2Net(
        channels=8, inner_channels=4, photo_widths=widths, attention_levels=(2,)
    )
    network.save_pretrained(run / "network")
    (run / "settings.yaml").write_text("seed: 3\ndata_dir: /somewhere\n")
    (run / "validation.csv").write_text("step,iou,loss\n10,0.5,2\n20,0.6,1.5\n30,0.55,1\n")
    options = ["--run", str(run), "--output_dir", str(out), "--side", "64"]
    assert export_prompting.main([*options, "--results", str(results)]) == 2
    assert "holds no results" in capsys.readouterr().err
    results.mkdir()
    measured = {"figures": {"bench/prompter/box": 0.7}, "command": "python -m evaluation.prompting"}
    (results / "results.json").write_text(json.dumps(measured))
    assert export_prompting.main([*options, "--results", str(results)]) == 0

    card = read_card(out, "out")
    assert card.quality == measured
    assert card.training["validation"] == "step 20, iou 0.6, loss 1.5"
    assert card.training["settings"] == {"seed": 3}
    assert str(tmp_path) not in (out / "config.json").read_text()
    prompter = load_prompter(str(out), torch.device("cpu"))
    prompter.set_image(np.zeros((40, 60, 3), np.uint8))
    assert prompter.predict(Prompt(np.array([5, 5, 30, 30]))).mask.shape == (40, 60)

    PromptedU2Net(channels=8, inner_channels=4, photo_widths=(1, 2, 3, 4)).save_pretrained(out)
    with pytest.raises(CheckpointError, match=r"config\.json asks for photo features of \[1, 2, 3"):
        load_prompter(str(out), torch.device("cpu"))
