"""Masks corrupted on purpose, edges from everywhere, and AP before and after RIP."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.data.corruption import corrupt, fragment, merge_touching, true_edges
from evaluation.rip.__main__ import main
from segdemo.annotations import write_masks
from segdemo.datatypes import InstanceMasks
from tests.segdemo.rip import scenes

SIDE = 128


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Three pictures of touching blobs in flat greys, with their label maps."""
    folder = tmp_path / "bench"
    for name in ("images", "instances"):
        (folder / name).mkdir(parents=True)
    for seed in range(3):
        labels = scenes.make_scene(seed, SIDE)
        Image.fromarray(labels.astype(np.uint16)).save(folder / "instances" / f"{seed}.png")
        grey = (labels * 36).astype(np.uint8)
        Image.fromarray(np.dstack([grey] * 3)).save(folder / "images" / f"{seed}.png")
    return folder


def run(bench: Path, out: Path, *more: str) -> int:
    return main(["--bench", str(bench), "--output-dir", str(out), *more])


def results(out: Path) -> dict:
    return json.loads((out / "results.json").read_text())


@pytest.mark.parametrize("damage", ["merge", "fragment", "both"])
def test_true_edges_repair_what_was_damaged(bench, tmp_path, damage):
    assert run(bench, tmp_path / "out", "--damage", damage, "--edges", "true") == 0
    figures = results(tmp_path / "out")["figures"]
    section = f"bench, {damage}/masks"
    before, after = figures[f"{section}, before/AP"], figures[f"{section}, after/AP"]
    assert after > before + 30
    assert figures[f"{section}, gain/AP"] == pytest.approx(after - before, abs=1e-5)


def test_points_repair_where_edges_say_nothing(bench, tmp_path, capsys):
    blank = tmp_path / "edges"
    blank.mkdir()
    points = {}
    for file in sorted((bench / "instances").iterdir()):
        labels = np.asarray(Image.open(file)).astype(int)
        Image.new("L", (SIDE, SIDE)).save(blank / f"{file.stem}_edge.png")
        boxes = [np.argwhere(labels == n).mean(0) for n in np.unique(labels)[1:]]
        points[file.stem] = [[column, row] for row, column in boxes]
    (tmp_path / "points.json").write_text(json.dumps(points))
    gains = {}
    for name, given in (("true", "true"), ("file", str(tmp_path / "points.json"))):
        options = ["--damage", "both", "--edges", str(blank), "--points", given]
        assert run(bench, tmp_path / name, *options) == 0
        gains[name] = results(tmp_path / name)["figures"]["bench, both/masks, gain/AP"]
    assert min(gains.values()) > 5, gains
    assert (
        main(
            [
                "--bench",
                str(bench),
                "--damage",
                "both",
                "--edges",
                "true",
                "--points",
                "true",
                "--preset",
                "careful",
                "--output-dir",
                str(tmp_path / "no"),
            ]
        )
        == 2
    )
    assert "preset careful has none" in capsys.readouterr().err


def test_figures_do_not_depend_on_workers_and_tell_what_rip_did(bench, tmp_path, capsys):
    options = ["--damage", "merge", "--edges", "gradient", "--preset", "paper"]
    for workers in ("1", "2"):
        out = tmp_path / workers
        assert run(bench, out, *options, "--rip", "steps=64", "grid=64", "--workers", workers) == 0
    first, second = results(tmp_path / "1"), results(tmp_path / "2")
    assert first["figures"] == second["figures"]
    assert first["counts"]["masks split"] > 0
    assert "grid=64" in " ".join(first["notes"])
    assert (tmp_path / "1" / "plots" / "ap_iou.png").exists()


def test_masks_of_a_method_and_a_folder_of_edges(bench, tmp_path, capsys):
    base, edges = {}, tmp_path / "edges"
    edges.mkdir()
    for file in sorted((bench / "instances").iterdir()):
        labels = np.asarray(Image.open(file)).astype(int)
        base[file.stem] = InstanceMasks.unscored(merge_touching(scenes.instances(labels)))
        lines = (255 * true_edges(labels)).astype(np.uint8)
        Image.fromarray(lines).save(edges / f"{file.stem}_edge.png")
    write_masks(base, tmp_path / "base", "npz")
    options = ["--predictions", str(tmp_path / "base"), "--edges", str(edges)]
    assert run(bench, tmp_path / "files", *options) == 0
    assert run(bench, tmp_path / "true", "--damage", "merge", "--edges", "true") == 0
    name = "masks, after/AP"
    files, true = (results(tmp_path / kind)["figures"] for kind in ("files", "true"))
    assert files[f"bench/{name}"] == pytest.approx(true[f"bench, merge/{name}"], abs=1e-6)
    (edges / "1_edge.png").unlink()
    assert run(bench, tmp_path / "lacking", *options) == 2
    assert "1     has no edge map" in capsys.readouterr().err


