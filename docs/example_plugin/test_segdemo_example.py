"""What a plugin's own tests may look like: each kind is tried through segdemo's public functions.

Run it after `pip install -e .` in this folder.
"""

from pathlib import Path

import numpy as np
import torch

from evaluation.data.layouts import find_truth
from segdemo.annotations import mask_formats, read_masks, write_masks
from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InstanceMasks
from segdemo.diffegg.settings import TraceSettings
from segdemo.plugins import plugins
from segdemo.prompting.loading import load_prompter
from segdemo.prompting.prompts import Prompt
from segdemo.uis.methods import find_objects

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def test_the_backbone_is_traced() -> None:
    assistant = AnnotationAssistant(device="cpu", backbone="random-vit")
    *_, trace = assistant.trace(IMAGE, TraceSettings(timesteps=(999, 99), size=64))
    assert trace.chosen.edge_score.min() >= 0 and trace.chosen.edge_score.shape == (8, 8)


def test_the_base_method_finds_bright_patches() -> None:
    features = np.zeros((6, 8, 3), np.float32)
    features[2:4, 3:6] = 1
    found = find_objects("bright", features, IMAGE)
    assert found.masks[0][20, 30] and not found.masks[0][2, 2]


def test_the_prompter_fills_a_box() -> None:
    prompter = load_prompter("filled-box", torch.device("cpu"))
    prompter.set_image(IMAGE)
    answer = prompter.predict(Prompt(box=np.array([10, 5, 20, 15], np.float32)))
    assert answer.mask.sum() == 100


def test_the_format_reads_what_it_writes(tmp_path: Path) -> None:
    mask = np.zeros((1, 48, 64), bool)
    mask[0, 5:15, 10:20] = True
    assert "boxes" in mask_formats()
    told = write_masks({"a.jpg": InstanceMasks.unscored(mask)}, tmp_path / "a.boxes", "boxes")
    assert told == ["Masks became their boxes."]
    for path in (tmp_path / "a.boxes", tmp_path):  # a file, and a folder of such files
        (found,) = read_masks(path, {"a.jpg": (48, 64)}).values()
        assert np.array_equal(found.masks, mask)


def test_the_metric_is_a_mean() -> None:
    edges = np.full((4, 4), 0.5, np.float32)
    assert plugins().edge_metrics["mean-on-boundaries"](edges, np.ones((2, 4, 4), bool)) == 0.5


def test_the_data_set_is_found(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "farm.json").write_text("{}")
    assert find_truth(tmp_path, "farm", None).section == "Farm"
