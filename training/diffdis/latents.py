"""Encoded pairs on disk: the autoencoder is frozen, so each picture is encoded once.

Only what can be had of stored latents remains of the augmentation: every picture is there as it is
and mirrored. Latents cannot be cropped, rotated, recoloured or pasted into each other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from segdemo.diffdis.pipeline import DiffDISPipeline
from training.diffdis.augmentation import flipped, squash
from training.diffdis.data import NoiseDraws, PairBatch, read_planes
from training.diffdis.pairs import Pair
from training.loop.sampling import Draw


@dataclass(frozen=True, eq=False)
class Latents:
    """Of B pictures. picture, mask, edge: (B, 4, s, s). pyramid: of the picture, each smaller."""

    picture: torch.Tensor
    pyramid: tuple[torch.Tensor, ...]
    mask: torch.Tensor
    edge: torch.Tensor


@dataclass(frozen=True, eq=False)
class EncodedBatch(Latents):
    """Latents with the noise that they get, (tasks * B, 4, s, s), for a timestep."""

    noise: torch.Tensor
    timestep: int


@dataclass(frozen=True)
class LatentCache:
    """A folder of latents, a file a pair.

    size: of the squashed pictures. levels: of the condition pyramid. encoder: fingerprint of what
    encodes.
    """

    folder: Path
    size: int
    stretched: bool
    levels: int
    encoder: str

    def file(self, pair: Pair) -> Path:
        """Return where a pair's latents are; another name for other files, size or encoder."""
        states = [file.stat() for file in (pair.image, pair.mask)]
        state = [str(pair.image), str(pair.mask), str(pair.contour), self.encoder]
        state += [f"{s.st_size} {s.st_mtime_ns}" for s in states]
        state += [str(self.size), str(self.stretched), str(self.levels)]
        digest = hashlib.sha256("|".join(state).encode()).hexdigest()[:16]
        return self.folder / f"{pair.image.stem}-{digest}.safetensors"

    @torch.inference_mode()
    def fill(self, pairs: list[Pair], pipeline: DiffDISPipeline, quiet: bool = False) -> None:
        """Encode the pairs that are not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [pair for pair in pairs if not self.file(pair).exists()]
        for pair in tqdm(missing, desc="encoding", disable=quiet or not missing):
            planes = read_planes(pair)
            both = [squash(p, self.size, self.stretched) for p in (planes, flipped(planes))]
            batch = torch.stack([torch.from_numpy(values) for values in both])
            found = encode_planes(pipeline, batch)
            parts = {"picture": found.picture, "mask": found.mask, "edge": found.edge}
            parts |= {f"level_{k}": level for k, level in enumerate(found.pyramid)}
            file = self.file(pair)
            partial = file.with_suffix(".partial")
            stored = {name: value.half().cpu().contiguous() for name, value in parts.items()}
            save_file(stored, partial)
            partial.replace(file)


@dataclass(frozen=True)
class CachedBatches:
    """Makes a draw's batch of stored latents, each picture mirrored or not."""

    pairs: list[Pair]
    cache: LatentCache
    noise: NoiseDraws
    augmented: bool = True

    def __call__(self, draw: Draw) -> EncodedBatch:
        """Read the latents of the draw's pictures."""
        rng = draw.rng
        chosen = [self.pairs[i] for i in draw.items(len(self.pairs), self.noise.batch_size)]
        sides = [int(rng.random() < 0.5) if self.augmented else 0 for _ in chosen]
        files = [load_file(self.cache.file(pair)) for pair in chosen]
        parts = {
            name: torch.stack([f[name][side] for f, side in zip(files, sides, strict=True)]).float()
            for name in files[0]
        }
        levels = [parts[f"level_{k}"] for k in range(self.cache.levels)]
        noise, timestep = self.noise(rng)
        return EncodedBatch(
            parts["picture"], tuple(levels), parts["mask"], parts["edge"], noise, timestep
        )


def fingerprint(pipeline: DiffDISPipeline) -> str:
    """Return a name that differs for other encoders and other photo features."""
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
    """Encode planes (B, 5, S, S) on the pipeline's device, the maps as grey pictures."""
    planes = planes.to(pipeline.device)
    pictures = planes[:, :3]
    mask, edge = (pipeline.encode(planes[:, [channel] * 3]) for channel in (3, 4))
    return Latents(pipeline.encode(pictures), pipeline.condition_pyramid(pictures), mask, edge)


def encode_batch(pipeline: DiffDISPipeline, batch: PairBatch) -> EncodedBatch:
    """Encode a batch of pictures."""
    latents = encode_planes(pipeline, batch.planes)
    return EncodedBatch(**vars(latents), noise=batch.noise, timestep=batch.timestep)