def test_a_backbone_draws_edges_once(bench, tmp_path, tiny_backbone_folder):
    options = ["--damage", "fragment", "--edges", str(tiny_backbone_folder)]
    assert run(bench, tmp_path / "out", *options) == 0
    drawn = tmp_path / "out" / "edges"
    assert sorted(file.name for file in drawn.iterdir()) == [f"{n}_edge.png" for n in range(3)]
    assert any("edge_kl" in note for note in results(tmp_path / "out")["notes"])
    before = (drawn / "1_edge.png").read_bytes()
    assert run(bench, tmp_path / "l2", *options, "--edge_metric", "l2") == 0
    assert (tmp_path / "l2" / "edges" / "1_edge.png").read_bytes() != before
    assert any(", compared by l2" in note for note in results(tmp_path / "l2")["notes"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--edges", "true", "--rip", "stps=3"], "stps is not a parameter of preset robust"),
        (["--edges", "true", "--rip", "steps=-3"], "steps -3 is outside"),
        (["--edges", "nowhere"], "nowhere"),
        (["--edges", "true", "--edge_metric", "l2"], "--edge_metric needs --edges of a backbone"),
    ],
)
def test_wrong_usage_is_named(bench, tmp_path, capsys, more, words):
    assert run(bench, tmp_path / "out", "--damage", "merge", *more) == 2
    assert words in capsys.readouterr().err


def test_merged_masks_share_corners_and_cover_the_same_pixels():
    labels = np.zeros((8, 8), int)
    labels[0:3, 0:3], labels[3:6, 3:6], labels[7, 0] = 1, 2, 3
    masks = merge_touching(scenes.instances(labels))
    assert len(masks) == 2
    np.testing.assert_array_equal(masks.any(0), labels > 0)


def test_pieces_lie_within_their_mask_apart_and_by_the_seed():
    mask = np.zeros((1, 60, 60), bool)
    mask[0, 5:50, 10:50] = True
    pieces = fragment(mask, np.random.default_rng(3))
    assert 2 <= len(pieces) <= 4
    assert not (pieces & ~mask).any()
    assert pieces.sum(0).max() == 1
    again = corrupt(mask, "fragment", np.random.default_rng(3))
    np.testing.assert_array_equal(again, pieces)


def test_nothing_and_tiny_masks_survive_damage():
    assert corrupt(np.zeros((0, 9, 9), bool), "both", np.random.default_rng(0)).shape == (0, 9, 9)
    tiny = np.zeros((1, 9, 9), bool)
    tiny[0, 4, 4] = True
    np.testing.assert_array_equal(fragment(tiny, np.random.default_rng(0)), tiny)


def test_class_maps_become_instances_along_true_edges(bench, tmp_path, capsys):
    root = tmp_path / "VOC"
    names = ("SegmentationObject", "SegmentationClass", "ImageSets/Segmentation")
    objects, classes, lists = (root / name for name in names)
    for folder in (objects, classes, lists):
        folder.mkdir(parents=True)
    for file in (bench / "instances").iterdir():
        labels = np.asarray(Image.open(file)).astype(np.uint8)
        Image.fromarray(labels).save(objects / file.name)
        Image.fromarray(np.where(labels > 0, 12, 0).astype(np.uint8)).save(classes / file.name)
    (lists / "val.txt").write_text("0\n1\n2\n")
    for semantic in ("truth", str(classes)):
        out = tmp_path / Path(semantic).name
        options = ["--annotations", str(root), "--semantic", semantic, "--edges", "true"]
        assert main([*options, "--dataset", "voc2012", "--output_dir", str(out)]) == 0
        figures = results(out)["figures"]
        assert figures["VOC2012/after/PQth"] > figures["VOC2012/before/PQth"] + 30
        assert figures["VOC2012/after/PQst"] > 95
    assert results(tmp_path / "truth")["figures"] == figures
