"""The program: layouts, problems, reports, a killed run, no torch."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation import dis
from evaluation.core.runner import PARTIAL
from segdemo.compact_autoencoder import CompactAutoencoder

ROOT = Path(__file__).parents[2]
FIGURE_FILES = {"results.json", "results.md", "results.csv", "per_image.csv"}


def picture(size: tuple[int, int] = (40, 60), shift: int = 0) -> np.ndarray:
    values = np.zeros(size, np.uint8)
    values[8 + shift : 30 + shift, 10:50] = 255
    return values


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def dis5k(tmp_path: Path) -> tuple[Path, Path]:
    """Five splits of two pictures, and predictions a little off."""
    truth, predictions = tmp_path / "DIS5K", tmp_path / "predictions"
    for number, split in enumerate(("VD", "TE1", "TE2", "TE3", "TE4")):
        for stem in ("1#a#b", "2#a#b"):
            save(truth / f"DIS-{split}" / "gt" / f"{stem}.png", picture())
            save(predictions / f"DIS-{split}" / "mask" / f"{stem}.png", picture(shift=number + 1))
    save(truth / "DIS-TR" / "gt" / "3.png", picture())
    return truth, predictions


def run(truth: Path, predictions: Path, out: Path, *more: str) -> int:
    folders = ["--ground_truth", str(truth), "--predictions", str(predictions)]
    return dis.main([*folders, "--output-dir", str(out), *more])


def test_dis5k_gets_every_split_and_the_mean_of_the_tests_as_overall(dis5k, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(*dis5k, out) == 0
    results = json.loads((out / "results.json").read_text())
    figures = results["figures"]
    tests = [figures[f"DIS-TE{n}/sod/IoU"] for n in range(1, 5)]
    assert figures["Overall/sod/IoU"] == pytest.approx(sum(tests) / 4, abs=1e-6)
    assert "DIS-TR/sod/IoU" not in figures
    assert {path.name for path in out.iterdir()} == FIGURE_FILES | {"plots", "worst"}
    assert results["inputs"]["files"] == 20
    printed = capsys.readouterr().out
    paper = printed.index("DiffDIS (DiffDIS, Table 2; binarised maps)")
    assert paper < printed.index("**diffdis**") < printed.index("**sod**")


def test_one_row_a_picture_with_six_digits(dis5k, tmp_path):
    run(*dis5k, tmp_path / "out")
    with (tmp_path / "out" / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows][:2] == ["DIS-TE1/1#a#b", "DIS-TE1/2#a#b"]
    assert rows[0]["diffdis/IoU"] == f"{20 * 40 / (24 * 40):.6f}"  # shifted by two rows
    assert "curves" not in rows[0]


def test_short_names_choose_splits(dis5k, tmp_path):
    assert run(*dis5k, tmp_path / "out", "--splits", "VD", "DIS-TE2") == 0
    figures = json.loads((tmp_path / "out" / "results.json").read_text())["figures"]
    assert {name.split("/")[0] for name in figures} == {"DIS-VD", "DIS-TE2"}


def test_any_number_of_workers_writes_the_same_figures(dis5k, tmp_path):
    for workers in ("1", "2"):
        assert run(*dis5k, tmp_path / workers, "--workers", workers) == 0
    for name in ("results.md", "results.csv", "per_image.csv"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_all_problems_come_in_one_table_before_anything_is_measured(dis5k, tmp_path, capsys):
    truth, predictions = dis5k
    folder = predictions / "DIS-VD" / "mask"
    (folder / "1#a#b.png").rename(folder / "9.png")
    save(predictions / "DIS-TE1" / "mask" / "1#a#b.png", picture((41, 60)))
    Image.fromarray(picture().astype(np.uint16)).save(predictions / "DIS-TE2/mask/1#a#b.png")
    palette = Image.fromarray(picture()).convert("P")
    palette.save(truth / "DIS-TE3/gt/1#a#b.png")
    (predictions / "DIS-TE4/mask/1#a#b.png").write_bytes(b"no picture")
    whole = (predictions / "DIS-TE4/mask/2#a#b.png").read_bytes()
    (predictions / "DIS-TE4/mask/2#a#b.png").write_bytes(whole[:60])
    save(truth / "DIS-VD/gt/2#a#b.png", picture() // 255)
    assert run(truth, predictions, tmp_path / "out") == 2
    said = capsys.readouterr().err
    for sentence in (
        "1#a#b.png  has no prediction",
        "9.png      has no ground truth",
        "60 x 41 pixels",
        "16-bit image with values up to 255",
        "palette image",
        "not an image that can be read",
        "corrupt or incomplete",
        "holds 0 and 1",
        "8 problems (2 missing or extra, 6 broken)",
    ):
        assert " ".join(sentence.split()) in " ".join(said.split())
    assert not (tmp_path / "out" / "results.json").exists()
    assert run(truth, predictions, tmp_path / "out", "--allow_missing") == 2


def test_missing_predictions_are_left_out_only_on_request_and_named(dis5k, tmp_path):
    truth, predictions = dis5k
    (predictions / "DIS-VD/mask/1#a#b.png").unlink()
    assert run(truth, predictions, tmp_path / "out") == 2
    assert run(truth, predictions, tmp_path / "out", "--allow-missing") == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["counts"]["images"] == 9
    assert any("left out" in note and "1#a#b.png" in note for note in results["notes"])


def test_another_size_is_resized_only_by_a_named_filter(tmp_path, capsys):
    save(tmp_path / "gt/a.png", picture())
    save(tmp_path / "small/a.png", picture()[::2, ::2])
    assert run(tmp_path / "gt", tmp_path / "small", tmp_path / "out") == 2
    assert "--resize bicubic" in capsys.readouterr().err
    assert run(tmp_path / "gt", tmp_path / "small", tmp_path / "out", "--resize", "bicubic") == 0


def test_flat_folders_arrays_and_our_own_names_are_taken(tmp_path):
    save(tmp_path / "truth/a.png", picture())
    folder = tmp_path / "found"
    for name in ("a_mask", "a_edge", "a_cutout"):
        save(folder / f"{name}.png", picture(shift=1))
    assert run(tmp_path / "truth", folder, tmp_path / "out") == 0
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays/a.npy", (picture(shift=1) / 255).astype(np.float32))
    assert run(tmp_path / "truth", tmp_path / "arrays", tmp_path / "other") == 0
    figures = [json.loads((tmp_path / n / "results.json").read_text()) for n in ("out", "other")]
    assert figures[0]["figures"] == figures[1]["figures"]


def test_nothing_is_written_beside_the_data(dis5k, tmp_path):
    truth, predictions = dis5k
    before = sorted(truth.rglob("*")) + sorted(predictions.rglob("*"))
    run(truth, predictions, tmp_path / "out")
    assert sorted(truth.rglob("*")) + sorted(predictions.rglob("*")) == before


def test_results_are_not_written_into_the_data(dis5k, capsys):
    truth, predictions = dis5k
    for folder in dis5k:
        assert run(truth, predictions, folder / "results") == 2
        assert "outside the data" in capsys.readouterr().err


def test_a_killed_run_ends_with_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        save(tmp_path / f"gt/{number:02d}.png", picture((400, 600)))
        noise = rng.integers(0, 256, (400, 600), np.uint8)
        save(tmp_path / f"found/{number:02d}.png", noise)
    folders = (tmp_path / "gt", tmp_path / "found")
    options = [f"--ground_truth={folders[0]}", f"--predictions={folders[1]}", "--panels=0"]
    command = [sys.executable, "-m", "evaluation.dis", *options, f"--output_dir={tmp_path / 'out'}"]
    killed = subprocess.Popen(command, cwd=ROOT)
    partial, deadline = tmp_path / "out" / PARTIAL, time.monotonic() + 240
    while not (partial.exists() and partial.read_bytes().count(b'"name"') >= 2):
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert 2 <= partial.read_bytes().count(b'"name"') < 12
    for out in ("out", "whole"):
        assert run(*folders, tmp_path / out, "--panels", "0") == 0
    for name in ("results.md", "per_image.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_torch_stays_out_unless_a_model_is_run():
    program = (
        "import sys, evaluation.dis, evaluation.compare, evaluation.metrics.dis\n"
        "print({'torch', 'diffusers', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_model_is_run_on_the_photographs_beside_the_truth(tiny_diffdis_folder, tmp_path):
    rng = np.random.default_rng(0)
    for stem in ("a", "b"):
        save(tmp_path / f"set/masks/{stem}.png", picture())
        save(tmp_path / f"set/images/{stem}.jpg", rng.integers(0, 256, (40, 60, 3), np.uint8))
    out = tmp_path / "out"
    options = ["--ground_truth", str(tmp_path / "set"), "--model", str(tiny_diffdis_folder)]
    assert dis.main([*options, "--device", "cpu", "--output_dir", str(out)]) == 0
    assert {path.name for path in (out / "predictions/set").iterdir()} == {"a.png", "b.png"}
    assert json.loads((out / "results.json").read_text())["counts"]["images"] == 2


def test_a_round_trip_measures_any_autoencoder_on_dis5ks_true_masks(
    tiny_diffdis_folder, tmp_path, capsys
):
    photo = np.zeros((40, 60, 3), np.uint8)
    for split in ("VD", "TE1"):
        save(tmp_path / f"DIS5K/DIS-{split}/gt/1#a#b.png", picture())
        save(tmp_path / f"DIS5K/DIS-{split}/im/1#a#b.jpg", photo)
    CompactAutoencoder(2, 4, (4, 4, 4)).save_pretrained(tmp_path / "compact")
    vae, size = str(tiny_diffdis_folder / "vae"), ["--size", "64"]
    figures = []
    for name, source in (
        ("model", ["--model", str(tiny_diffdis_folder), "--round_trip"]),
        ("vae", ["--autoencoder", vae, *size]),
        ("compact", ["--autoencoder", str(tmp_path / "compact"), *size]),
    ):
        options = ["--ground_truth", str(tmp_path / "DIS5K"), *source, "--device", "cpu"]
        assert dis.main([*options, "--output_dir", str(tmp_path / name)]) == 0
        results = json.loads((tmp_path / name / "results.json").read_text())
        figures.append(results["figures"])
        assert {f"DIS-VD/diffdis/{m}" for m in ("maxF", "wF", "adpE", "S", "MAE")} <= set(
            figures[-1]
        )
        assert any("autoencoder" in note for note in results["notes"])
        assert "DIS-TE1" in (printed := capsys.readouterr().out) and "Table 2" not in printed
    assert figures[0] == figures[1] != figures[2]
