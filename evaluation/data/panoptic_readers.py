"""Where one image's segments lie: a listed image of ids, VOC's two images, or codes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from segdemo.annotations import stored_ids
from segdemo.annotations.classes import VOID as VOC_VOID
from segdemo.datatypes import InputError
from segdemo.panoptic_quality import Segments

Coding = Literal["channels", "thousands", "mmdet", "semantic"]
"""How predictions without a list name class and instance. channels: red is the class, green the
instance. thousands: class * 1000 + instance. mmdet: place of the class among the sorted classes +
1000 * instance, the number of classes is void. semantic: a class map, one segment a class."""
CODINGS: tuple[Coding, ...] = get_args(Coding)
VOC_BACKGROUND = 21  # the class of pixels that VOC's images give 0
THOUSAND = 1000

Ids = npt.NDArray[np.int64]


class SegmentReader(Protocol):
    """Segments of one image that can be read."""

    def load(self) -> Segments:
        """Read them; raises InputError."""


@dataclass(frozen=True)
class VocSegments:
    """VOC's images of objects and classes: an object has the class most of its pixels have."""

    objects: Path
    classes: Path

    def load(self) -> Segments:
        """See `SegmentReader`; what is no object is background, 255 is void."""
        objects, classes = read_indices(self.objects), read_indices(self.classes)
        if objects.shape != classes.shape:
            raise InputError(f"{self.objects} and {self.classes} differ in size.")
        check_voc(classes, self.classes)
        background = VOC_VOID + 1  # an id that no object has
        ids = np.where(objects == 0, background, objects)
        ids[objects == VOC_VOID] = 0
        numbers = [n for n in np.unique(ids).tolist() if n]
        categories = {
            n: int(np.bincount(classes[ids == n]).argmax()) if n != background else VOC_BACKGROUND
            for n in numbers
        }
        return Segments(ids, categories)


@dataclass(frozen=True)
class CodedSegments:
    """An image or array of codes, see `Coding`.

    categories: sorted classes of the data set. background: the class of code 0, None for void.
    """

    path: Path
    coding: Coding
    categories: tuple[int, ...]
    background: int | None

    def load(self) -> Segments:
        """See `SegmentReader`."""
        classes, instances = self._codes()
        if self.background is not None:
            classes = np.where(classes == 0, self.background, classes)
        present = np.unique(classes).tolist()
        unknown = [number for number in present if number and number not in self.categories]
        if unknown:
            raise InputError(f"holds {unknown[0]}, which is no class here{_hint(unknown)}")
        ids = np.where(classes > 0, classes * (instances.max() + 1) + instances, 0)
        numbers = [number for number in np.unique(ids).tolist() if number]
        return Segments(ids, {n: n // int(instances.max() + 1) for n in numbers})

    def _codes(self) -> tuple[Ids, Ids]:
        """Return class and instance of each pixel, class 0 where there is none."""
        if self.coding == "channels":
            codes = stored_ids.read_label_image(self.path, self.path.name)
            return codes % 256, codes // 256 % 256
        codes = read_codes(self.path)
        if self.coding == "thousands":
            return codes // THOUSAND, codes % THOUSAND
        if self.coding == "mmdet":
            places = np.array([*self.categories, 0])  # the last is void
            place = codes % THOUSAND
            if place.max() >= len(places):
                raise InputError(f"holds class {place.max()} of {len(self.categories)}")
            return places[place], codes // THOUSAND
        return np.where(codes == VOC_VOID, 0, codes), np.zeros_like(codes)


def read_indices(path: Path) -> Ids:
    """Read (H, W) stored values of a palette or grey image, 255 too; raises InputError."""
    try:
        with Image.open(path, formats=stored_ids.FORMATS) as image:
            if image.mode not in ("P", "L", "I", "1") and not image.mode.startswith("I;16"):
                raise InputError(f"{path} is {image.mode}: save one number a pixel.")
            return np.asarray(image).astype(np.int64)
    except OSError as error:
        raise InputError(f"{path} is not an image that can be read: copy it again.") from error


def read_codes(path: Path) -> Ids:
    """Read (H, W) whole numbers from an image or NPY, or from the only array of an NPZ."""
    if path.suffix.lower() not in (".npy", ".npz"):
        return read_indices(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        values = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
        codes: Ids = values.astype(np.int64)
        if codes.ndim != 2 or (codes != values).any() or codes.min() < 0:
            raise InputError(f"holds {values.dtype} {values.shape}, expected whole (H, W)")
        return codes
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"is not an NPY or NPZ that can be read ({error})") from error


def check_voc(classes: Ids, path: Path) -> None:
    """Raise InputError where a class image holds anything but VOC's classes and void."""
    unknown = [n for n in np.unique(classes).tolist() if n > VOC_BACKGROUND - 1 and n != VOC_VOID]
    if unknown:
        raise InputError(
            f"{path.name} holds {unknown[0]}, which is no class of VOC{_hint(unknown)}"
        )


def _hint(values: list[int]) -> str:
    if len(values) > 1 or values[0] > 2 * VOC_BACKGROUND:
        return ": a palette image may have been read as grey or in colours, save its indices"
    return ""
