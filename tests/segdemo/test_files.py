"""Finding images in folders, and unpacking untrusted archives."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo import files
from segdemo.datatypes import InputError
from segdemo.files import ImageFile, find_images, unpack_zip


def save(path: Path, size: tuple[int, int] = (6, 4), colour: str = "red") -> Path:
    """Write a picture, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def png_bytes(size: tuple[int, int] = (6, 4)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, "PNG")
    return stream.getvalue()


def stems(pictures: list[ImageFile]) -> list[str]:
    return [picture.stem for picture in pictures]


class TestFindImages:
    def test_a_folder_is_searched_below_and_keeps_its_sub_folders(self, tmp_path: Path):
        for name in ("b.jpg", "a.PNG", "sea/c.webp", "sea/deep/d.tif"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        found = find_images([tmp_path])
        assert stems(found) == ["a", "b", "sea/c", "sea/deep/d"]
        assert [picture.name for picture in found][2:] == ["sea/c.webp", "sea/deep/d.tif"]

    def test_a_folder_gives_pictures_only(self, tmp_path: Path):
        for name in ("a.png", "notes.txt", ".hidden.png", "._a.png", ".cache/b.png", "c"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        assert stems(find_images([tmp_path])) == ["a"]

    def test_a_file_named_outright_is_always_listed(self, tmp_path: Path):
        found = find_images([tmp_path / "notes.txt", tmp_path / "missing.png"])
        assert [picture.name for picture in found] == ["notes.txt", "missing.png"]

    def test_the_same_file_is_listed_once(self, tmp_path: Path):
        path = save(tmp_path / "a.png")
        (tmp_path / "link.png").symlink_to(path)
        assert len(find_images([path, tmp_path, path, tmp_path / "." / "a.png"])) == 1

    def test_a_link_to_a_folder_is_not_followed(self, tmp_path: Path):
        save(tmp_path / "a.png")
        (tmp_path / "loop").symlink_to(tmp_path)
        assert stems(find_images([tmp_path])) == ["a"]

    def test_results_inside_the_folder_are_not_taken_for_photos(self, tmp_path: Path):
        save(tmp_path / "a.png")
        save(tmp_path / "out" / "a_mask.png")
        assert stems(find_images([tmp_path], tmp_path / "out")) == ["a"]
        assert len(find_images([tmp_path])) == 2

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["a/x.jpg", "b/x.jpg"], ["x", "x-2"]),
            (["x.jpg", "x.png", "x.webp"], ["x", "x-2", "x-3"]),
            (["x.jpg", "x.png", "x-2.jpg"], ["x", "x-3", "x-2"]),
            (["x-2.jpg", "x.jpg", "b/x-2.jpg", "b/x.jpg"], ["x-2", "x", "x-2-2", "x-3"]),
            (["x.jpg", "X.png"], ["x", "X-2"]),
            (["x.y.jpg", "x.jpg", ".jpg"], ["x.y", "x", ".jpg"]),
        ],
    )
    def test_equal_stems_are_numbered(self, tmp_path: Path, names: list[str], expected: list[str]):
        assert stems(find_images([tmp_path / name for name in names])) == expected

    def test_equal_stems_of_two_folders_are_numbered(self, tmp_path: Path):
        for name in ("a/sea/x.jpg", "b/sea/x.jpg"):
            save(tmp_path / name)
        assert stems(find_images([tmp_path / "a", tmp_path / "b"])) == ["sea/x", "sea/x-2"]


def make_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def files_below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


