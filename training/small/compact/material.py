"""The files that the compact models learn from, and which of them are kept for validation.

`train_mix/` and `photos2/` are the folders that training/README.md describes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segdemo.datatypes import InputError
from training.small.scenes.material import in_validation


@dataclass(frozen=True)
class LabelledFile:
    """A photo with the file of its mask or of its instance map."""

    image: Path
    labels: Path


@dataclass(frozen=True)
class CompactMaterial:
    """Files of one side of the split.

    people, subjects: photos with true masks; pseudo: photos whose soft masks U2NetP made;
    instances: photos with instance maps; cutouts: RGBA images; backgrounds: photos without labels;
    icons: the archive of silhouettes, None in the validation split.
    """

    people: list[LabelledFile]
    subjects: list[LabelledFile]
    pseudo: list[LabelledFile]
    instances: list[LabelledFile]
    cutouts: list[Path]
    backgrounds: list[Path]
    icons: Path | None

    @property
    def photos(self) -> list[Path]:
        """All photos, labelled or not."""
        labelled = self.people + self.pseudo + self.instances
        return [pair.image for pair in labelled] + self.backgrounds

    @property
    def masks(self) -> list[Path]:
        """All files of masks."""
        return [pair.labels for pair in self.people + self.subjects + self.pseudo]


def find_material(data_dir: Path, validation: bool) -> CompactMaterial:
    """List the files below `data_dir` of one side of the split.

    Raises InputError where `train_mix/` or `photos2/` is missing.
    """
    mix, photos = data_dir / "train_mix", data_dir / "photos2"
    for folder in (mix, photos):
        if not folder.is_dir():
            raise InputError(f"{folder} is missing: unpack the training material there.")
    icons = mix / "game-icons.json.gz"
    pseudo = sorted(photos.glob("pseudo_*"))
    return CompactMaterial(
        people=_pairs([mix / "ccp", photos / "ccp_extra"], "masks", validation),
        subjects=_pairs([photos / "coco128_lightly"], "masks", validation),
        pseudo=_pairs(pseudo, "masks", validation),
        instances=_pairs([mix / "coco", photos / "coco128_lightly"], "instances", validation),
        cutouts=_side(sorted(mix.glob("cutouts_*/*")), validation),
        backgrounds=_side(sorted((mix / "photos_bsds").glob("*")), validation),
        icons=icons if icons.is_file() and not validation else None,
    )


def _pairs(folders: list[Path], labels: str, validation: bool) -> list[LabelledFile]:
    """Pair each photo in `images/` with the PNG of its name in `labels`, where there is one."""
    files = [file for folder in folders for file in sorted((folder / "images").glob("*"))]
    found = [LabelledFile(f, f.parents[1] / labels / f"{f.stem}.png") for f in files]
    return [
        pair for pair in found if in_validation(pair.image) == validation and pair.labels.is_file()
    ]


def _side(files: list[Path], validation: bool) -> list[Path]:
    return [file for file in files if in_validation(file) == validation]
