"""Many images in, three files each out; one failure stops none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdemo.batch import SegmentationFiles, segment_files, write_segmentation
from segdemo.datatypes import InputError, RGBImage, SegmentationResult
from segdemo.files import find_images


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
            (MemoryError(), "a.png needs more memory than there is: reduce the image or the"),
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
