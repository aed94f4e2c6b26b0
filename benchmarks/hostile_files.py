"""Read hundreds of broken and hostile annotation files; nothing may be lost in silence.

    python -m benchmarks.hostile_files

Each case damages one entry or one file of image `a`; image `b` beside it is sound. What counts as a
fault: an exception other than InputError, masks of `b` that are not exact, masks of `a` that are
missing or changed without a note, a message with the name of a Python error, a control character or
a path, and more than `--seconds` a case. Exit status 1 if there is any.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import math
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.__main__ import main as run_command
from segdemo.annotations import read_masks
from segdemo.datatypes import InputError

HEIGHT, WIDTH = 48, 64
SIZES = {"a.png": (HEIGHT, WIDTH), "b.png": (HEIGHT, WIDTH)}
BOXES = {"a.png": [(4, 4, 20, 24), (30, 10, 44, 40)], "b.png": [(8, 6, 26, 30), (36, 20, 60, 44)]}
"""Left, top, right and bottom of every image's two instances, in pixels."""

DELETE = object()
HOSTILE: list[Any] = [
    DELETE,
    None,
    "",
    "x",
    "../../../etc/passwd",
    "\x1b[31mred\x07",
    "{{7*7}}<script>",
    "é" * 300,
    -1,
    0,
    0.5,
    1e308,
    10**30,
    math.nan,
    math.inf,
    True,
    [],
    {},
    [[]],
    [None],
    [["a", "b"]],
    {"counts": "zzz", "size": [1, 1]},
]
PYTHON_ERROR = re.compile(r"Traceback|\b[A-Z]\w*(?:Error|Exception|Warning)\b|<class |object at 0x")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """kind: of the damage. write: makes the files in an empty folder and returns what to read.

    visible: whether the damage can be told from a sound file of other masks.
    """

    kind: str
    name: str
    write: Callable[[Path], Path]
    visible: bool = True


def truth(name: str) -> Masks:
    """Return an image's masks, (2, H, W)."""
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    for mask, (left, top, right, bottom) in zip(masks, BOXES[name], strict=True):
        mask[top:bottom, left:right] = True
    return masks


