"""Where `refine` takes masks and edges from, one photo at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from segdemo.annotations import InstanceRuns, read_masks
from segdemo.annotations.class_list import ClassList
from segdemo.annotations.collector import MaskCollector
from segdemo.annotations.folders import LABEL_SUFFIXES, annotation_files
from segdemo.annotations.notes import ReadingNote
from segdemo.annotations.stored_ids import read_label_image
from segdemo.annotations.voc import class_numbers
from segdemo.commands.digests import DIGITS, file_digest, model_digest
from segdemo.datatypes import FloatMap, InputError, InstanceMasks, Labels, Points, RGBImage
from segdemo.edge_files import read_edge_map
from segdemo.files import ImageFile
from segdemo.images import SUFFIXES
from segdemo.regular_files import real_path
from segdemo.rip.instances import refine_instances
from segdemo.rip.semantic import refine_semantic
from segdemo.rip.settings import RIPSettings

_EDGE_SUFFIXES = (".png", *sorted(SUFFIXES - {".png"}))  # the lossless and usual one first


class MaskSource(Protocol):
    """Masks to be refined, by the names of their photos.

    notes: what reading them left out or changed. stuff: names of the classes without instances.
    """

    notes: Sequence[ReadingNote]
    stuff: frozenset[str]

    def digest(self, name: str) -> str:
        """Return a hash of a photo's masks; raises InputError without any."""

    def refine(
        self, name: str, edge: FloatMap, settings: RIPSettings, points: Points | None
    ) -> tuple[InstanceMasks, str]:
        """Return what comes out, and a sentence that tells of it; raises InputError.

        points: one on each object, or None where there are no point annotations.
        """


FindEdges = Callable[[ImageFile, RGBImage], FloatMap]
"""Returns a photo's edges (H, W) in [0, 1]; raises InputError."""


class EdgeProvider(Protocol):
    """Edge maps of photos.

    settings: what chose them, as JSON holds it, under what the user calls it.
    """

    settings: Mapping[str, Any]

    def digest(self, image_file: ImageFile) -> str:
        """Return a hash of a photo's edges; raises InputError without any."""

    def finder(self) -> FindEdges:
        """Load what edges need; raises InputError."""


class InstanceFiles:
    """Instance masks of any format."""

    def __init__(self, path: Path, sizes: Mapping[str, tuple[int, int]]) -> None:
        """Read them for the photos of these (height, width); raises InputError."""
        self._path = path
        self._masks = read_masks(path, sizes)
        self.notes = self._masks.notes
        self.stuff = self._masks.stuff
        if sizes and not self._masks:
            raise InputError(f"{path} holds no masks of these photos: check the names.")

    def digest(self, name: str) -> str:
        """See `MaskSource`."""
        found = self._of(name)
        digest = hashlib.blake2b(repr(found.size).encode())
        for counts in found.counts:
            digest.update(counts + b"\n")
        for values in (found.scores, found.category_ids, found.crowd):
            digest.update(b"none" if values is None else values.tobytes())
        digest.update(json.dumps(sorted(found.names.items())).encode())
        return digest.hexdigest()[:DIGITS]

    def refine(
        self, name: str, edge: FloatMap, settings: RIPSettings, points: Points | None
    ) -> tuple[InstanceMasks, str]:
        """See `MaskSource`."""
        masks = self._of(name).decoded()
        repaired, repair = refine_instances(masks, edge, settings, self.stuff, points)
        unused = f", {repair.unused_points} points on no mask" if repair.unused_points else ""
        return repaired, (
            f"{len(masks)} masks, {repair.split} split, {repair.joined} joined, {repair.dropped} "
            f"dropped{unused}: {repair.instances} instances"
        )

    def _of(self, name: str) -> InstanceRuns:
        if name not in self._masks.runs:
            raise InputError(f"{self._path} holds no masks of this photo: check the names.")
        return self._masks.runs[name]