class TestUnpackZip:
    @pytest.fixture
    def inbox(self, tmp_path: Path) -> Path:
        folder = tmp_path / "deep" / "inbox"
        folder.mkdir(parents=True)
        return folder

    def test_sub_folders_are_kept(self, tmp_path: Path, inbox: Path):
        names = ["b.png", "a.png", "sea/a.png", "sea/deep/c.JPG"]
        archive = make_zip(tmp_path / "all.zip", dict.fromkeys(names, png_bytes()))
        unpacked = unpack_zip(archive, inbox)
        assert unpacked == [inbox / name for name in names]
        assert unpacked[2].read_bytes() == png_bytes()
        assert stems(find_images([inbox])) == ["a", "b", "sea/a", "sea/deep/c"]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("../evil.png", "leads out"),
            ("sea/../../evil.png", "leads out"),
            ("..\\evil.png", "leads out"),
            ("/tmp/evil.png", "leads out"),
            ("\\evil.png", "leads out"),
            ("C:\\evil.png", "leads out"),
            ("C:evil.png", "leads out"),
            ("notes.txt", "not an image"),
            ("inner.zip", "not an image"),
        ],
    )
    def test_unsafe_and_foreign_entries_are_left_out_and_told(
        self, tmp_path: Path, inbox: Path, name: str, reason: str
    ):
        archive = make_zip(tmp_path / "all.zip", {name: b"evil", "good.png": png_bytes()})
        told: list[str] = []
        assert unpack_zip(archive, inbox, told.append) == [inbox / "good.png"]
        assert files_below(tmp_path / "deep") == ["inbox/good.png"]
        [sentence] = told
        assert sentence.startswith(name) and reason in sentence

    def test_backslashes_part_folders(self, tmp_path: Path, inbox: Path):
        archive = make_zip(tmp_path / "all.zip", {"sea\\a.png": png_bytes()})
        assert unpack_zip(archive, inbox) == [inbox / "sea" / "a.png"]

    def test_a_link_is_left_out(self, tmp_path: Path, inbox: Path):
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        path = make_zip(tmp_path / "all.zip", {"good.png": png_bytes()})
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(link, "/etc/passwd")
        told: list[str] = []
        assert unpack_zip(path, inbox, told.append) == [inbox / "good.png"]
        assert told == ["link.png was left out: it is a link."]

    def test_hidden_entries_are_passed_over_in_silence(self, tmp_path: Path, inbox: Path):
        entries = ["__MACOSX/._a.png", "._a.png", ".trash/b.png", "a.png"]
        archive = make_zip(tmp_path / "all.zip", dict.fromkeys(entries, png_bytes()))
        told: list[str] = []
        assert unpack_zip(archive, inbox, told.append) == [inbox / "a.png"]
        assert told == []

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_of_two_entries_of_one_name_the_first_stays(self, tmp_path: Path, inbox: Path):
        path = make_zip(tmp_path / "all.zip", {"a.png": png_bytes()})
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("a.png", b"other")
        told: list[str] = []
        assert unpack_zip(path, inbox, told.append) == [inbox / "a.png"]
        assert (inbox / "a.png").read_bytes() == png_bytes()
        assert "twice" in told[0]

    def test_a_damaged_or_unstorable_entry_does_not_stop_the_rest(
        self, tmp_path: Path, inbox: Path
    ):
        long = "x" * 300 + ".png"
        noise = os.urandom(500)
        path = make_zip(tmp_path / "all.zip", {"bad.png": noise, long: b"", "good.png": b"fine"})
        data = path.read_bytes()
        path.write_bytes(data.replace(noise, noise[:-1] + bytes([noise[-1] ^ 1])))
        told: list[str] = []
        assert unpack_zip(path, inbox, told.append) == [inbox / "good.png"]
        assert [sentence.split(" was")[0] for sentence in told] == ["bad.png", long]
        assert files_below(inbox) == ["good.png"]

    def test_a_bomb_is_stopped_while_it_unpacks(
        self, tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 5_000_000)
        monkeypatch.setattr(files, "CHUNK", 1_000_000)
        entries = {f"{number}.png": bytes(2_000_000) for number in range(3)}
        archive = make_zip(tmp_path / "bomb.zip", entries)
        assert archive.stat().st_size < 10_000
        with pytest.raises(InputError, match=r"^bomb.zip unpacks to more than 0.005 GB: split it"):
            unpack_zip(archive, inbox)
        assert files_below(inbox) == ["0.png", "1.png"]

    def test_a_header_that_lies_about_the_size_helps_no_bomb(
        self, tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 1_000_000)
        path = make_zip(tmp_path / "liar.zip", {"big.png": bytes(3_000_000)})
        honest = (3_000_000).to_bytes(4, "little")
        path.write_bytes(path.read_bytes().replace(honest, (10).to_bytes(4, "little")))
        told: list[str] = []
        assert unpack_zip(path, inbox, told.append) == []  # its checksum no longer fits
        assert files_below(inbox) == []

    def test_too_many_pictures_are_refused(
        self, tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
    ):
        names = [f"{number}.png" for number in range(files.MAX_ZIP_IMAGES + 1)]
        archive = make_zip(tmp_path / "many.zip", dict.fromkeys(names, b""))
        with pytest.raises(InputError, match=r"^many.zip holds 201 images: split it, 200"):
            unpack_zip(archive, inbox)
        assert files_below(inbox) == []

    def test_a_locked_archive_is_named(self, tmp_path: Path, inbox: Path):
        path = make_zip(tmp_path / "locked.zip", {"a.png": png_bytes()})
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
        data[6] |= 1  # and in the entry's own header
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"^locked.zip is locked by a password: pack"):
            unpack_zip(path, inbox)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: b"",
            lambda data: b"no zip at all",
            lambda data: data[: len(data) // 2],
            lambda data: data.replace(b"PK\x01\x02", b"PK\x09\x09"),
        ],
        ids=["empty", "text", "half", "directory"],
    )
    def test_a_broken_archive_is_named(
        self, tmp_path: Path, inbox: Path, damage: Callable[[bytes], bytes]
    ):
        path = make_zip(tmp_path / "all.zip", {"a.png": png_bytes()})
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(InputError, match=r"^all.zip is not a zip archive that can be opened"):
            unpack_zip(path, inbox)

    def test_an_archive_without_pictures_says_so(self, tmp_path: Path, inbox: Path):
        archive = make_zip(tmp_path / "texts.zip", {"notes.txt": b"words"})
        with pytest.raises(InputError, match=r"^texts.zip holds no images"):
            unpack_zip(archive, inbox)

    def test_random_damage_never_raises_anything_else(self, tmp_path: Path):
        entries = {"a.png": png_bytes(), "sea/b.png": os.urandom(300), "c.txt": b"words" * 9}
        data = np.frombuffer(make_zip(tmp_path / "all.zip", entries).read_bytes(), np.uint8)
        rng = np.random.default_rng(0)
        for trial in range(200):
            broken = data.copy()
            broken[rng.integers(0, len(data), 3)] = rng.integers(0, 256, 3)
            path = tmp_path / f"{trial}.zip"
            path.write_bytes(broken.tobytes())
            inbox = tmp_path / "inboxes" / str(trial)
            inbox.mkdir(parents=True)
            try:
                unpacked = unpack_zip(path, inbox)
            except InputError:
                continue
            assert all(file.resolve().is_relative_to(inbox.resolve()) for file in unpacked)