def coco() -> dict[str, Any]:
    """Return a COCO document of both images; category 1 is of `a` only."""
    annotations = [
        {
            "id": 2 * number + index + 1,
            "image_id": number + 1,
            "category_id": number + 1,
            "bbox": [left, top, right - left, bottom - top],
            "area": (right - left) * (bottom - top),
            "iscrowd": 0,
            "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
        }
        for number, name in enumerate(SIZES)
        for index, (left, top, right, bottom) in enumerate(BOXES[name])
    ]
    images = [
        {"id": number + 1, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for number, name in enumerate(SIZES)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def labelme(name: str) -> dict[str, Any]:
    """Return a LabelMe document of an image."""
    shapes: list[dict[str, Any]] = [
        {
            "label": "thing",
            "shape_type": "polygon",
            "points": [[left, top], [right, top], [right, bottom], [left, bottom]],
            "group_id": None,
            "flags": {},
        }
        for left, top, right, bottom in BOXES[name]
    ]
    size = {"imageWidth": WIDTH, "imageHeight": HEIGHT}
    return {"version": "5.0.1", "imagePath": name, "imageData": None, "shapes": shapes} | size


def yolo(name: str) -> list[str]:
    """Return the lines of an image's YOLO polygons."""
    return [
        "0 "
        + " ".join(
            f"{x / WIDTH:.6f} {y / HEIGHT:.6f}"
            for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
        )
        for left, top, right, bottom in BOXES[name]
    ]


def label_map(name: str) -> npt.NDArray[np.uint8]:
    """Return an image's label map, (H, W)."""
    first, second = truth(name)
    return (first + 2 * second).astype(np.uint8)


def coco_cases() -> Iterator[Case]:
    """Yield COCO documents with one field of `a` replaced."""
    places: list[tuple[str, int, str | None]] = [
        ("annotations", 0, key) for key in coco()["annotations"][0]
    ]
    places += [("images", 0, key) for key in coco()["images"][0]]
    places += [("categories", 0, key) for key in coco()["categories"][0]]
    places += [("annotations", 0, None), ("images", 0, None), ("categories", 0, None)]
    for part, index, key in places:
        for value in HOSTILE:

            def write(folder: Path, at: Any = (part, index, key), value: Any = value) -> Path:
                document = coco()
                part, index, key = at
                entries = document[part]
                put(
                    entries if key is None else entries[index], index if key is None else key, value
                )
                (folder / "masks.json").write_text(json.dumps(document))
                return folder / "masks.json"

            other = key == "file_name" and isinstance(value, str) and value  # another image's
            visible = not (other or (part, key, value) == ("annotations", None, DELETE))
            yield Case("coco", f"{part}[{index}].{key} = {shown(value)}", write, visible)


def labelme_cases() -> Iterator[Case]:
    """Yield LabelMe folders whose `a.json` has one field replaced."""
    places: list[tuple[str, int | None, str | None]] = [
        ("shapes", 0, key) for key in ("label", "shape_type", "points")
    ]
    places += [("shapes", 0, None)]
    places += [(key, None, None) for key in ("imagePath", "imageWidth", "imageHeight", "shapes")]
    for part, index, key in places:
        for value in HOSTILE:

            def write(folder: Path, at: Any = (part, index, key), value: Any = value) -> Path:
                document = labelme("a.png")
                part, index, key = at
                if index is None:
                    put(document, part, value)
                elif key is None:
                    put(document[part], index, value)
                else:
                    put(document[part][index], key, value)
                (folder / "a.json").write_text(json.dumps(document))
                (folder / "b.json").write_text(json.dumps(labelme("b.png")))
                return folder

            visible = not (part == "shapes" and key is None and value in (DELETE, []))
            yield Case("labelme", f"{part}[{index}].{key} = {shown(value)}", write, visible)


def yolo_cases() -> Iterator[Case]:
    """Yield YOLO folders whose `a.txt` has a hostile first line, or hostile bytes."""
    sound = yolo("a.png")[0].split()
    lines = [" ".join([*sound[:at], bad, *sound[at + 1 :]]) for at in (0, 1, 4) for bad in WORDS]
    lines += [" ".join(sound[:length]) for length in range(1, 9)]
    for line in lines:

        def write(folder: Path, line: str = line) -> Path:
            text = "\n".join([line, yolo("a.png")[1]])
            (folder / "a.txt").write_text(text, errors="surrogateescape")
            (folder / "b.txt").write_text("\n".join(yolo("b.png")))
            return folder

        yield Case("yolo", repr(line)[:60], write)


WORDS = [
    "",
    "x",
    "nan",
    "inf",
    "-1",
    "-0.00001",
    "1.00001",
    "7",
    "1e309",
    "0x10",
    "\x00",
    "\u0661",
    "0,5",
]


def damaged_cases() -> Iterator[Case]:
    """Yield files of `a` that are cut short, or have a flipped byte, in every form."""
    for suffix, make in (("png", _png), ("npz", _npz), ("npy", _npy), ("json", _json)):
        for place in range(0, 100, 9):
            for kind in ("cut", "flipped"):

                def write(
                    folder: Path,
                    suffix: str = suffix,
                    make: Callable[[str], bytes] = make,
                    place: int = place,
                    kind: str = kind,
                ) -> Path:
                    content = bytearray(make("a.png"))
                    at = len(content) * place // 100
                    if kind == "cut":
                        del content[at:]
                    else:
                        content[at] ^= 0x55
                    (folder / f"a.{suffix}").write_bytes(bytes(content))
                    (folder / f"b.{suffix}").write_bytes(make("b.png"))
                    return folder

                visible = (suffix, kind) != ("npy", "flipped")  # it has no checksum
                yield Case(f"damaged {suffix}", f"{kind} at {place} %", write, visible)


def _png(name: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(label_map(name)).save(stream, "PNG")
    return stream.getvalue()


def _npz(name: str) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, masks=truth(name))
    return stream.getvalue()


def _npy(name: str) -> bytes:
    stream = io.BytesIO()
    np.save(stream, truth(name))
    return stream.getvalue()


def _json(name: str) -> bytes:
    return json.dumps(labelme(name)).encode()


def put(container: Any, key: Any, value: Any) -> None:
    """Set or delete an entry of a list or dict."""
    if value is DELETE:
        del container[key]
    else:
        container[key] = copy.deepcopy(value)


def shown(value: Any) -> str:
    """Return a value as the table shows it."""
    return "(deleted)" if value is DELETE else repr(value)[:40]


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after some seconds."""

    def late(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def faults_of(case: Case, folder: Path, seconds: int) -> list[str]:
    """Return what is wrong with how a case is read."""
    path = case.write(folder)
    try:
        with time_limit(seconds):
            read = read_masks(path, SIZES)
            found = {name: read[name].masks for name in read}
            said = read.sentences()
    except InputError as error:
        found, said = {}, [str(error)]
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    faults = [fault for sentence in said for fault in faults_of_sentence(sentence, folder)]
    if not equal(found.get("b.png"), truth("b.png")):
        faults.append("b.png is not exact")
    if case.visible and not equal(found.get("a.png"), truth("a.png")) and not said:
        faults.append("a.png is not exact, and nothing was said")
    return faults


def faults_of_sentence(sentence: str, folder: Path) -> list[str]:
    """Return what is wrong with a message."""
    faults = []
    if PYTHON_ERROR.search(sentence):
        faults.append(f"a Python error in: {sentence}")
    if CONTROL.search(sentence):
        faults.append(f"a control character in: {sentence!r}")
    if str(folder) in sentence:
        faults.append(f"a path in: {sentence}")
    return faults


def equal(found: Masks | None, expected: Masks) -> bool:
    """Return whether masks are the same, in any order."""
    if found is None or found.shape != expected.shape:
        return False
    return sorted(mask.tobytes() for mask in found) == sorted(mask.tobytes() for mask in expected)


def command_faults(case: Case, folder: Path) -> list[str]:
    """Return what is wrong with how `refine` ends on a case."""
    photos, edges, masks = (folder / part for part in ("photos", "edges", "masks"))
    for part in (photos, edges, masks):
        part.mkdir()
    for name in SIZES:
        Image.new("RGB", (WIDTH, HEIGHT), "grey").save(photos / name)
        Image.new("L", (WIDTH, HEIGHT)).save(edges / name)
    path = case.write(masks)
    arguments = ["refine", "--images", str(photos), "--masks", str(path), "--edges", str(edges)]
    output = folder / "refined.json"
    stream = io.StringIO()
    try:
        with contextlib.redirect_stderr(stream), contextlib.redirect_stdout(stream):
            status = run_command([*arguments, "--output", str(output)])
    except SystemExit as error:
        status = int(error.code or 0)
    except Exception as error:
        return [f"refine: {type(error).__name__}: {error}"]
    said = stream.getvalue()
    faults = [f"refine says {error[0]}" for error in [PYTHON_ERROR.search(said)] if error]
    if status not in (0, 1, 2):
        faults.append(f"refine: exit status {status}")
    if status < 2 and not output.exists():
        faults.append(f"refine: exit status {status}, but no output")
    if status and not said.strip():
        faults.append(f"refine: exit status {status}, and nothing was said")
    return faults


def main() -> int:
    """Run all cases and print a table of kinds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="longest a case may take")
    parser.add_argument(
        "--command_every", type=int, default=25, help="run `refine` on every n-th case; 0: on none"
    )
    arguments = parser.parse_args()
    cases = [*coco_cases(), *labelme_cases(), *yolo_cases(), *damaged_cases()]
    counts, faulty, commands = Counter[str](), Counter[str](), 0
    start = time.monotonic()
    for number, case in enumerate(cases):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "read").mkdir()
            faults = faults_of(case, folder / "read", arguments.seconds)
            if arguments.command_every and number % arguments.command_every == 0:
                (folder / "command").mkdir()
                faults += command_faults(case, folder / "command")
                commands += 1
        counts[case.kind] += 1
        if faults:
            faulty[case.kind] += 1
            print(f"{case.kind}, {case.name}: {'; '.join(faults)}")
    print(f"\n{'kind':<16}{'cases':>8}{'faulty':>8}")
    for kind, count in counts.items():
        print(f"{kind:<16}{count:>8}{faulty[kind]:>8}")
    seconds = time.monotonic() - start
    print(f"{len(cases)} files read, {commands} times by `refine` as well, in {seconds:.0f} s")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
