"""Bulk work on a Ray cluster of two workers on this machine."""

from __future__ import annotations

import os
import signal
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.commands.ray_cluster import RayCluster
from segdemo.commands.shard_run import run_on_shards
from segdemo.commands.workers import Processes
from segdemo.datatypes import InputError
from segdemo.files import find_images

ray = pytest.importorskip("ray", reason="Ray is an optional package: pip install 'segdemo[ray]'")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    # workers find what the tests import
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@dataclass(frozen=True)
class Inverting:
    """Writes negatives; one image kills its process the first time, another is refused."""

    folder: Path
    deadly: str = ""

    def __call__(self):
        def handle(image_file, image):
            mark = self.folder / "killed"
            if image_file.name == self.deadly and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if image.max() == 0:
                raise InputError("it is black.")
            target = self.folder / f"{image_file.stem}.png"
            Image.fromarray(255 - image).save(target)
            return (target,), f"by {os.getpid()}"

        return handle


@dataclass(frozen=True)
class Failing:
    """Cannot load."""

    def __call__(self):
        raise InputError("No model 'nothing': give one.")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        value = 0 if number == 6 else 10 * number + 5
        Image.fromarray(np.full((8, 9, 3), value, np.uint8)).save(folder / f"{number}.png")
    return find_images([folder])


def outcomes(engine, photos, folder, deadly=""):
    folder.mkdir()
    statuses = list(engine.map_images(photos, Inverting(folder, deadly)))
    said = [(one.name, one.succeeded, "" if one.succeeded else one.message) for one in statuses]
    return said, {p.name: p.read_bytes() for p in folder.glob("*.png")}


def test_two_actors_do_what_one_process_does_also_where_one_is_killed(photos, tmp_path):
    here = outcomes(Processes(1), photos, tmp_path / "here")
    there = outcomes(RayCluster(actors=2, batch_size=2), photos, tmp_path / "ray", "3.png")
    assert (tmp_path / "ray" / "killed").exists()
    assert there == here
    assert [one[0] for one in here[0] if not one[1]] == ["6.png"]


def test_what_cannot_be_loaded_ends_the_run_with_its_sentence(photos):
    with pytest.raises(InputError, match="No model 'nothing'"):
        list(RayCluster(actors=1, batch_size=4).map_images(photos, Failing()))


@dataclass(frozen=True)
class InvertingInto:
    """From the folder of results to what writes negatives there."""

    def __call__(self, folder):
        return Into(folder)


@dataclass(frozen=True)
class Into:
    """Writes negatives below a folder, as the verbs name them."""

    folder: Path

    def __call__(self):
        def handle(image_file, image):
            if image.max() == 0:
                raise InputError("it is black.")
            target = self.folder / f"{image_file.stem}_mask.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(255 - image).save(target)
            return (target,), "done"

        return handle


def test_shards_go_to_shards_with_an_index_and_what_is_finished_is_left_out(
    photos, tmp_path, capsys
):
    shard = tmp_path / "first.tar"
    with tarfile.open(shard, "w") as archive:
        for one in photos:
            archive.add(one.path, f"{one.path.stem}.png")
    out, cluster = tmp_path / "out", RayCluster(actors=2, batch_size=3)

    def run(settings):
        return run_on_shards("test", settings, [str(shard)], str(out), InvertingInto(), cluster)

    assert run({"model": "a"}) == 1  # one is black
    assert "7 of 8 done" in capsys.readouterr().out
    rows = pq.read_table(out / "index").to_pylist()
    named = {row["name"]: row for row in rows}
    assert set(named) == {f"first/{number}" for number in range(8)}
    assert not named["first/6"]["succeeded"] and "black" in named["first/6"]["message"]
    with tarfile.open(out / named["first/3"]["shard"]) as archive:
        found = Image.open(archive.extractfile("first/3.mask.png"))
        np.testing.assert_array_equal(np.asarray(found), 255 - 35)
    assert run({"model": "a"}) == 1  # the black one is tried again, the others are not
    assert "7 photos are finished" in (said := capsys.readouterr().out) and "0 of 1 done" in said
    with pytest.raises(InputError, match="other settings"):
        run({"model": "b"})
