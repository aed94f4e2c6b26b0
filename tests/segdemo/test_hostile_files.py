"""Names that no terminal can show and files that never end stop nothing and hang nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from segdemo.annotations import read_masks
from segdemo.datatypes import InputError
from segdemo.images import load_rgb
from segdemo.regular_files import read_regular
from segdemo.terminal import printable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has neither FIFOs nor bytes")

ESCAPE = "\x1b]0;owned\x07"  # would rename the window of a terminal
NOT_UTF8 = os.fsdecode(b"\x8e\xfe^")
JAPANESE = "\u5199\u771f"


def test_names_are_escaped_and_words_of_any_script_are_not() -> None:
    assert printable(f"{NOT_UTF8}.jpg") == "\\x8e\\xfe^.jpg"
    assert printable(ESCAPE) == "\\x1b]0;owned\\x07"
    assert printable("a\nb\u202ecod\ud800") == "a\\x0ab\\u202ecod\\ud800"
    assert printable("caf\u00e9 \u5199\u771f \u0645\u200c\u0646\u00a0!") == (
        "caf\u00e9 \u5199\u771f \u0645\u200c\u0646\u00a0!"
    )
    assert str(InputError(f"{ESCAPE} is damaged.")) == "\\x1b]0;owned\\x07 is damaged."


def link_to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


NOT_REGULAR = {"fifo": os.mkfifo, "zero": link_to_zero, "loop": link_to_itself}


@pytest.mark.parametrize("make", NOT_REGULAR.values(), ids=NOT_REGULAR)
@pytest.mark.parametrize(
    ("suffix", "read"),
    [(".png", load_rgb), (".json", read_masks), (".txt", read_masks), (".npz", read_masks)],
)
def test_what_is_not_a_regular_file_is_refused(
    suffix: str, read: Callable[[Path], object], make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / f"odd{suffix}"
    make(path)
    with pytest.raises(InputError, match=r"odd\."):
        read(path)


def test_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    path.touch()
    os.truncate(path, 10**12)  # a sparse file, which takes no room
    with pytest.raises(InputError, match=r"huge\.json holds 1000000\.0 MB"):
        read_regular(path)
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(InputError, match=r"huge\.json holds"):
        read_regular(path, 4)


def test_a_folder_of_odd_entries_is_segmented_but_for_them(
    tiny_diffdis_folder: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    good = [f"{name}.jpg" for name in ("plain", JAPANESE, NOT_UTF8, f"x{ESCAPE}")]
    for name in good:
        Image.new("RGB", (20, 16), "green").save(photos / name)
    for name, make in NOT_REGULAR.items():
        make(photos / f"{name}.jpg")
    (photos / "around").symlink_to(photos)
    command = [sys.executable, "-m", "segdemo", "segment", photos, "--no-augment", "--no-follow"]
    command += ["--model", tiny_diffdis_folder, "--device", "cpu", "--output_dir", tmp_path / "out"]

    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONIOENCODING": "cp1252:strict"},
        capture_output=True,
        timeout=120,
    )

    said = done.stdout + done.stderr
    assert b"Traceback" not in said and b"\x1b" not in said and done.returncode == 1
    assert b"4 of 7 done" in done.stdout and done.stdout.count(b": 20 x 16") == 4
    assert b"\\x8e\\xfe^.jpg: " in done.stdout and b"\\u5199\\u771f.jpg: " in done.stdout
    assert b"x\\x1b]0;owned\\x07.jpg: " in done.stdout
    for name in NOT_REGULAR:
        assert f"{name}.jpg ".encode() in done.stderr
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == 4
