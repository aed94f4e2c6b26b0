"""Pictures find their masks, and what is wrong with either is said before training."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.datatypes import InputError
from tests.training.diffdis.drawn_pairs import SIZE, draw_pairs
from training.data_problems import DataProblem, report_problems
from training.diffdis.pairs import (
    ImageMaskPair,
    check_pairs,
    find_pairs,
    problems_of,
    spread,
)


@pytest.mark.parametrize("names", [("im", "gt"), ("images", "masks"), ("im", "masks")])
def test_files_belong_together_by_stem(names: tuple[str, str], tmp_path: Path) -> None:
    found = find_pairs(draw_pairs(tmp_path, 3, names))
    assert [pair.image.name for pair in found.pairs] == ["00#a.jpg", "01#a.jpg", "02#a.jpg"]
    assert all(pair.mask.stem == pair.image.stem for pair in found.pairs)
    assert not found.problems


def test_a_data_sets_root_stands_for_its_training_part(tmp_path: Path) -> None:
    draw_pairs(tmp_path / "DIS-TR", 2)
    contours = tmp_path / "DIS-TR" / "contour"
    contours.mkdir()
    Image.new("L", SIZE, 255).save(contours / "00#a.png")
    first, second = find_pairs(tmp_path).pairs
    assert first.contour == contours / "00#a.png"
    assert second.contour is None


def test_missing_and_ambiguous_files_are_problems(tmp_path: Path) -> None:
    draw_pairs(tmp_path, 4)
    (tmp_path / "gt/00#a.png").unlink()
    (tmp_path / "im/01#a.jpg").unlink()
    Image.new("RGB", SIZE).save(tmp_path / "im/02#a.png")
    (tmp_path / "im/notes.txt").write_text("not a picture")
    found = find_pairs(tmp_path)
    assert [pair.image.name for pair in found.pairs] == ["02#a.jpg", "03#a.jpg"]
    texts = [str(problem) for problem in found.problems]
    assert len(texts) == 3
    for file, word in (("im/00#a.jpg", "no mask"), ("gt/01#a.png", "no image")):
        assert any(file in text and word in text for text in texts)
    assert any("im/02#a.png" in text and "02#a.jpg" in text for text in texts)


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_folder_of_another_form_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist|im or images"):
        find_pairs(tmp_path / name)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (np.zeros((60, 72)), "empty"),
        (np.full((60, 72), 255), "full"),
        (np.eye(60, 72), "up to 1 only"),
        (255 - np.eye(60, 72), "from 254 on"),
        (np.eye(59, 72) * 255, "72 x 59"),
    ],
)
def test_masks_that_teach_nothing(values: np.ndarray, word: str, tmp_path: Path) -> None:
    (pair,) = find_pairs(draw_pairs(tmp_path, 1)).pairs
    assert problems_of(pair) == []
    Image.fromarray(values.astype(np.uint8)).save(pair.mask)
    (problem,) = problems_of(pair)
    assert problem.file == pair.mask
    assert word in problem.sentence


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (pair,) = find_pairs(draw_pairs(tmp_path, 1)).pairs
    pair.image.write_bytes(pair.image.read_bytes()[:400])
    pair.mask.write_bytes(b"")
    problems = problems_of(pair)
    assert [problem.file for problem in problems] == [pair.image, pair.mask]
    assert "damaged" in problems[0].sentence
    assert "0 bytes" in problems[1].sentence


def test_what_was_checked_is_not_opened_again_until_it_changes(tmp_path: Path) -> None:
    pairs = find_pairs(draw_pairs(tmp_path, 2)).pairs
    report = tmp_path / "checked.json"
    assert check_pairs(pairs, report).pairs == pairs
    first = pairs[0].mask
    state = first.stat()
    first.write_bytes(bytes(state.st_size))
    os.utime(first, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert check_pairs(pairs, report).pairs == pairs, "same size and time: not opened"
    os.utime(first, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    again = check_pairs(pairs, report)
    assert again.pairs == pairs[1:]
    assert again.problems[0].file == first


def test_all_problems_are_listed_unless_they_are_allowed(tmp_path: Path) -> None:
    problems = [DataProblem(Path(f"{number}.png"), "is empty.") for number in range(30)]
    file = tmp_path / "problems.txt"
    with pytest.raises(InputError, match=r"30 problem\(s\)(.|\n)*and 10 more.*problems.txt"):
        report_problems(problems, False, file)
    assert len(report_problems(problems, True, file)) == 30
    assert len(file.read_text().splitlines()) == 30


def test_validation_pairs_are_spread_over_the_list() -> None:
    pairs = [ImageMaskPair(Path(f"{n}.jpg"), Path(f"{n}.png")) for n in range(40)]
    assert spread(pairs, 4) == [pairs[0], pairs[10], pairs[20], pairs[30]]
