"""Hostile and broken masks and photos, drawn in code: one case is what somebody might open.

The scene is two rectangles on a photo of 24 x 32. A case with `wanted` must give these masks,
whatever else is said; the others must be read or refused in words.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as rle

HEIGHT, WIDTH = 24, 32
BOXES = ((4, 4, 12, 12), (18, 10, 28, 20))  # left, top, right, bottom
PHOTO = "a.png"
NAN = float("nan")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """write: makes the file or folder of masks in a folder, and returns it; photos: likewise.

    wanted: the masks that must be found, None where any is right that is said in words.
    """

    kind: str
    name: str
    write: Callable[[Path], Path]
    wanted: Sequence[Mask] | None = None
    photo: bool = False  # the file is a photo instead


def rectangle(box: tuple[int, int, int, int]) -> Mask:
    """Return (HEIGHT, WIDTH) bool of a box."""
    left, top, right, bottom = box
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


BOTH = tuple(map(rectangle, BOXES))


def polygon(number: int) -> list[float]:
    """Return the corners of a rectangle as COCO writes them."""
    left, top, right, bottom = BOXES[number]
    return [left, top, right, top, right, bottom, left, bottom]


def pairs(number: int) -> list[list[float]]:
    """Return the corners of a rectangle as (x, y)."""
    corners = polygon(number)
    return [corners[place : place + 2] for place in range(0, len(corners), 2)]


def packed(number: int) -> dict[str, Any]:
    """Return a rectangle as compressed RLE."""
    runs = rle.encode(np.asfortranarray(BOTH[number].astype(np.uint8)))
    return {"size": list(runs["size"]), "counts": runs["counts"].decode()}


def plain(number: int) -> list[int]:
    """Return a rectangle's run lengths, column by column."""
    flat = BOTH[number].T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    return [int(n) for n in np.diff([0, *ends, flat.size])]


def coco(*segmentations: Any) -> dict[str, Any]:
    """Return a COCO file of one image."""
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "area": 64,
            "bbox": [4, 4, 8, 8],
            "segmentation": segmentation,
        }
        for number, segmentation in enumerate(segmentations, 1)
    ]
    return {
        "images": [{"id": 1, "file_name": PHOTO, "width": WIDTH, "height": HEIGHT}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "box"}],
    }


def as_file(content: bytes | bytearray | str, name: str) -> Callable[[Path], Path]:
    """Return a writer of one file."""
    raw = content.encode() if isinstance(content, str) else content

    def write(folder: Path) -> Path:
        (folder / name).write_bytes(raw)
        return folder / name

    return write


def as_json(content: Any, name: str = "masks.json") -> Callable[[Path], Path]:
    """Return a writer of JSON; NaN and infinity are written as Python writes them."""
    return as_file(json.dumps(content), name)


def in_folder(files: dict[str, bytes | str]) -> Callable[[Path], Path]:
    """Return a writer of a folder of files."""

    def write(folder: Path) -> Path:
        for name, content in files.items():
            file = folder / "masks" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder / "masks"

    return write


