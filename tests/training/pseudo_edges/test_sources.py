"""Pictures are found, named and read from folders, lists and archives."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.datatypes import InputError
from training.pseudo_edges.sources import SourceImage, TarImages, open_images


def _photo(grey: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((3, 4, 3), grey, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def _archive(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def _greys(pictures: object) -> dict[str, int]:
    assert hasattr(pictures, "__iter__")
    return {picture.stem: int(picture.read()[0, 0, 0]) for picture in pictures}


def _stems(*given: object, **options: object) -> list[str]:
    return [picture.stem for picture in open_images([str(g) for g in given], **options)]


def _reason(picture: SourceImage) -> str:
    with pytest.raises(InputError) as caught:
        picture.read()
    return str(caught.value)


def test_a_folder_is_searched_with_all_below_it_but_for_the_results(tmp_path: Path) -> None:
    for name in ("b.png", "a/x.PNG", "a/x.jpg", "results/old.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(_photo(1))

    assert _stems(tmp_path, output_dir=tmp_path / "results") == ["b", "a/x", "a/x-2"]


def test_a_list_keeps_paths_below_its_folder_and_whole_paths_elsewhere(tmp_path: Path) -> None:
    below, other = tmp_path / "lists", tmp_path / "other"
    for folder in (below, other):
        folder.mkdir()
        (folder / "p.png").write_bytes(_photo(7))
    listed = below / "list.txt"
    listed.write_text(f"# photos\np.png\n\n../other/p.png\n{below}/./p.png\n")

    pictures = open_images([str(listed)])
    outside = (other / "p").as_posix().lstrip("/")
    assert _greys(pictures) == {"p": 7, outside: 7}
    assert _stems(below / "list.txt", root=str(tmp_path / "lists")) == ["p", outside]

    listed.write_text("other/p.png\nlists/p.png\n")
    assert _stems(listed, root=str(tmp_path)) == ["other/p", "lists/p"]


def test_two_of_a_list_must_not_get_one_name(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("p.png\nP.jpg\n")
    with pytest.raises(InputError, match=r"p\.png and P\.jpg"):
        open_images([str(listed)])


def test_a_drawn_order_is_a_permutation_that_the_seed_sets(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{number}.png\n" for number in range(30)))
    straight = _stems(listed)

    drawn = _stems(listed, shuffle_seed=1)

    assert drawn != straight
    assert sorted(drawn) == sorted(straight)
    assert drawn == _stems(listed, shuffle_seed=1) != _stems(listed, shuffle_seed=2)


@pytest.mark.parametrize(("ending", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz")])
def test_an_archive_gives_a_picture_a_sample(tmp_path: Path, ending: str, mode: str) -> None:
    files = {"0001.json": b"{}", "0001.jpg": _photo(1), "0001.png": _photo(9)}
    files |= {"a/0001.png": _photo(2), "0002.seg.png": _photo(9), "0002.webp": _photo(3)}
    files |= {".hidden.png": _photo(9), "._0003.png": _photo(9)}
    pictures = open_images([str(_archive(tmp_path / f"data{ending}", files, mode))])

    assert isinstance(pictures, TarImages)
    assert _greys(pictures) == {"0001": 1, "a/0001": 2, "0002": 3}
    assert pictures.left_out == 2
    assert _greys(pictures) == {"0001": 1, "a/0001": 2, "0002": 3}  # a second time as well


def test_archives_are_named_by_patterns_and_keep_apart(tmp_path: Path) -> None:
    for number in (8, 9, 10):
        _archive(tmp_path / f"s{number:02}.tar", {"p.png": _photo(number)})
    every = {"s08/p": 8, "s09/p": 9, "s10/p": 10}

    assert _greys(open_images([f"{tmp_path}/s{{08..10}}.tar"])) == every
    assert _greys(open_images([f"{tmp_path}/s*.tar"])) == every
    assert _greys(open_images([f"{tmp_path}/s{{08,10}}.tar"])) == {"s08/p": 8, "s10/p": 10}
    deeper = tmp_path / "deeper"
    deeper.mkdir()
    _archive(deeper / "s08.tar", {"p.png": _photo(1)})
    both = [f"{tmp_path}/s08.tar", f"{deeper}/s08.tar"]
    assert _greys(open_images(both)) == {"s08/p": 8, "deeper/s08/p": 1}


def test_damage_in_an_archive_is_told_and_the_next_one_follows(tmp_path: Path) -> None:
    broken = _archive(tmp_path / "a.tar", {"p.png": _photo(1), "q.png": _photo(2)})
    content = bytearray(broken.read_bytes())
    content[1024:1536] = b"?" * 512  # the second header; tarfile itself takes that for the end
    broken.write_bytes(content)
    (tmp_path / "b.tar").write_bytes(b"no archive")
    _archive(tmp_path / "c.tar", {"p.png": _photo(3), "../q.png": _photo(4)})

    first, second, third, fourth, fifth = open_images([f"{tmp_path}/{{a,b,c}}.tar"])

    assert first.stem == "a/p"
    assert "a.tar is not a tar archive, or damaged" in _reason(second)
    assert "b.tar is not a tar archive" in _reason(third)
    assert fourth.stem == "c/p"
    assert "leads out of the archive" in _reason(fifth)


def test_what_is_nothing_to_work_on_is_said(tmp_path: Path) -> None:
    photo = tmp_path / "p.png"
    photo.write_bytes(_photo(1))
    archive = _archive(tmp_path / "a.tar", {"p.png": _photo(1)})
    (tmp_path / "empty").mkdir()
    for given, words in (
        ([tmp_path / "no"], "does not exist"),
        ([photo], "is a single image"),
        ([tmp_path / "empty"], "no images in"),
        ([tmp_path, archive], "Give one folder"),
        ([tmp_path / "*.zip"], "matches no file"),
    ):
        with pytest.raises(InputError, match=words):
            open_images([str(name) for name in given])
    with pytest.raises(InputError, match="leave out --shuffle"):
        open_images([str(archive)], shuffle_seed=0)
    binary = tmp_path / "list.txt"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text list"):
        open_images([str(binary)])
