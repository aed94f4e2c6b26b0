"""Label images: images whose pixel values are ids of instances, or numbers of classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from segdemo.annotations import rle
from segdemo.annotations.class_list import ClassList
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.file_names import output_path
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.label_png import read_facts, with_facts
from segdemo.annotations.omissions import Omissions
from segdemo.annotations.palette import palette
from segdemo.annotations.soft_masks import SOFT_THRESHOLD, coverage, harden
from segdemo.annotations.stored_ids import opened, pages, read_label_image, stored_ids
from segdemo.datatypes import MAX_INSTANCES, Front, InputError, Labels
from segdemo.files import PNG_COMPRESSION, atomic_write

_PALETTE_IDS = 254


def read_instance_ids(path: Path, file: str, collector: MaskCollector) -> list[Labels]:
    """Read the pages of a label image as (H, W) ids, of most formats one.

    A soft mask, also in an alpha channel, is one object and is cut at half, and so are smoothed
    borders between ids; both are noted. Raises InputError.
    """
    found: list[Labels] = []
    with opened(path, file) as image:
        for page in pages(image, file):
            share = coverage(page)
            if share is not None:
                collector.notes.change(file, "", "it is a soft mask and was cut at half")
                found.append((share >= SOFT_THRESHOLD).astype(np.int64))
                continue
            ids = stored_ids(page, file)
            hardened = None if page.mode == "P" else harden(ids, page)
            if hardened is not None:
                collector.notes.change(file, "", "its smoothed borders were cut at half")
            found.append(ids if hardened is None else hardened)
    return found


def add_label_image(
    path: Path, name: str, collector: MaskCollector, file: str, classes: ClassList | None
) -> None:
    """Read an image of ids, or of the numbers of `classes`, as the masks of the image `name`.

    A file of several pages holds one mask on each.
    """
    key = collector.key(name, file)
    if key is None:
        return
    if classes is not None:
        add_labels(read_label_image(path, file), key, collector, file, classes)
        return
    facts = read_facts(path, file)
    found = read_instance_ids(path, file, collector)
    if len(found) == 1 and facts is not None:
        (ids,) = found
        numbers = np.unique(ids[ids > 0])
        collector.make_room(key, (ids.shape[0], ids.shape[1]), len(numbers), file)
        runs = InstanceRuns.from_label_map(ids)
        collector.add(key, with_facts(runs, numbers, facts[1], collector.category), file)
    elif len(found) == 1:
        add_labels(found[0], key, collector, file, None)
    else:
        maps = {f"page {i}": InstanceRuns.from_label_map(ids) for i, ids in enumerate(found, 1)}
        add_single_masks(key, maps, collector, file)


def add_single_masks(
    key: str, maps: Mapping[str, InstanceRuns], collector: MaskCollector, file: str
) -> None:
    """Keep label maps of one mask each, by what notes call them, as the masks of one image."""
    shapes = {one.size for one in maps.values()}
    if len(shapes) > 1:
        (a, b), (c, d) = sorted(shapes)[:2]
        raise InputError(
            f"{file}: the masks of {key} are {b} x {a} and {d} x {c}: export them in one size."
        )
    (size,) = shapes
    collector.make_room(key, size, len(maps), file)
    counts: list[bytes] = []
    for entry, one in maps.items():
        if len(one) <= 1:
            counts += one.counts or (rle.merge((), size),)
        else:
            collector.notes.leave_out(file, entry, "it holds several ids, the others one mask each")
    collector.add(key, InstanceRuns.unscored(size, tuple(counts)), file)


def add_labels(
    ids: Labels, key: str, collector: MaskCollector, file: str, classes: ClassList | None
) -> None:
    """Keep (H, W) ids as masks: one per id, or one per class with its name and without void."""
    if classes is not None:
        classes.check(ids, file)
        # one above the class, as class 0 may be one like others
        ids = np.where(np.isin(ids, list(classes.void)), 0, ids.astype(np.int64) + 1)
    found = np.unique(ids)
    if found.size and found[0] < 0:
        raise InputError(f"{file} holds {found[0]}: ids start at 0, the background.")
    numbers = found[found > 0]
    size = (ids.shape[0], ids.shape[1])
    collector.make_room(key, size, len(numbers), file)
    masks = InstanceRuns.from_label_map(ids)
    if classes is not None:
        of_class = numbers.astype(np.int64) - 1
        masks = InstanceRuns.unscored(size, masks.counts, of_class, classes.names)
        collector.stuff.update(classes.names[number] for number in classes.stuff)
    collector.add(key, masks, file)


def write_indexed(
    masks_by_name: Mapping[str, InstanceRuns], folder: Path, omissions: Omissions, front: Front
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
            image.putpalette(palette())
        else:
            image = Image.fromarray(flat.labels.astype(np.uint16))
        with atomic_write(output_path(folder, name, ".png")) as stream:
            image.save(stream, "PNG", compress_level=PNG_COMPRESSION)
