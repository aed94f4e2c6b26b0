"""The program of boundaries: forms of truth, folders of edges, problems, a backbone's traces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import io

from evaluation import boundaries
from evaluation.data.boundary_annotations import instance_boundaries, read_boundaries

SIZE = (48, 64)


def line() -> np.ndarray:
    plane = np.zeros(SIZE, bool)
    plane[:, 30] = True
    return plane


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Two photos of a step in grey, with the step as boundary."""
    folder = tmp_path / "bench"
    for name in ("images", "boundaries"):
        (folder / name).mkdir(parents=True)
    grey = np.zeros((*SIZE, 3), np.uint8)
    grey[:, 30:] = 200
    for stem in ("1", "2"):
        Image.fromarray(grey).save(folder / "images" / f"{stem}.png")
        packed = np.packbits(np.stack([line(), line()]), axis=-1)
        np.savez(folder / "boundaries" / f"{stem}.npz", boundaries=packed, width=SIZE[1])
    return folder


def save_edges(folder: Path, stems: str) -> Path:
    folder.mkdir()
    for stem in stems:
        edges = Image.fromarray(np.where(line(), 255, 0).astype(np.uint8))
        edges.save(folder / f"{stem}_edge.png")
    return folder


def results(out: Path) -> dict:
    return json.loads((out / "results.json").read_text())


def test_a_folder_of_edges_is_measured_beside_gradients(bench, tmp_path, capsys):
    edges, out = save_edges(tmp_path / "edges", "12"), tmp_path / "out"
    options = ["--bench", str(bench), "--edges", str(edges), "--output-dir", str(out)]
    assert boundaries.main([*options, "--bins", "5", "--nms", "none"]) == 0
    figures = results(out)["figures"]
    assert figures["bench/edges/ODS"] == figures["bench/edges/OIS"] == 1
    assert "bench/gradient/ODS" in figures
    assert "| **edges** | 1.000 | 1.000 |" in capsys.readouterr().out
    assert (out / "plots" / "precision_recall.png").exists()


def test_figures_do_not_depend_on_workers(bench, tmp_path):
    edges = save_edges(tmp_path / "edges", "12")
    options = ["--bench", str(bench), "--edges", str(edges), "--bins", "3"]
    for workers in ("1", "2"):
        out = ["--output_dir", str(tmp_path / workers), "--workers", workers]
        assert boundaries.main([*options, *out]) == 0
    assert results(tmp_path / "1")["figures"] == results(tmp_path / "2")["figures"]


def test_a_missing_edge_map_is_named_and_may_be_allowed(bench, tmp_path, capsys):
    edges, out = save_edges(tmp_path / "edges", "1"), tmp_path / "out"
    options = ["--bench", str(bench), "--edges", str(edges), "--output_dir", str(out)]
    assert boundaries.main(options) == 2
    assert "2.png  has no edge map" in capsys.readouterr().err
    assert boundaries.main([*options, "--allow-missing", "--bins", "3"]) == 0
    assert results(out)["counts"] == {"images": 1}


def test_a_truth_of_another_size_is_named(bench, tmp_path, capsys):
    packed = np.packbits(np.zeros((1, 8, 8), bool), axis=-1)
    np.savez(bench / "boundaries" / "2.npz", boundaries=packed, width=8)
    edges = save_edges(tmp_path / "edges", "12")
    assert boundaries.main(["--bench", str(bench), "--edges", str(edges), "--bins", "3"]) == 2
    assert "2.npz and its photo differ in size" in capsys.readouterr().err


def test_a_backbone_is_traced_and_without_output_dir_nothing_stays(
    bench, tiny_backbone_folder, capsys
):
    before = sorted(bench.rglob("*"))
    options = ["--bench", str(bench), "--backbone", str(tiny_backbone_folder), "--count", "1"]
    assert boundaries.main([*options, "--bins", "3", "--timesteps", "699", "399"]) == 0
    table = capsys.readouterr().out
    assert all(f"| **{name}** |" in table for name in ("gradient", "PeakKL", "699", "399"))
    assert sorted(bench.rglob("*")) == before


def test_bsds_splits_are_folders(bench, tmp_path):
    for split, stem in (("train", "1"), ("test", "2")):
        for name, ending in (("images", "png"), ("boundaries", "npz")):
            (bench / name / split).mkdir()
            (bench / name / f"{stem}.{ending}").rename(bench / name / split / f"{stem}.{ending}")
    edges, out = save_edges(tmp_path / "edges", "2"), tmp_path / "out"
    options = ["--bench", str(bench), "--edges", str(edges), "--output_dir", str(out)]
    assert boundaries.main([*options, "--bins", "3", "--split", "test"]) == 0
    assert results(out)["counts"] == {"images": 1}
    assert [path.name for path in (out / "worst").iterdir()] == ["01_2.png"]


def test_bsds_own_files_are_read(tmp_path):
    cells = np.empty((1, 2), object)
    for place in range(2):
        cells[0, place] = {"Boundaries": line().astype(np.uint8), "Segmentation": line() + 1}
    io.savemat(tmp_path / "1.mat", {"groundTruth": cells})
    found = read_boundaries(tmp_path / "1.mat")
    np.testing.assert_array_equal(found, np.stack([line(), line()]))


def test_borders_of_instances_are_one_pixel_wide():
    labels = np.zeros(SIZE, int)
    labels[:, 30:] = 7
    np.testing.assert_array_equal(instance_boundaries(labels), line())


def test_edge_maps_are_measured_without_torch(bench, tmp_path):
    edges = save_edges(tmp_path / "edges", "12")
    code = (
        "import sys; from evaluation import boundaries; "
        f"status = boundaries.main(['--bench', {str(bench)!r}, '--edges', {str(edges)!r}, "
        "'--bins', '2']); assert status == 0; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
