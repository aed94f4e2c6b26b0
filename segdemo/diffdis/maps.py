"""Decoded maps: stretched, merged, and brought to the size of the image."""

from __future__ import annotations

import numpy as np
import torch

from segdemo.datatypes import InputError, SegmentationResult
from segdemo.images import mask_contour, resize_map


def stretch(maps: torch.Tensor) -> torch.Tensor:
    """Stretch each (H, W) map to [0, 1] by its own extremes; a constant map stays as it is."""
    low = maps.amin((-2, -1), keepdim=True)
    span = maps.amax((-2, -1), keepdim=True) - low
    return torch.where(span > 1e-6, (maps - low) / span.clamp_min(1e-6), maps)


def combine(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Merge E predictions of one map by their per-pixel median (Marigold's ensembling, in effect).

    maps: (E, H, W). Each is stretched, then their (lower) median; returns it stretched, and the
    median absolute deviation relative to its range as uncertainty; both (H, W) in [0, 1].
    """
    aligned = stretch(maps)
    median = aligned.median(0).values
    deviation = (aligned - median).abs().median(0).values
    span = (median.max() - median.min()).clamp_min(1e-6)
    return stretch(median), (deviation / span).clip(0, 1)


def merge_members(
    members: torch.Tensor, mask_range: tuple[float, float], size: tuple[int, int]
) -> SegmentationResult:
    """Merge predictions (E, 2, S, S), of the mask alone (E, 1, S, S), at (height, width)."""
    if not torch.isfinite(members).all():
        raise InputError(
            "The model's output has values that are not finite: its weights are damaged, or half "
            "precision overflowed; try --precision fp32."
        )
    maps, uncertainty = members[0], None
    if len(members) > 1:
        merged = [combine(members[:, task]) for task in range(members.shape[1])]
        maps = torch.stack([values for values, _ in merged])
        uncertainty = resize_map(merged[0][1].cpu().numpy(), size)
    resized = [resize_map(values.cpu().numpy(), size) for values in maps]
    return SegmentationResult(
        mask=resized[0],
        edge=resized[1] if len(resized) > 1 else None,
        mask_range=mask_range,
        uncertainty=uncertainty,
    )


def outline(maps: torch.Tensor) -> torch.Tensor:
    """Return the band along the outline of a mask above 0.5, (1, H, W) of 0 and 1."""
    subject = (maps[0] > 0.5).cpu().numpy().astype(np.uint8) * 255
    return torch.from_numpy(mask_contour(subject) / np.float32(255))[None].to(maps)
