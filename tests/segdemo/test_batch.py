"""Many pictures in, three files each out; and unpacking archives of strangers."""

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

from segdemo import batch
from segdemo.batch import (
    PictureFile,
    SegmentationFiles,
    find_images,
    segment_files,
    unpack_zip,
    write_segmentation,
)
from segdemo.datatypes import InputError, RGBImage, SegmentationResult


class Stopped(Exception):
    """What a caller raises to end a batch."""


def save(path: Path, size: tuple[int, int] = (6, 4), colour: str = "red") -> Path:
    """Write a picture, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def png_bytes(size: tuple[int, int] = (6, 4)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, "PNG")
    return stream.getvalue()


def left_half(image: RGBImage) -> SegmentationResult:
    """Say that the left half is the subject, faintly so at the right."""
    mask = np.full(image.shape[:2], 0.25, np.float32)
    mask[:, : image.shape[1] // 2] = 1
    return SegmentationResult(mask, np.zeros_like(mask), (0.0, 1.0))


def stems(pictures: list[PictureFile]) -> list[str]:
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


class TestWriteSegmentation:
    def test_three_pictures_of_the_photos_size(self, tmp_path: Path):
        image = np.full((4, 6, 3), 200, np.uint8)
        files = write_segmentation(left_half(image), image, "sea/cat", tmp_path)
        assert files == SegmentationFiles(
            *(tmp_path / "sea" / f"cat_{kind}.png" for kind in ("mask", "edge", "cutout"))
        )
        opened = [Image.open(file) for file in files]
        assert [picture.mode for picture in opened] == ["L", "L", "RGBA"]
        assert {picture.size for picture in opened} == {(6, 4)}
        assert opened[0].getpixel((0, 0)) == 255 and opened[0].getpixel((5, 0)) == 63
        assert opened[2].getpixel((5, 0)) == (200, 200, 200, 63)

    def test_a_threshold_makes_mask_and_alpha_hard(self, tmp_path: Path):
        image = np.zeros((4, 6, 3), np.uint8)
        files = write_segmentation(left_half(image), image, "cat", tmp_path, threshold=0.5)
        assert Image.open(files.mask).getcolors() == [(12, 0), (12, 255)]
        assert sorted(Image.open(files.cutout).getchannel("A").getcolors()) == [(12, 0), (12, 255)]

    def test_one_pixel_is_enough(self, tmp_path: Path):
        image = np.zeros((1, 1, 3), np.uint8)
        files = write_segmentation(left_half(image), image, "dot", tmp_path)
        assert Image.open(files.cutout).size == (1, 1)

    def test_an_earlier_result_is_replaced_and_nothing_else_is_left(self, tmp_path: Path):
        image = np.zeros((4, 6, 3), np.uint8)
        for _ in range(2):
            write_segmentation(left_half(image), image, "cat", tmp_path)
        assert len(list(tmp_path.iterdir())) == 3

    def test_a_write_that_fails_leaves_the_old_file_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        image = np.zeros((4, 6, 3), np.uint8)
        files = write_segmentation(left_half(image), image, "cat", tmp_path)
        before = files.mask.read_bytes()

        def full_disk(self: Image.Image, stream: io.BufferedWriter, *_: object, **__: object):
            stream.write(b"half a pict")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Image.Image, "save", full_disk)
        with pytest.raises(OSError, match="No space"):
            write_segmentation(left_half(image), image, "cat", tmp_path)
        assert files.mask.read_bytes() == before
        assert len(list(tmp_path.iterdir())) == 3


class TestSegmentFiles:
    def test_one_bad_file_does_not_stop_the_rest(self, tmp_path: Path):
        good = [save(tmp_path / "in" / name) for name in ("a.png", "z.png")]
        bad = tmp_path / "in" / "m.png"
        bad.write_bytes(b"")
        pictures = find_images([good[0], bad, tmp_path / "gone.png", good[1]])
        statuses = list(segment_files(pictures, tmp_path / "out", left_half))
        assert [status.succeeded for status in statuses] == [True, False, False, True]
        assert [status.name for status in statuses] == ["a.png", "m.png", "gone.png", "z.png"]
        assert statuses[1].message.startswith("m.png is empty")
        assert statuses[2].message.startswith("gone.png does not exist")
        assert statuses[1].files is None
        assert statuses[3].files is not None and statuses[3].files.mask.exists()
        assert all(status.seconds >= 0 for status in statuses)

    def test_pictures_of_one_name_all_survive(self, tmp_path: Path):
        sizes = {"a/x.png": (3, 2), "b/x.png": (5, 2), "b/x.bmp": (7, 2)}
        paths = [save(tmp_path / name, size) for name, size in sizes.items()]
        list(segment_files(find_images(paths), tmp_path / "out", left_half))
        written = [Image.open(tmp_path / "out" / f"{x}_mask.png").size for x in ("x", "x-2", "x-3")]
        assert written == list(sizes.values())

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (InputError("Weights are damaged."), "a.png: Weights are damaged."),
            (MemoryError(), "a.png needs more memory than there is: reduce the picture or the"),
            (RuntimeError("CUDA out of memory. Tried to"), "a.png needs more memory"),
            (RuntimeError("shapes differ\nby far"), "a.png failed unexpectedly (RuntimeError: sh"),
        ],
    )
    def test_what_the_model_raises_is_said_of_the_file(
        self, tmp_path: Path, error: Exception, message: str
    ):
        def fail(_: RGBImage) -> SegmentationResult:
            raise error

        pictures = find_images([save(tmp_path / "a.png")])
        [status] = segment_files(pictures, tmp_path / "out", fail)
        assert not status.succeeded
        assert status.message.startswith(message) and "\n" not in status.message

    def test_results_that_cannot_be_written_are_reported(self, tmp_path: Path):
        blocked = tmp_path / "out"
        blocked.write_text("a file where the folder should be")
        [status] = segment_files(find_images([save(tmp_path / "a.png")]), blocked, left_half)
        assert not status.succeeded
        assert "results cannot be written" in status.message

    @pytest.mark.parametrize("stop", [KeyboardInterrupt, Stopped])
    def test_a_callers_own_stop_ends_the_walk(self, tmp_path: Path, stop: type[BaseException]):
        def segment(image: RGBImage) -> SegmentationResult:
            if image.shape[0] == 9:
                raise stop
            return left_half(image)

        paths = [save(tmp_path / "a.png"), save(tmp_path / "b.png", (9, 9))]
        walk = segment_files(find_images(paths), tmp_path / "out", segment)
        assert next(walk).succeeded
        with pytest.raises(stop):
            next(walk)

    def test_a_mask_without_contrast_is_called_a_guess(self, tmp_path: Path):
        def doubtful(image: RGBImage) -> SegmentationResult:
            certain = left_half(image)
            return SegmentationResult(certain.mask, certain.edge, (0.4, 0.5))

        pictures = find_images([save(tmp_path / "a.png")])
        [status] = segment_files(pictures, tmp_path / "out", doubtful)
        assert (
            status.succeeded and status.message == "6 x 4, nothing stands out: the mask is a guess"
        )


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
            ("notes.txt", "no picture"),
            ("inner.zip", "no picture"),
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
        monkeypatch.setattr(batch, "LARGEST_UNPACKED", 5_000_000)
        monkeypatch.setattr(batch, "CHUNK", 1_000_000)
        entries = {f"{number}.png": bytes(2_000_000) for number in range(3)}
        archive = make_zip(tmp_path / "bomb.zip", entries)
        assert archive.stat().st_size < 10_000
        with pytest.raises(InputError, match=r"^bomb.zip unpacks to more than 0.005 GB: split it"):
            unpack_zip(archive, inbox)
        assert files_below(inbox) == ["0.png", "1.png"]

    def test_a_header_that_lies_about_the_size_helps_no_bomb(
        self, tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(batch, "LARGEST_UNPACKED", 1_000_000)
        path = make_zip(tmp_path / "liar.zip", {"big.png": bytes(3_000_000)})
        honest = (3_000_000).to_bytes(4, "little")
        path.write_bytes(path.read_bytes().replace(honest, (10).to_bytes(4, "little")))
        told: list[str] = []
        assert unpack_zip(path, inbox, told.append) == []  # its checksum no longer fits
        assert files_below(inbox) == []

    def test_too_many_pictures_are_refused(
        self, tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
    ):
        names = [f"{number}.png" for number in range(batch.MOST_ZIPPED + 1)]
        archive = make_zip(tmp_path / "many.zip", dict.fromkeys(names, b""))
        with pytest.raises(InputError, match=r"^many.zip holds 201 pictures: split it, 200"):
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
        with pytest.raises(InputError, match=r"^all.zip is no zip archive that can be opened"):
            unpack_zip(path, inbox)

    def test_an_archive_without_pictures_says_so(self, tmp_path: Path, inbox: Path):
        archive = make_zip(tmp_path / "texts.zip", {"notes.txt": b"words"})
        with pytest.raises(InputError, match=r"^texts.zip holds no pictures"):
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
