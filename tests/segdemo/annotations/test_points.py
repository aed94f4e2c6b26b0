"""Point annotations from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segdemo.annotations.points import read_points
from segdemo.datatypes import InputError


def test_points_are_matched_to_images_by_name(tmp_path: Path) -> None:
    content = {"a.jpg": [[1, 2.5], [3, 4]], "2007_000032": [{"cls": 1, "x": 7, "y": 8}], "c": []}
    file = tmp_path / "points.json"
    file.write_text(json.dumps(content))
    found = read_points(file, ["a.png", "2007_000032.jpg"])
    assert {name: points.tolist() for name, points in found.items()} == {
        "a.png": [[1, 2.5], [3, 4]],
        "2007_000032.jpg": [[7, 8]],
    }
    assert read_points(file)["c"].shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "points.json is damaged or not JSON"),
        ("[[1, 2]]", "holds no points: write"),
        ('{"a": [[1, "2"]]}', "a has a point that is not"),
        ('{"a": [[1, 2, 3]]}', "a has a point that is not"),
        ('{"a": {"x": 1}}', "a has a point that is not"),
        ('{"a": [[1, NaN]]}', "a has a point that is not"),
        ('{"a": [[1, 2]], "a.jpg": [[1, 2]]}', "has points of a.png twice"),
    ],
)
def test_other_files_are_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "points.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_points(tmp_path / "points.json", ["a.png"])
