"""One image per instance, transparent around it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from segdemo.annotations.file_names import output_path
from segdemo.annotations.omissions import Omissions
from segdemo.datatypes import InputError, InstanceMasks, RGBImage
from segdemo.files import write_png
from segdemo.images import cut_out


def write_cutouts(
    masks_by_name: Mapping[str, InstanceMasks],
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
