"""Pictures and arrays of numbers: ids of instances, class maps, stacks of masks."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from segdemo.annotations.classes import VOID, ClassSet, class_names
from segdemo.annotations.gathering import Gathering
from segdemo.annotations.losses import Losses
from segdemo.annotations.targets import target
from segdemo.datatypes import MAX_INSTANCES, Front, InputError, InstanceMasks
from segdemo.files import PNG_COMPRESSION, ZIP_ERRORS, atomic_write
from segdemo.images import LARGEST_PICTURE

FORMATS = ("PNG", "TIFF", "BMP", "GIF")  # those that keep numbers as they are
MOST_COLOURS = 5000  # a photo has more; of pictures whose colours are ids
LARGEST_ARRAYS = 4_000_000_000  # bytes of one NPZ's arrays
_VOC_BORDER = (224, 224, 192)  # colour of 255 in VOC's palette, where instances meet
_PALETTE_IDS = 254

Ids = npt.NDArray[np.int64]


def read_ids(path: Path, name: str) -> Ids:
    """Read a label picture as (H, W) int64 ids, as they are stored.

    Palette indices and 8- and 16-bit greys are the ids; of a picture in colours they are red +
    256 green + 65536 blue, as COCO's panoptic pictures have them. VOC's border (255 of its palette)
    becomes background. Raises InputError.
    """
    too_large = (
        f"{name} has more than {LARGEST_PICTURE // 1_000_000} million pixels: reduce picture and "
        "masks."
    )
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > LARGEST_PICTURE:
                raise InputError(too_large)
            return _stored_ids(picture, name)
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is no label picture: save it as PNG (JPEG and WebP blur numbers)."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(too_large) from error
    except InputError:
        raise
    # damaged bytes raise whatever the decoder stumbles over, see segdemo.images
    except Exception as error:
        raise InputError(f"{name} is damaged or incomplete: copy it anew.") from error


def add_label_picture(
    path: Path, name: str, gathering: Gathering, file: str, classes: ClassSet | None
) -> None:
    """Read a picture of ids, or of the numbers of `classes`, as the masks of the picture `name`."""
    key = gathering.key(name, file)
    if key is not None:
        add_ids(read_ids(path, file), key, gathering, file, classes)


def add_ids(ids: Ids, key: str, gathering: Gathering, file: str, classes: ClassSet | None) -> None:
    """Keep (H, W) ids as masks: one an id, or one a class with its name and without void."""
    if classes is not None:
        names = class_names(classes)
        ids = np.where(ids == VOID, 0, ids)
    found = np.unique(ids)
    if found.size and found[0] < 0:
        raise InputError(f"{file} holds {found[0]}: ids start at 0, the background.")
    numbers = found[found > 0]
    size = (ids.shape[0], ids.shape[1])
    gathering.make_room(key, size, len(numbers), file)
    masks = InstanceMasks.from_label_map(ids)
    if classes is not None:
        unknown = [number for number in numbers.tolist() if number not in names]
        if unknown:
            raise InputError(
                f"{file} holds {unknown[0]}, which is no class of {classes}: save the numbers of "
                "the classes, not their colours or greys."
            )
        masks = InstanceMasks.unscored(masks.masks, numbers, names)
    gathering.add(key, masks, file)


def add_arrays(
    path: Path, name: str, gathering: Gathering, file: str, classes: ClassSet | None
) -> None:
    """Read NPY or NPZ as the masks of the picture `name`.

    (H, W) whole numbers are ids, (H, W) bool is one mask, (N, H, W) of bool or of zeros and ones a
    stack. An NPZ may hold more arrays: `masks` or `labels` counts, beside it `scores`,
    `category_ids`, `crowd` and `names`; or each array is one mask. Raises InputError.
    """
    key = gathering.key(name, file)
    if key is None:
        return
    arrays = _load_arrays(path, file)
    main = next((arrays[k] for k in ("masks", "labels") if k in arrays), None)
    if main is None and len(arrays) == 1:
        (main,) = arrays.values()
    if main is None:
        shapes = {array.shape for array in arrays.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise InputError(
                f"{file} holds the arrays {', '.join(arrays)}: call the one with ids or masks "
                "labels or masks."
            )
        main = np.stack(list(arrays.values()))
    if main.ndim == 2 and main.dtype == np.bool_:
        main = main[None]
    if main.ndim == 2:
        add_ids(_whole(main, file), key, gathering, file, classes)
        return
    if main.ndim != 3 or main.dtype.kind not in "biu" or (main.size and not _binary(main)):
        raise InputError(
            f"{file} holds {main.dtype} of shape {main.shape}: (H, W) ids or an (N, H, W) stack of "
            "zeros and ones can be read."
        )
    gathering.make_room(key, (main.shape[1], main.shape[2]), len(main), file)
    gathering.add(key, _stack(main.astype(np.bool_), arrays, file), file)


def write_indexed(
    masks_by_name: Mapping[str, InstanceMasks], folder: Path, losses: Losses, front: Front
) -> None:
    """Write a PNG a picture: 8 bit with a palette up to 254 instances, else 16 bit."""
    for name, found in masks_by_name.items():
        if len(found) > MAX_INSTANCES:
            raise InputError(f"{name} has {len(found)} instances: a PNG holds {MAX_INSTANCES}.")
        laid = found.to_label_map(front)
        losses.add_flattening(laid)
        losses.add_categories(found)
        losses.add_scores(found)
        losses.add_crowds(found)
        if len(found) <= _PALETTE_IDS:
            picture = Image.fromarray(laid.labels.astype(np.uint8), "P")
            picture.putpalette(_palette())
        else:
            picture = Image.fromarray(laid.labels.astype(np.uint16))
        with atomic_write(target(folder, name, ".png")) as stream:
            picture.save(stream, "PNG", compress_level=PNG_COMPRESSION)


def write_npz(masks_by_name: Mapping[str, InstanceMasks], folder: Path) -> None:
    """Write an NPZ a picture that holds all there is; `add_arrays` names its arrays."""
    for name, found in masks_by_name.items():
        arrays: dict[str, npt.NDArray[Any]] = {
            "masks": found.masks,
            "scores": found.scores,
            "names": np.array(json.dumps(dict(found.names))),
        }
        if found.category_ids is not None:
            arrays["category_ids"] = found.category_ids
        if found.crowd is not None:
            arrays["crowd"] = found.crowd
        with atomic_write(target(folder, name, ".npz")) as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)


def _stored_ids(picture: Image.Image, name: str) -> Ids:
    if picture.mode == "P":
        palette = picture.getpalette() or []
        ids = np.asarray(picture).astype(np.int64)
        if tuple(palette[3 * VOID : 3 * VOID + 3]) == _VOC_BORDER:
            ids[ids == VOID] = 0
        return ids
    if picture.mode in ("L", "1", "I") or picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.int64)
    if picture.mode not in ("RGB", "RGBA", "LA"):
        raise InputError(f"{name} holds no whole numbers: save it as 8- or 16-bit PNG.")
    colours = np.asarray(picture.convert("RGB"), np.int64)
    ids = colours @ np.array([1, 256, 256**2])
    count = len(np.unique(ids))
    if count > MOST_COLOURS:
        raise InputError(
            f"{name} holds {count} colours, which looks like a photo: a label picture has one "
            "number or flat colour an instance."
        )
    return ids


def _palette() -> bytes:
    """Return VOC's colours: the bits of a number, dealt to red, green and blue in turn."""
    colours = np.zeros((256, 3), np.uint8)
    for number in range(256):
        for bit in range(8):
            colours[number, bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return colours.tobytes()


def _load_arrays(path: Path, file: str) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of an NPY (under the name "") or NPZ, and no pickled objects."""
    try:
        with path.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                stream.seek(0)
                return {"": _load_array(stream, file)}
        arrays = {}
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
            if total > LARGEST_ARRAYS:
                raise InputError(
                    f"{file} unpacks to more than {LARGEST_ARRAYS / 1e9:g} GB: split it."
                )
            for entry in archive.infolist():
                with archive.open(entry) as source:
                    # zipfile stops at the size an entry states, so this many bytes at most
                    content = io.BytesIO(source.read())
                arrays[PurePosixPath(entry.filename).stem] = _load_array(content, file)
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist: check the path.") from error
    except InputError:
        raise
    except (*ZIP_ERRORS, MemoryError, RuntimeError) as error:
        raise InputError(f"{file} is damaged or no NPY or NPZ: save it anew.") from error
    if not arrays:
        raise InputError(f"{file} holds no arrays: save masks or labels in it.")
    return arrays


def _load_array(stream: BinaryIO, file: str) -> npt.NDArray[Any]:
    """Read one NPY, its size checked against the bytes there are before memory is taken."""
    start = stream.tell()
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"NPY version {version}")
    if dtype.hasobject:
        raise InputError(f"{file} holds Python objects, which may be harmful: save plain arrays.")
    body = stream.tell()
    if stream.seek(0, 2) - body < math.prod(shape) * dtype.itemsize:
        raise ValueError("too short")
    stream.seek(start)
    return np.lib.format.read_array(stream, allow_pickle=False)


def _whole(values: npt.NDArray[Any], file: str) -> Ids:
    if values.dtype.kind in "iuf":
        with np.errstate(invalid="ignore"):
            ids = values.astype(np.int64)
        if (ids == values).all():
            return ids
    raise InputError(f"{file} holds {values.dtype}: ids are whole numbers from 0.")


def _binary(values: npt.NDArray[Any]) -> bool:
    return values.dtype == np.bool_ or (values.min() >= 0 and values.max() <= 1)


def _stack(
    masks: npt.NDArray[np.bool_], arrays: Mapping[str, npt.NDArray[Any]], file: str
) -> InstanceMasks:
    """Join a stack with what else the file says of it."""
    try:
        names = json.loads(str(arrays["names"])) if "names" in arrays else {}
        return InstanceMasks(
            masks,
            arrays["scores"].astype(np.float32)
            if "scores" in arrays
            else np.ones(len(masks), np.float32),
            arrays["category_ids"].astype(np.int64) if "category_ids" in arrays else None,
            {int(number): str(label) for number, label in names.items()},
            arrays["crowd"].astype(np.bool_) if "crowd" in arrays else None,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file} cannot be used: {error}") from error
