"""Stage 1 over folders, lists and archives: what it writes, resumes, shares out and refuses."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import tarfile
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import torch
from PIL import Image

from segdemo.checkpoints.backbone import locate_backbone
from segdemo.datatypes import InputError
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.loading import load_backbone
from segdemo.diffegg.pipeline import DiffEGGPipeline
from segdemo.diffegg.pseudo_edge import pseudo_edge
from segdemo.diffegg.settings import TraceSettings
from segdemo.images import load_rgb
from training.pseudo_edges.__main__ import main
from training.pseudo_edges.run import make_pseudo_edges
from training.pseudo_edges.settings import PseudoEdgeSettings
from training.run_lock import LOCK
from training.stored_edges import StoredEdge, read_edge

STEPS = [799, 499, 199]


@pytest.fixture(scope="module")
def backbone(tiny_backbone_folder: Path) -> Backbone:
    return load_backbone(locate_backbone(str(tiny_backbone_folder)), torch.device("cpu"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures, one of them in a sub-folder."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.d.png", "more/a.png"):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
        coarse.resize((50, 40), Image.Resampling.NEAREST).save(folder / name)
    return folder


@pytest.fixture
def arguments(tiny_backbone_folder: Path, photos: Path, tmp_path: Path) -> list[str]:
    """A command line over the four pictures."""
    words = ["--pictures", photos, "--output_dir", tmp_path / "out", "--device", "cpu"]
    words += ["--backbone", tiny_backbone_folder, "--timesteps", *STEPS]
    return [str(word) for word in words]


@pytest.fixture
def settings(tiny_backbone_folder: Path, tmp_path: Path) -> dict[str, object]:
    """The same as settings, but for the pictures."""
    names = {"output_dir": str(tmp_path / "out"), "backbone": str(tiny_backbone_folder)}
    return {**names, "timesteps": STEPS, "device": "cpu"}


def _results(folder: Path) -> dict[str, StoredEdge]:
    return {path.relative_to(folder).as_posix(): read_edge(path) for path in folder.rglob("*.npz")}


def _equal(first: StoredEdge, second: StoredEdge) -> bool:
    parts = zip(vars(first).values(), vars(second).values(), strict=True)
    return all(np.array_equal(a, b) for a, b in parts)


def _summary(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "summary.json").read_text()))


def test_a_folder_gives_a_file_a_picture_and_a_summary(
    arguments: list[str], backbone: Backbone, photos: Path, tmp_path: Path
) -> None:
    assert main(arguments) == 0

    folder = tmp_path / "out"
    results = _results(folder)
    assert sorted(results) == ["a.npz", "b.npz", "c.d.npz", "more/a.npz"]
    stored = results["more/a.npz"]
    *_, whole = DiffEGGPipeline(backbone).trace(
        load_rgb(photos / "more/a.png"), TraceSettings(timesteps=tuple(STEPS))
    )
    split = pseudo_edge(whole.chosen.edge_score)
    assert stored.score.dtype == np.float16
    np.testing.assert_allclose(stored.score, whole.chosen.edge_score, rtol=1e-3, atol=1e-7)
    assert (stored.timestep, stored.timesteps) == (whole.curve.peak_timestep, tuple(STEPS))
    np.testing.assert_allclose(stored.gaps, whole.curve.gaps)
    assert (stored.lower, stored.upper, stored.rule) == (split.lower, split.upper, split.rule)
    assert (stored.guarded, stored.size, stored.picture_size) == (
        split.used_fallback,
        128,
        (40, 50),
    )

    summary = _summary(folder)
    assert (summary["complete"], summary["pictures"], summary["made"]) == (True, 4, 4)
    assert summary["timesteps"] == summary["peaks"]
    assert sum(summary["timesteps"].values()) == 4  # type: ignore[attr-defined]
    assert summary["guarded"] == sum(result.guarded for result in results.values())
    assert not (folder / "problems.csv").exists()
    assert {file.name for file in folder.rglob(".*")} <= {LOCK}  # nothing unfinished


def test_a_stopped_run_goes_on_and_ends_as_a_straight_one(
    settings: dict[str, object], photos: Path, tmp_path: Path
) -> None:
    straight = make_pseudo_edges(
        PseudoEdgeSettings(
            pictures=[str(photos)], **settings | {"output_dir": str(tmp_path / "straight")}
        )
    )
    first = make_pseudo_edges(PseudoEdgeSettings(pictures=[str(photos)], **settings, count=2))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.npz")}
    (tmp_path / "out" / "a.npz").write_bytes(b"PK half a file")

    second = make_pseudo_edges(PseudoEdgeSettings(pictures=[str(photos)], **settings))

    assert (first["pictures"], second["pictures"]) == (2, 4)
    assert (second["passed_over"], second["made"]) == (1, 3)  # the damaged one was made anew
    kept = tmp_path / "out" / "b.npz"
    assert kept.stat().st_mtime_ns == made[kept]
    one, other = _results(tmp_path / "straight"), _results(tmp_path / "out")
    assert one.keys() == other.keys()
    assert all(_equal(one[name], other[name]) for name in one)
    fleeting = {"seconds", "pictures_per_second", "made", "passed_over"}
    assert {k: straight[k] for k in straight.keys() - fleeting} == {
        k: second[k] for k in second.keys() - fleeting
    }


def test_other_settings_are_refused_with_their_names(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--count", "1"]) == 0

    assert main([*arguments, "--rule", "log"]) == 2

    sentence = capsys.readouterr().err
    assert "--rule paper, now log" in sentence and "another --output_dir" in sentence


def test_an_archive_is_read_without_unpacking(
    settings: dict[str, object], photos: Path, tmp_path: Path
) -> None:
    shards = []
    for number, name in enumerate(("a.png", "b.png")):
        shards.append(tmp_path / f"part-{number}.tar")
        with tarfile.open(shards[-1], "w") as archive:
            archive.add(photos / name, "x/one.png")
            archive.add(photos / name, "x/one.seg.png")
            archive.add(photos / name, "x/notes.txt")
            archive.add(photos / name, "../out.png")
    with tarfile.open(shards[1]) as archive:
        first = archive.getmembers()[0].offset_data
    shards[1].write_bytes(shards[1].read_bytes()[: first + 30])

    summary = make_pseudo_edges(
        PseudoEdgeSettings(pictures=[str(tmp_path / "part-{0..1}.tar")], **settings)
    )

    assert summary["left_out"] == 1
    folder = tmp_path / "out"
    assert list(_results(folder)) == ["part-0/x/one.npz"]
    with (folder / "problems.csv").open() as stream:
        rows = {row["picture"]: row["problem"] for row in csv.DictReader(stream)}
    assert "leads out" in rows["part-0.tar/../out.png"]
    assert "damaged" in rows["part-1.tar"]
    assert "incomplete" in rows["part-1.tar/x/one.png"]
    assert summary["problems"] == 3


def test_a_broken_picture_is_a_line_and_the_rest_is_done(
    arguments: list[str], photos: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(photos, copy)
    (copy / "a.png").write_bytes(b"no picture")
    arguments[1] = str(copy)

    assert main(arguments) == 1
    assert main(arguments) == 1  # and it is tried again

    folder = tmp_path / "out"
    assert sorted(_results(folder)) == ["b.npz", "c.d.npz", "more/a.npz"]
    with (folder / "problems.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert row["picture"] == "a.png"
    assert "a.png is not an image" in row["problem"]
    assert _summary(folder)["problems"] == 1


def test_no_time_means_no_picture(settings: dict[str, object], photos: Path) -> None:
    summary = make_pseudo_edges(
        PseudoEdgeSettings(pictures=[str(photos)], **settings, minutes=1e-9)
    )

    assert (summary["complete"], summary["pictures"]) == (False, 0)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--layers", "nowhere"], "matches none"),
        (["--timesteps", "99", "999"], "must fall"),
        (["--fixed_timestep", "soon"], "timestep or peak"),
        (["--no_curve"], "--fixed_timestep"),
        (["--count", "-1"], "count -1: choose 0 or more"),
        (["--backbone", "nobody"], "nobody"),
        (["--pictures", "nowhere"], "nowhere does not exist"),
    ],
)
def test_wrong_usage_is_said_in_a_sentence(
    arguments: list[str], flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *flags]) == 2
    assert words in capsys.readouterr().err


def test_a_step_that_the_card_names_is_taken_unless_peak_is_asked_for(
    tiny_backbone_folder: Path, photos: Path
) -> None:
    files = locate_backbone(str(tiny_backbone_folder))
    files.trace["fixed_timestep"] = 99
    given = PseudoEdgeSettings(pictures=[str(photos)])

    assert given.trace_settings(files).fixed_timestep == 99
    asked = PseudoEdgeSettings(pictures=[str(photos)], fixed_timestep="peak")
    assert asked.trace_settings(files).fixed_timestep is None
    with pytest.raises(InputError, match="no_curve"):
        PseudoEdgeSettings(
            pictures=[str(photos)], fixed_timestep="peak", curve=False
        ).trace_settings(files)


def test_sigterm_ends_after_the_current_image(
    settings: dict[str, object], photos: Path, tmp_path: Path
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        (many / f"{number:04}.png").symlink_to(photos / "a.png")
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"many/{number:04}.png\n" for number in range(300)))
    folder, over = tmp_path / "out", Event()

    def stop() -> None:
        while not over.wait(0.02):
            if list(folder.rglob("*.npz")):
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = Thread(target=stop)
    thread.start()
    try:
        summary = make_pseudo_edges(PseudoEdgeSettings(pictures=[str(listed)], **settings))
    finally:
        over.set()
        thread.join()

    assert summary == _summary(folder)
    assert summary["complete"] is False
    assert summary["pictures"] == len(_results(folder)) < 300
    assert not list(folder.rglob(".*"))