class ClassMaps:
    """Images of class numbers, one a photo."""

    def __init__(
        self, path: Path, sizes: Mapping[str, tuple[int, int]], classes: ClassList
    ) -> None:
        """Look for the photos' class maps in a folder, or take one file; raises InputError."""
        self._path = path
        self._sizes = sizes
        self._classes = classes
        self.notes: Sequence[ReadingNote] = ()
        self.stuff = frozenset(classes.names[number] for number in classes.stuff)
        self._files: dict[str, Path] = {}
        if not path.exists():
            raise InputError(f"{path} does not exist: check the path.")
        gathering = MaskCollector(sizes)
        for file in annotation_files(path) if path.is_dir() else [path]:
            name = file.relative_to(path).as_posix() if path.is_dir() else file.name
            key = gathering.key(name, str(path))
            if key is None or file.suffix.lower() not in LABEL_SUFFIXES:
                continue
            if key in self._files:
                raise InputError(
                    f"{file} and {self._files[key]} are both class maps of {key}: remove one."
                )
            self._files[key] = file
        if sizes and not self._files:
            raise InputError(
                f"{path} holds no class maps of these photos: give PNGs of the photos' names."
            )

    def digest(self, name: str) -> str:
        """See `MaskSource`."""
        return file_digest(self._of(name))

    def refine(
        self, name: str, edge: FloatMap, settings: RIPSettings, points: Points | None
    ) -> tuple[InstanceMasks, str]:
        """See `MaskSource`."""
        file = self._of(name)
        class_map = self._read(file)
        height, width = self._sizes[name]
        if class_map.shape != (height, width):
            raise InputError(
                f"{file} is {class_map.shape[1]} x {class_map.shape[0]}, its photo {width} x "
                f"{height}: give class maps of the photos' sizes."
            )
        self._classes.check(class_map, str(file))
        things, void = self._classes.things, self._classes.void
        found = refine_semantic(class_map, edge, things, void, settings, points=points)
        of_things = found.class_ids[: found.things]
        return found.to_instances(self._classes.names), (
            f"{len(of_things)} instances of {len(np.unique(of_things))} classes, "
            f"{len(found.class_ids) - found.things} of stuff"
        )

    def _read(self, file: Path) -> Labels:
        """Read a class map of the list's colours, else of its numbers."""
        colours = self._classes.colours
        numbers = class_numbers(file, str(file), colours) if colours else None
        return read_label_image(file, str(file)) if numbers is None else numbers

    def _of(self, name: str) -> Path:
        if name not in self._files:
            raise InputError(f"{self._path} holds no class map of this photo: check the names.")
        return self._files[name]


class EdgeFiles:
    """Edge maps in a folder, `<stem>_edge.png` as `edges` writes them; see `EdgeProvider`.

    Other edge detectors call them like the photo, with any ending of an image.
    """

    settings: Mapping[str, Any] = {"edges": "from files"}

    def __init__(self, folder: Path) -> None:
        """Raise InputError if the folder is none."""
        if not folder.is_dir():
            raise InputError(f"--edges {folder} is not a folder.")
        self._folder = folder

    def digest(self, image_file: ImageFile) -> str:
        """See `EdgeProvider`."""
        return file_digest(self._of(image_file))

    def finder(self) -> FindEdges:
        """See `EdgeProvider`."""
        return lambda image_file, image: (
            read_edge_map(self._of(image_file), (image.shape[0], image.shape[1])).probability
        )

    def _of(self, image_file: ImageFile) -> Path:
        first = self._folder / f"{image_file.stem}_edge.png"
        others = [self._folder / f"{image_file.stem}{suffix}" for suffix in _EDGE_SUFFIXES]
        for file in (first, *others):
            # the photo itself may lie there, it is not its edge map
            if file.is_file() and real_path(file) != real_path(image_file.path):
                return file
        raise InputError(
            f"there is no edge map {first}, nor one called {image_file.stem}.png: add it, or leave "
            "--edges out."
        )


class BackboneEdges:
    """Edge maps that a diffusion model draws; see `EdgeProvider`."""

    def __init__(self, backbone: str, device: str, precision: str, autoencoder: str = "") -> None:
        """Load nothing yet."""
        self._backbone, self._device, self._precision = backbone, device, precision
        self._autoencoder = autoencoder
        self.settings: Mapping[str, Any] = {
            "edges": "by a backbone",
            "backbone": backbone,
            "files of the backbone": model_digest(backbone),
            "precision": precision,
            "autoencoder": autoencoder,
            "files of the autoencoder": model_digest(autoencoder),
        }

    def digest(self, image_file: ImageFile) -> str:
        """See `EdgeProvider`: nothing but photo and settings counts."""
        return ""

    def finder(self) -> FindEdges:
        """See `EdgeProvider`."""
        from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

        assistant = AnnotationAssistant(
            device=self._device,
            precision=self._precision,
            backbone=self._backbone,
            autoencoder=self._autoencoder,
        )
        assistant.load_backbone()
        return lambda image_file, image: assistant.edges(image).probability
