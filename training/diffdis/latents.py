"""Encoded images on disk: the autoencoder is frozen, so each image is encoded once.

Of the augmentation only what works on latents remains: every image is stored as it is and mirrored.
Latents cannot be cropped, rotated, recoloured or mixed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from tqdm import tqdm

from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.files import atomic_write
from training.diffdis.augmentation import flipped, squash
from training.diffdis.data import PairBatch, read_planes
from training.diffdis.noise import NoiseSampler
from training.diffdis.pairs import ImageMaskPair
from training.loop.sampling import BatchIndex

LEVEL = "level_{}"
"""Name of a level of the condition pyramid in a cache."""


@dataclass(frozen=True, eq=False)
class Latents:
    """Of B images. image, mask, edge: (B, 4, s, s). pyramid: conditions, each level smaller."""

    image: torch.Tensor
    pyramid: tuple[torch.Tensor, ...]
    mask: torch.Tensor
    edge: torch.Tensor

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all tensors by the names that a cache has for them."""
        levels = {LEVEL.format(k): level for k, level in enumerate(self.pyramid)}
        return {"image": self.image, "mask": self.mask, "edge": self.edge, **levels}

    @staticmethod
    def of(tensors: Mapping[str, torch.Tensor]) -> Latents:
        """Collect what `tensors` returned; other names are ignored."""
        count = sum(name.startswith(LEVEL.format("")) for name in tensors)
        pyramid = tuple(tensors[LEVEL.format(k)] for k in range(count))
        return Latents(tensors["image"], pyramid, tensors["mask"], tensors["edge"])

    def to(self, device: torch.device) -> Latents:
        """Return the same on a device."""
        return Latents.of({name: value.to(device) for name, value in self.tensors().items()})


@dataclass(frozen=True)
class LatentCache:
    """A folder with one file per item, of float16 and integer tensors by name."""

    folder: Path

    def __contains__(self, item: str) -> bool:
        """Return whether an item is stored."""
        return self._file(item).exists()

    def write(self, item: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Store an item, completely or not at all; floats become float16."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stored = {
            name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
            for name, value in tensors.items()
        }
        with atomic_write(self._file(item)) as stream:
            stream.write(save(stored))

    def read(self, item: str) -> dict[str, torch.Tensor]:
        """Return an item's tensors; floats are float32."""
        tensors = load_file(self._file(item))
        return {
            name: value.float() if value.is_floating_point() else value
            for name, value in tensors.items()
        }

    def _file(self, item: str) -> Path:
        return self.folder / f"{item}.safetensors"


def stack(items: Iterable[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Stack the tensors of several items, name by name."""
    items = list(items)
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


@dataclass(frozen=True, eq=False)
class EncodedBatch:
    """Latents with the noise that they get, (tasks * B, 4, s, s), for the first timestep.

    timesteps: descending; all steps are taken one after another.
    """

    latents: Latents
    noise: torch.Tensor
    timesteps: tuple[int, ...]

    def to(self, device: torch.device) -> EncodedBatch:
        """Return the same on a device."""
        return EncodedBatch(self.latents.to(device), self.noise.to(device), self.timesteps)


@dataclass(frozen=True)
class PairLatents:
    """The latents of image and mask pairs, as they are and mirrored, in a cache.

    size: side of the squashed images in pixels. stretched: see `squash`. levels: of the condition
    pyramid. encoder: hash of the networks that encode.
    """

    cache: LatentCache
    size: int
    stretched: bool
    levels: int
    encoder: str

    def item(self, pair: ImageMaskPair) -> str:
        """Return a pair's name in the cache; it changes with files, size and encoder."""
        states = [file.stat() for file in (pair.image, pair.mask)]
        state = [str(pair.image), str(pair.mask), str(pair.contour), self.encoder]
        state += [f"{s.st_size} {s.st_mtime_ns}" for s in states]
        state += [str(self.size), str(self.stretched), str(self.levels)]
        digest = hashlib.sha256("|".join(state).encode()).hexdigest()[:16]
        return f"{pair.image.stem}-{digest}"

    @torch.inference_mode()
    def fill(
        self, pairs: list[ImageMaskPair], pipeline: DiffDISPipeline, quiet: bool = False
    ) -> None:
        """Encode the pairs that are not stored yet."""
        missing = [pair for pair in pairs if self.item(pair) not in self.cache]
        for pair in tqdm(missing, desc="encoding", disable=quiet or not missing or None):
            planes = read_planes(pair)
            both = [squash(p, self.size, self.stretched) for p in (planes, flipped(planes))]
            batch = torch.stack([torch.from_numpy(values) for values in both])  # (2, 5, S, S)
            self.cache.write(self.item(pair), encode_planes(pipeline, batch).tensors())

    def read(self, pair: ImageMaskPair, mirrored: int) -> dict[str, torch.Tensor]:
        """Return the tensors of one pair. mirrored: 0 or 1."""
        return {name: both[mirrored] for name, both in self.cache.read(self.item(pair)).items()}


@dataclass(frozen=True)
class CachedBatches:
    """Makes batches of stored latents, half of them mirrored."""

    pairs: list[ImageMaskPair]
    latents: PairLatents
    noise: NoiseSampler
    augmented: bool = True

    def __call__(self, index: BatchIndex) -> EncodedBatch:
        """Read the latents of a batch."""
        rng = index.rng
        chosen = [self.pairs[i] for i in index.items(len(self.pairs), self.noise.batch_size)]
        sides = [int(rng.random() < 0.5) if self.augmented else 0 for _ in chosen]
        items = (self.latents.read(*item) for item in zip(chosen, sides, strict=True))
        return EncodedBatch(Latents.of(stack(items)), *self.noise(rng))


def hash_encoder(pipeline: DiffDISPipeline) -> str:
    """Return a hash that differs for other encoders and other photo features."""
    autoencoder = pipeline.autoencoder
    parts = [autoencoder.encoder.conv_in.weight, autoencoder.encoder.conv_out.weight]
    if pipeline.photo_features is not None:
        first, *_, last = pipeline.photo_features.parameters()
        parts += [first, last]
    digest = hashlib.sha256(str(autoencoder.config.scaling_factor).encode())
    for part in parts:
        digest.update(part.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def encode_planes(pipeline: DiffDISPipeline, planes: torch.Tensor) -> Latents:
    """Encode planes (B, 5, S, S) on the pipeline's device, mask and edge as grey images."""
    planes = planes.to(pipeline.device)
    images = planes[:, :3]
    mask, edge = (pipeline.encode(planes[:, [channel] * 3]) for channel in (3, 4))
    return Latents(pipeline.encode(images), pipeline.condition_pyramid(images), mask, edge)


def encode_batch(pipeline: DiffDISPipeline, batch: PairBatch) -> EncodedBatch:
    """Encode a batch of images."""
    return EncodedBatch(encode_planes(pipeline, batch.planes), batch.noise, batch.timesteps)