def encoded(values: npt.NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    """Return an image file."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, **options)
    return stream.getvalue()


def label_map() -> npt.NDArray[np.uint8]:
    """Return (HEIGHT, WIDTH) with 1 and 2 on the rectangles."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, mask in enumerate(BOTH, 1):
        labels[mask] = number
    return labels


def spellings() -> Iterator[Case]:
    """COCO masks as tools spell them: each gives the right masks."""
    runs = packed(1)
    given: dict[str, Any] = {
        "list of polygons": [polygon(1)],
        "flat polygon": polygon(1),
        "pairs": pairs(1),
        "list of pairs": [pairs(1)],
        "rle": runs,
        "rle in a list": [runs],
        "plain counts": {"size": [HEIGHT, WIDTH], "counts": plain(1)},
        "counts as strings": {"size": [HEIGHT, WIDTH], "counts": [str(n) for n in plain(1)]},
        "counts as floats": {"size": [HEIGHT, WIDTH], "counts": [float(n) for n in plain(1)]},
        "closed polygon": [[*polygon(1), *polygon(1)[:2]]],
        "a hair outside": [[value + 0.0001 for value in polygon(1)]],
    }
    for name, segmentation in given.items():
        yield Case("COCO spelling", name, as_json(coco([polygon(0)], segmentation)), BOTH)
    for name, image_id in {"text": "1", "float": 1.0}.items():
        content = coco([polygon(0)], [polygon(1)])
        content["annotations"][1]["image_id"] = image_id
        yield Case("COCO spelling", f"image id as {name}", as_json(content), BOTH)
    for name in ("photos/a.png", "C:\\photos\\a.png", "./a.png", "https://x.org/a.png"):
        content = coco([polygon(0)], [polygon(1)])
        content["images"][0]["file_name"] = name
        yield Case("COCO spelling", f"named {name}", as_json(content), BOTH)


def bad_annotations() -> Iterator[Case]:
    """One bad mask beside a good one: the good one is read."""
    size = [HEIGHT, WIDTH]
    whole = packed(1)["counts"]
    bad: list[Any] = [None, [], {}, "", 7, True, "mask.png", [1, 2], [[1]], [["a", "b"] * 4]]
    bad += [[[NAN] * 8], [[float("inf")] * 8], [[1e300] * 8], [[None] * 8], [[[[]]]], [{}]]
    bad += [{"size": size}, {"size": [0, 0], "counts": whole}]
    bad += [{"size": size, "counts": counts} for counts in ("", "\u00e9", "~" * 50, whole[:3])]
    bad += [{"size": size, "counts": counts} for counts in ([], [-5, 773], [2**70], [1], None)]
    bad += [{"size": [HEIGHT, 2**40], "counts": [1]}, {"size": "24x32", "counts": whole}]
    bad += [{"size": [WIDTH * 9, 7], "counts": whole}, {"size": [NAN, 3], "counts": [3]}]
    for number, segmentation in enumerate(bad):
        name = f"{number}: {json.dumps(segmentation)[:40]}"
        yield Case("bad mask", name, as_json(coco(segmentation, [polygon(1)])), BOTH[1:])


def bad_fields() -> Iterator[Case]:
    """One field of a COCO file replaced by something else."""
    values: list[Any] = [
        None,
        "",
        -1,
        float("inf"),
        [],
        {},
        "x" * 5000,
        "../../out.png",
        "\x1b[31m\n",
        2**70,
    ]
    places = [("images", key) for key in ("id", "file_name", "width", "height")]
    places += [("annotations", key) for key in ("id", "image_id", "category_id", "bbox", "iscrowd")]
    places += [("categories", key) for key in ("id", "name")]
    for (part, key), value in itertools.product(places, values):
        content = coco([polygon(0)], [polygon(1)])
        content[part][0][key] = value
        yield Case("bad field", f"{part}.{key} = {str(value)[:20]!r}", as_json(content))
    for part, value in itertools.product(("images", "annotations", "categories"), (None, {}, [3])):
        content = {**coco([polygon(0)]), part: value}
        yield Case("bad field", f"{part} = {value}", as_json(content))


def bad_text() -> Iterator[Case]:
    """Files that are no JSON, or none of masks."""
    good = json.dumps(coco([polygon(0)], [polygon(1)])).encode()
    wrong = [
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b"3",
        b'"a"',
        b"[" * 100_000,
        b"\xff\xfe\x00",
        good[:99],
    ]
    wrong += [good.replace(b"box", b"\xff"), b'{"a": 1e999999}', b"[" + b"9" * 5000 + b"]"]
    for number, raw in enumerate(wrong):
        yield Case("no JSON of masks", f"{number}: {raw[:20]!r}", as_file(raw, "masks.json"))
    for name, raw in {
        "BOM": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
    }.items():
        yield Case("no JSON of masks", name, as_file(raw, "masks.json"))


def label_images() -> Iterator[Case]:
    """Label maps as images, whole and damaged."""
    labels = label_map()
    scale = encoded(labels)
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colours[BOTH[0]], colours[BOTH[1]] = (200, 0, 0), (0, 0, 200)
    good = {
        "8 bit": scale,
        "16 bit": encoded(labels.astype(np.uint16) * 1000),
        "colours": encoded(colours),
        "TIFF": encoded(labels, "TIFF"),
        "BMP": encoded(labels, "BMP"),
    }
    for name, raw in good.items():
        suffix = name.lower() if name in ("TIFF", "BMP") else "png"
        yield Case("label image", name, in_folder({f"a.{suffix}": raw}), BOTH)
    soft = np.where(BOTH[0], 255, 0).astype(np.uint8)
    soft[4:12, 12], soft[4:12, 3] = 100, 60
    yield Case("label image", "soft mask", in_folder({PHOTO: encoded(soft)}), BOTH[:1])
    for cut in range(10, len(scale), 12):
        yield Case("damaged image", f"cut at {cut}", in_folder({PHOTO: scale[:cut]}))
    chance = random.Random(1)
    for number in range(16):
        flipped = bytearray(scale)
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        yield Case("damaged image", f"flipped bit {number}", in_folder({PHOTO: bytes(flipped)}))
    other = {
        "another size": encoded(np.zeros((7, 9), np.uint8)),
        "a turned size": encoded(labels.T.copy()),
        "float": encoded(labels.astype(np.float32), "TIFF"),
        "text": b"no image",
        "empty": b"",
        "SVG": b"<svg onload='alert(1)'/>",
    }
    for name, raw in other.items():
        suffix = "tif" if name == "float" else "png"
        yield Case("damaged image", name, in_folder({f"a.{suffix}": raw}))


def arrays() -> Iterator[Case]:
    """NPY and NPZ."""

    def saved(values: Any) -> bytes:
        stream = io.BytesIO()
        np.save(stream, values, allow_pickle=True)
        return stream.getvalue()

    stack = np.stack(BOTH)
    for name, values in {"bool": stack, "0/255": stack * np.uint8(255), "ids": label_map()}.items():
        yield Case("array", name, in_folder({"a.npy": saved(values)}), BOTH)
    wrong: list[Any] = [np.array([{}, ""], object), np.array(["a"])]
    wrong += [np.full((HEIGHT, WIDTH), NAN), np.zeros((2, 2, HEIGHT, WIDTH)), np.array(3)]
    wrong += [np.zeros((HEIGHT, WIDTH), complex), -stack.astype(int), np.zeros(5), stack[:, :9]]
    raws = [saved(values) for values in wrong]
    raws += [saved(stack)[:60], saved(stack)[:200], b"\x93NUMPY", b"PK\x03\x04", b""]
    raws.append(saved(stack).replace(b"(2, 24, 32)", b"(2**9, 2, )"))
    raws.append(saved(stack).replace(b"(2, 24, 32)", b"(9999999,9)"))
    for number, raw in enumerate(raws):
        yield Case("array", f"wrong {number}", in_folder({"a.npy": raw}))
        yield Case("array", f"wrong {number} as NPZ", in_folder({"a.npz": raw}))


def yolo() -> Iterator[Case]:
    """Rows of YOLO, good and bad ones beside each other."""

    def row(number: int) -> str:
        values = [v / (HEIGHT if place % 2 else WIDTH) for place, v in enumerate(polygon(number))]
        return "0 " + " ".join(f"{value:.6f}" for value in values)

    good = f"{row(0)}\n{row(1)}\n"
    variants: dict[str, str | bytes] = {
        "plain": good,
        "CRLF": good.replace("\n", "\r\n"),
        "BOM": b"\xef\xbb\xbf" + good.encode(),
        "tabs": good.replace(" ", "\t"),
        "blank lines": "\n\n" + good.replace("\n", "\n\n"),
        "decimal classes": good.replace("0 ", "0.0 ", 1),
        "confidence": good.replace("\n", " 0.93\n"),
    }
    for name, text in variants.items():
        yield Case("YOLO", name, in_folder({"a.txt": text}), BOTH)
    bad = ["0 0.5 0.5 0.2 0.2", "0", "x y z", "0 nan nan nan nan nan nan", "0 inf 0 1 0 1 1"]
    bad += [
        "-1 0 0 1 0 1 1",
        "99999999999999999999 0 0 1 0 1 1",
        "0 5 5 9 9 7 7",
        "0 1e400 0 1 0 1 1",
    ]
    bad += ["0 0,1 0,1 0,9 0,1 0,9 0,9", "\x00", "0 " + "0.1 " * 7, "\u0663 0 0 1 0 1 1"]
    for number, line in enumerate(bad):
        text = f"{line}\n{row(1)}\n"
        yield Case("YOLO", f"bad row {number}: {line[:20]!r}", in_folder({"a.txt": text}))


def labelme() -> Iterator[Case]:
    """LabelMe and X-AnyLabeling."""

    def content(*shapes: Any, **more: Any) -> dict[str, Any]:
        size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
        return {"version": "5", "shapes": list(shapes), "imagePath": PHOTO, **size, **more}

    def shape(points: Any, kind: Any = "polygon", label: Any = "box") -> dict[str, Any]:
        return {"label": label, "points": points, "shape_type": kind, "group_id": None}

    good = [shape(pairs(number)) for number in (0, 1)]
    yield Case("LabelMe", "polygons", as_json(content(*good), "a.json"), BOTH)
    corners = [shape([box[:2], box[2:]], "rectangle") for box in BOXES]
    yield Case("LabelMe", "rectangles", as_json(content(*corners), "a.json"))
    yield Case(
        "LabelMe", "rotation", as_json(content(*good, shape(pairs(0), "rotation")), "a.json")
    )
    stale = content(*good, imagePath="..\\old\\IMG_1.JPG")
    yield Case("LabelMe", "stale path", as_json(stale, "a.json"), BOTH)
    points: list[Any] = [None, [], [[1, 1]], [[NAN, 1]] * 4, [["a", "b"]] * 4, [[1e30, 2]] * 4, 5]
    for number, wrong in enumerate(points):
        text = content(shape(wrong), good[1])
        yield Case("LabelMe", f"bad points {number}", as_json(text, "a.json"), BOTH[1:])
    for kind in (None, 3, "cuboid", "point", "line", "mask", "circle"):
        yield Case("LabelMe", f"shape {kind}", as_json(content(shape(pairs(0), kind)), "a.json"))
    labels: list[Any] = [None, 3, "", "\x1b]0;x\x07", "<img src=x>", [], "\ud800"]
    for label in labels:
        named = content(shape(pairs(0), label=label))
        yield Case("LabelMe", f"label {str(label)!a}", as_json(named, "a.json"))


def archives() -> Iterator[Case]:
    """Zip archives that lead out, lie or are cut."""
    good = json.dumps(coco([polygon(0)], [polygon(1)]))

    def zipped(entries: Sequence[tuple[str, str | bytes]]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries:
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return stream.getvalue()

    whole = zipped([("masks.json", good)])
    yield Case("archive", "one JSON", as_file(whole, "m.zip"), BOTH)
    yield Case("archive", "in a folder", as_file(zipped([("x/y/masks.json", good)]), "m.zip"), BOTH)
    names = [
        "../escaped.json",
        "/escaped.json",
        "..\\escaped.json",
        "a/../../escaped.json",
        "x\x00y",
    ]
    names += ["C:\\escaped.json", "a" * 300 + ".json", "con.json", "\x1b[2J.json", "./masks.json"]
    for name in names:
        yield Case("archive", f"entry {name[:30]!a}", as_file(zipped([(name, good)]), "m.zip"))
    for cut in (4, 30, len(whole) // 2, len(whole) - 5):
        yield Case("archive", f"cut at {cut}", as_file(whole[:cut], "m.zip"))
    bomb = zipped([("masks.json", b" " * 30_000_000)])
    yield Case("archive", "blanks", as_file(bomb, "m.zip"))
    nested = zipped([("inner.zip", whole)])
    yield Case("archive", "in an archive", as_file(nested, "m.zip"))
    link = zipfile.ZipInfo("masks.json")
    link.external_attr = 0o120777 << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    yield Case("archive", "a link", as_file(stream.getvalue(), "m.zip"))


def file_system() -> Iterator[Case]:
    """Things in a folder that are no files; the good mask beside them is read."""
    good = json.dumps(coco([polygon(0)], [polygon(1)]))

    def beside(make: Callable[[Path], object]) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            masks = in_folder({"masks.json": good})(folder)
            make(masks)
            return masks

        return write

    made: dict[str, Callable[[Path], object]] = {
        "FIFO": lambda masks: os.mkfifo(masks / "b.json"),
        "folder called JSON": lambda masks: (masks / "b.json").mkdir(),
        "symlink loop": lambda masks: (masks / "b.json").symlink_to("b.json"),
        "link to /dev/zero": lambda masks: (masks / "b.json").symlink_to("/dev/zero"),
        "link to nothing": lambda masks: (masks / "b.json").symlink_to("gone"),
        "link to its folder": lambda masks: (masks / "b").symlink_to("."),
        "not UTF-8": lambda masks: Path(os.fsdecode(os.fsencode(masks) + b"/\xff.json")).touch(),
        "terminal escape": lambda masks: (masks / "\x1b[31mred\n.json").write_text("{"),
    }
    for name, make in made.items():
        yield Case("no regular file", name, beside(make), BOTH)


def photos() -> Iterator[Case]:
    """Photos that are broken or unusual."""
    plain_photo = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    png, jpeg = encoded(plain_photo), encoded(plain_photo, "JPEG")
    huge = bytearray(png)
    huge[16:24] = b"\x00\x01\x00\x00" * 2
    files = {"text.png": b"no image", "empty.jpg": b"", "huge.png": bytes(huge)}
    files |= {f"cut{cut}.png": png[:cut] for cut in (8, 20, 40, len(png) - 6)}
    files |= {f"cut{cut}.jpg": jpeg[:cut] for cut in (2, 100, len(jpeg) - 40)}
    files |= {
        "other.png": jpeg,
        "script.png": b"<svg/>",
        "gzip.png": b"\x1f\x8b\x08",
        "gif.gif": b"GIF89a",
    }
    chance = random.Random(2)
    for number in range(12):
        flipped = bytearray(jpeg if number % 2 else png)
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        files[f"flipped{number}." + ("jpg" if number % 2 else "png")] = bytes(flipped)
    for name, raw in files.items():
        yield Case("photo", name, as_file(raw, name), photo=True)


def all_cases() -> list[Case]:
    """Return all cases, kind by kind."""
    kinds = (spellings, bad_annotations, bad_fields, bad_text, label_images, arrays, yolo, labelme)
    return [case for kind in (*kinds, archives, file_system, photos) for case in kind()]
