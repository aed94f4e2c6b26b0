"""U2NetP with prompts: the finer half of its encoder sees the image only, the rest the prompt too.

So the costly features at 1/1 and 1/2 are computed once an image window, and every further click
costs about half of a pass. They keep U2NetP's weights; the block at full resolution on the way up,
half of that network's work, gives way to three small convolutions. What the prompted half sees
beside that, where a network is made for it: features of an ImageNet classifier, since few photos
with instances cannot teach what objects are, and attention between the cells of its coarse levels,
which carries a click to cells that look alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

from segdemo.photo_features import PhotoFeatures
from segdemo.prompting.prompts import CHANNELS
from segdemo.u2netp import DEPTHS, DilatedBlock, PooledBlock, U2NetP, normalize

PHOTO_SCALE = 1.5
"""Side of what the classifier sees, relative to the window: it knows objects at its own scale."""

IMAGE_BLOCKS = 2  # blocks of the encoder that do not see the prompt


@dataclass(frozen=True, eq=False)
class PromptOutput:
    """Logits of B prompts, (B, 1, S, S).

    coarse_logits: those of every coarser level, resized. edge_logits: of the mask's edge
    (`mask_contour`), None from a network without it.
    """

    logits: torch.Tensor
    coarse_logits: list[torch.Tensor]
    edge_logits: torch.Tensor | None


class PromptedU2Net(ModelMixin, ConfigMixin):
    """From a window of an image and prompt maps to the masks of the objects that are meant."""

    @register_to_config
    def __init__(
        self,
        channels: int = 64,
        inner_channels: int = 16,
        head_channels: int = 16,
        photo_widths: tuple[int, ...] = (),
        attention_levels: tuple[int, ...] = (),
        with_edge: bool = False,
    ) -> None:
        """Make one with random weights.

        The first three widths are U2NetP's and that of the head. photo_widths: of the photo
        features at 1/4 .. 1/32, none for a network without them. attention_levels: which of the
        encoder's prompted blocks, at 1/4 .. 1/32 and numbered from 0, attention follows.
        with_edge: whether it answers with the edge of the mask too.
        """
        super().__init__()
        wide, inner = channels, inner_channels
        self.image_encoder = nn.ModuleList(
            [PooledBlock(DEPTHS[0], 3, inner, wide), PooledBlock(DEPTHS[1], wide, inner, wide)]
        )
        self.encoder = nn.ModuleList(
            [PooledBlock(depth, wide, inner, wide) for depth in DEPTHS[IMAGE_BLOCKS:]]
            + [DilatedBlock(wide, inner, wide) for _ in range(2)]
        )
        self.decoder = nn.ModuleList(
            [PooledBlock(depth, 2 * wide, inner, wide) for depth in DEPTHS[1:]]
            + [DilatedBlock(2 * wide, inner, wide)]
        )
        self.side = nn.ModuleList(nn.Conv2d(wide, 1, 3, padding=1) for _ in range(5))
        # one for the skip at 1/2 and one for the entrance of every block that sees the prompt
        self.prompts = nn.ModuleList(
            _zero_convolution(CHANNELS, wide, 3) for _ in range(1 + len(self.encoder))
        )
        self.photo_in = nn.ModuleList(nn.Conv2d(width, 2 * wide, 1) for width in photo_widths)
        self.photo_out = nn.ModuleList(
            _zero_convolution(2 * wide, wide, 1) for _ in (self.encoder if photo_widths else ())
        )
        self.attention = nn.ModuleDict({str(level): _Attention(wide) for level in attention_levels})
        self.fine = nn.Conv2d(wide, head_channels, 1)
        self.coarse = nn.Conv2d(wide, head_channels, 1)
        self.head = nn.Sequential(
            nn.Conv2d(2 * head_channels + CHANNELS, head_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(head_channels, head_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(head_channels, 1, 3, padding=1),
        )
        self.edge = nn.Conv2d(head_channels, 1, 3, padding=1) if with_edge else None
        nn.init.zeros_(self.head[-1].weight)
        nn.init.zeros_(self.head[-1].bias)

    @classmethod
    def from_u2netp(cls, network: U2NetP) -> PromptedU2Net:
        """Start from U2NetP's weights; prompts and head change nothing until they are trained."""
        width, inner = network.config.channels, network.config.inner_channels
        prompted = cls(channels=width, inner_channels=inner)
        for own, theirs in (
            (prompted.image_encoder, network.encoder[:IMAGE_BLOCKS]),
            (prompted.encoder, network.encoder[IMAGE_BLOCKS:]),
            (prompted.decoder, network.decoder[1:]),
            (prompted.side, network.side[1:]),
        ):
            own.load_state_dict(theirs.state_dict())
        return prompted

    def extended(
        self, photo_widths: tuple[int, ...], attention_levels: tuple[int, ...]
    ) -> PromptedU2Net:
        """Return this network with photo features and attention that change nothing yet.

        It answers with an edge too, which is to be learnt.
        """
        network = type(self).from_config(
            self.config,
            photo_widths=photo_widths,
            attention_levels=attention_levels,
            with_edge=True,
        )
        network.load_state_dict(network.state_dict() | self.state_dict())
        return network

    def encode(
        self, images: torch.Tensor, photo_features: PhotoFeatures | None = None
    ) -> list[torch.Tensor]:
        """Return what is known of windows (B, 3, S, S) in [-1, 1] before any prompt.

        Own features at 1/1 and 1/2, then the photo features, where the network was made for them.
        """
        first, second = self.image_encoder
        full = first(normalize(images))  # (B, C, S, S)
        features = [full, second(_pool(full))]
        if photo_features is not None:
            side = round(PHOTO_SCALE * images.shape[-1])
            features += photo_features(_resized(images, torch.Size((side, side))))
        return features

    def forward(self, features: list[torch.Tensor], prompts: torch.Tensor) -> PromptOutput:
        """Find objects. prompts: (k * B, 4, S, S) for B windows, the k of a window together."""
        repeats = len(prompts) // len(features[0])
        full, half, *photo = (values.repeat_interleave(repeats, 0) for values in features)
        levels = _pyramid(F.avg_pool2d(prompts, 2), len(self.prompts))  # 1/2, 1/4 .. 1/32
        seen = self._photo_levels(photo, levels[1].shape)
        skips = [half + self.prompts[0](levels[0])]
        hidden = half
        for number, (block, convolution, level) in enumerate(
            zip(self.encoder, list(self.prompts)[1:], levels[1:], strict=True)
        ):
            given = _pool(hidden) + convolution(level)  # (kB, C, S / 4, S / 4) and coarser
            hidden = block(given + seen[number] if seen else given)
            if str(number) in self.attention:
                hidden = self.attention[str(number)](hidden)
            skips.append(hidden)

        maps = [self.side[-1](hidden)]
        for block, side, skip in zip(
            reversed(self.decoder), reversed(self.side[:-1]), reversed(skips[:-1]), strict=True
        ):
            hidden = block(torch.cat([_resized(hidden, skip.shape), skip], 1))
            maps.insert(0, side(hidden))
        coarse = [_resized(values, full.shape) for values in maps]  # (kB, 1, S, S) each
        last = [self.fine(full), _resized(self.coarse(hidden), full.shape), prompts]
        details = self.head[:-1](torch.cat(last, 1))  # (kB, head channels, S, S)
        edge = None if self.edge is None else self.edge(details)
        return PromptOutput(coarse[0] + self.head[-1](details), coarse, edge)

    def _photo_levels(self, photo: list[torch.Tensor], shape: torch.Size) -> list[torch.Tensor]:
        """Return what the photo features add at 1/4 .. 1/32; shape: of a map at 1/4."""
        projected = [
            _resized(convolution(values), shape)
            for convolution, values in zip(self.photo_in, photo, strict=True)
        ]  # (kB, 2 C, S / 4, S / 4) each
        if not projected:
            return []
        levels = _pyramid(torch.stack(projected).sum(0).relu(), len(self.photo_out))
        return [
            convolution(level) for convolution, level in zip(self.photo_out, levels, strict=True)
        ]


class _Attention(nn.Module):
    """Self-attention between the cells of a map (B, C, h, w), added to it."""

    HEADS = 4

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.project = nn.Conv2d(width, 3 * width, 1)
        self.out = _zero_convolution(width, width, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        batch, width, height, breadth = values.shape
        heads = self.project(self.norm(values)).reshape(batch, 3, self.HEADS, -1, height * breadth)
        query, key, value = heads.transpose(-1, -2).unbind(1)  # (B, heads, h * w, C / heads)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(-1, -2)
        return values + self.out(mixed.reshape(batch, width, height, breadth))


def _zero_convolution(width: int, out: int, kernel: int) -> nn.Conv2d:
    convolution = nn.Conv2d(width, out, kernel, padding=kernel // 2)
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)
    return convolution


def _pyramid(finest: torch.Tensor, count: int) -> list[torch.Tensor]:
    """Return maps of the full, half .. size, averaged; the last cell may lie half outside."""
    levels = [finest]
    while len(levels) < count:
        levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True, count_include_pad=False))
    return levels


def _pool(values: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(values, 2, 2, ceil_mode=True)


def _resized(values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return F.interpolate(values, shape[-2:], mode="bilinear", align_corners=False)
