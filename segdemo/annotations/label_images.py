"""Label images: images whose pixel values are ids of instances, or numbers of classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from segdemo.annotations.classes import VOID, ClassSet, class_names
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.file_names import output_path
from segdemo.annotations.omissions import Omissions
from segdemo.datatypes import MAX_INSTANCES, Front, InputError, InstanceMasks, Labels
from segdemo.files import PNG_COMPRESSION, atomic_write
from segdemo.images import MAX_PIXELS

FORMATS = ("PNG", "TIFF", "BMP", "GIF")  # those that keep numbers as they are
MAX_COLOURS = 5000  # a photo has more; of images whose colours are ids
_VOC_BORDER = (224, 224, 192)  # colour of 255 in VOC's palette, where instances meet
_PALETTE_IDS = 254


def read_label_image(path: Path, name: str) -> npt.NDArray[np.int64]:
    """Read a label image as (H, W) int64 ids, as they are stored.

    Palette indices and 8- and 16-bit greys are the ids; of an image in colours they are red +
    256 green + 65536 blue, as COCO's panoptic images have them. VOC's border (255 of its palette)
    becomes background. Raises InputError.
    """
    too_large = (
        f"{name} has more than {MAX_PIXELS // 1_000_000} million pixels: reduce image and masks."
    )
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(too_large)
            return _stored_ids(image, name)
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is not a label image: save it as PNG (JPEG and WebP blur numbers)."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(too_large) from error
    except InputError:
        raise
    # what damaged bytes raise differs by decoder, see segdemo.images
    except Exception as error:
        raise InputError(f"{name} is damaged or incomplete: copy it again.") from error


def add_label_image(
    path: Path, name: str, collector: MaskCollector, file: str, classes: ClassSet | None
) -> None:
    """Read an image of ids, or of the numbers of `classes`, as the masks of the image `name`."""
    key = collector.key(name, file)
    if key is not None:
        add_labels(read_label_image(path, file), key, collector, file, classes)


def add_labels(
    ids: Labels, key: str, collector: MaskCollector, file: str, classes: ClassSet | None
) -> None:
    """Keep (H, W) ids as masks: one per id, or one per class with its name and without void."""
    if classes is not None:
        names = class_names(classes)
        ids = np.where(ids == VOID, 0, ids)
    found = np.unique(ids)
    if found.size and found[0] < 0:
        raise InputError(f"{file} holds {found[0]}: ids start at 0, the background.")
    numbers = found[found > 0]
    size = (ids.shape[0], ids.shape[1])
    collector.make_room(key, size, len(numbers), file)
    masks = InstanceMasks.from_label_map(ids)
    if classes is not None:
        unknown = [number for number in numbers.tolist() if number not in names]
        if unknown:
            raise InputError(
                f"{file} holds {unknown[0]}, which is not a class of {classes}: save the numbers "
                "of the classes, not their colours or greys."
            )
        masks = InstanceMasks.unscored(masks.masks, numbers.astype(np.int64), names)
    collector.add(key, masks, file)


def write_indexed(
    masks_by_name: Mapping[str, InstanceMasks], folder: Path, omissions: Omissions, front: Front
) -> None:
    """Write one PNG per image: 8 bit with a palette up to 254 instances, else 16 bit."""
    for name, found in masks_by_name.items():
        if len(found) > MAX_INSTANCES:
            raise InputError(f"{name} has {len(found)} instances: a PNG holds {MAX_INSTANCES}.")
        flat = found.to_label_map(front)
        omissions.add_flattening(flat)
        omissions.add_categories(found)
        omissions.add_scores(found)
        omissions.add_crowds(found)
        if len(found) <= _PALETTE_IDS:
            image = Image.fromarray(flat.labels.astype(np.uint8), "P")
            image.putpalette(_palette())
        else:
            image = Image.fromarray(flat.labels.astype(np.uint16))
        with atomic_write(output_path(folder, name, ".png")) as stream:
            image.save(stream, "PNG", compress_level=PNG_COMPRESSION)


def _stored_ids(image: Image.Image, name: str) -> npt.NDArray[np.int64]:
    if image.mode == "P":
        palette = image.getpalette() or []
        ids = np.asarray(image).astype(np.int64)
        if tuple(palette[3 * VOID : 3 * VOID + 3]) == _VOC_BORDER:
            ids[ids == VOID] = 0
        return ids
    if image.mode in ("L", "1", "I") or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.int64)
    if image.mode not in ("RGB", "RGBA", "LA"):
        raise InputError(f"{name} holds no whole numbers: save it as 8- or 16-bit PNG.")
    colours = np.asarray(image.convert("RGB"), np.int64)
    ids = colours @ np.array([1, 256, 256**2])
    count = len(np.unique(ids))
    if count > MAX_COLOURS:
        raise InputError(
            f"{name} holds {count} colours, which looks like a photo: a label image has one "
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
