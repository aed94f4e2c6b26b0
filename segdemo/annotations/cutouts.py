"""One image per instance, transparent around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from segdemo.annotations.file_names import output_path
from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.annotations.omissions import Omissions
from segdemo.datatypes import InputError, RGBImage
from segdemo.files import write_png
from segdemo.images import cut_out, load_rgb


def write_cutouts(
    masks_by_name: Mapping[str, InstanceRuns],
    folder: Path,
    images: Mapping[str, RGBImage],
    omissions: Omissions,
) -> None:
    """Write one RGBA PNG per instance, `<image>_1.png` and so on, each of the image's size."""
    for name, found in masks_by_name.items():
        if name not in images:
            raise InputError(f"{name} is missing: cut-outs need the image as well as its masks.")
        omissions.add_scores(found)
        omissions.add_categories(found)
        omissions.add_crowds(found)
        for i, mask in enumerate(found.masks):
            path = output_path(folder, name, f"_{i + 1}.png")
            write_png(cut_out(images[name], mask.astype(np.float32)), path)


class ImagesByName(Mapping[str, RGBImage]):
    """Images by name, read on access: all together may exceed memory. The last one is cached."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        """Read nothing yet."""
        self._paths = dict(paths)
        self._read = lru_cache(maxsize=1)(load_rgb)

    def __getitem__(self, name: str) -> RGBImage:
        """Return an image's pixels; raises InputError."""
        return self._read(self._paths[name], name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._paths)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._paths)
