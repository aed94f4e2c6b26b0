"""The DiffDIS network over stock diffusers: three additions to the Stable Diffusion U-Net.

Batch-discriminative embedding (BDE) tells mask items from edge items, detail-balancing interactive
attention (DBIA) is cross-attention between the two, and scale-wise conditional injection (SWCI)
brings the re-encoded image back into the skip connections. The paper's ablations leave out
parts of these; a network's config says which.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from torch import nn
from torch.nn import functional as F

from segdemo.diffdis.denoising import ONE_STEP, find_denoising

MASK_LABEL = (0.0, 0.8414709848078965, 1.0, 0.5403023058681398)
"""[sin 0, sin 1, cos 0, cos 1]: BDE's positional code of (0, 1), the task label of a mask."""

EDGE_LABEL = (0.8414709848078965, 0.0, 0.5403023058681398, 1.0)
"""[sin 1, sin 0, cos 1, cos 0]: BDE's positional code of (1, 0), the task label of an edge."""


INTERACTIONS = ("dbia", "concat", "none")
"""Keys and values of DBIA in the mid block: of the other task, of both, or of the own task only."""


BDE_CONFIG = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 4}
"""The stock settings that batch-discriminative embedding (BDE) needs."""


def task_labels(images: int) -> torch.Tensor:
    """Return the task labels of a batch for BDE, (2 * images, 4): mask items, then edge items."""
    return torch.tensor([MASK_LABEL] * images + [EDGE_LABEL] * images)


class InteractiveTransformerBlock(nn.Module):
    """The mid block's transformer with mutual attention between mask and edge (DBIA, eq. 6)."""

    def __init__(self, block: BasicTransformerBlock, interaction: str = "dbia") -> None:
        """Reuse the layers of a stock block; the mutual attention starts as its self-attention.

        The copy of `norm1` and `attn1` is what training from plain Stable Diffusion starts with.
        interaction: dbia, or concat (the ablation): keys and values of both halves, not only of
        the other one.
        """
        super().__init__()
        self.interaction = interaction
        self.norm1, self.attn1 = block.norm1, block.attn1
        self.norm2, self.attn2 = block.norm2, block.attn2
        self.norm3, self.ff = block.norm3, block.ff
        self.norm_mutual = nn.LayerNorm(self.norm1.normalized_shape, eps=self.norm1.eps)
        self.attn_mutual = Attention(
            query_dim=self.attn1.to_q.in_features,
            heads=self.attn1.heads,
            dim_head=self.attn1.inner_dim // self.attn1.heads,
        )
        self.norm_mutual.load_state_dict(self.norm1.state_dict())
        self.attn_mutual.load_state_dict(self.attn1.state_dict())

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> torch.Tensor:
        """Self, mutual, text attention and feed-forward, each with its residual; (2B, n, C).

        The stock mid block also passes masks and timesteps, by position when it saves memory by
        computing twice; DiffDIS uses none of them.
        """
        hidden_states = hidden_states + self.attn1(self.norm1(hidden_states))
        normed = self.norm_mutual(hidden_states)
        seen = normed.roll(len(normed) // 2, dims=0)  # mask items see edge items, and back
        if self.interaction == "concat":
            seen = torch.cat([normed, seen], dim=1)  # (2B, 2n, C)
        hidden_states = hidden_states + self.attn_mutual(normed, seen)
        hidden_states = hidden_states + self.attn2(self.norm2(hidden_states), encoder_hidden_states)
        return hidden_states + self.ff(self.norm3(hidden_states))  # (2B, n, C)


class ConditionInjector(nn.Module):
    """One scale of SWCI: the re-encoded image scales and shifts a skip connection.

    The paper injects into the encoder; as in the official code, only the skips that the decoder
    reads are changed.
    """

    def __init__(self, condition_channels: int, channels: int) -> None:
        """Build an injector that changes nothing until it is trained (zero convolutions)."""
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(condition_channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.GELU(),
        )
        self.scale = nn.Conv2d(channels, channels, 3, padding=1)
        self.shift = nn.Conv2d(channels, channels, 3, padding=1)
        for convolution in (self.scale, self.shift):
            nn.init.zeros_(convolution.weight)
            nn.init.zeros_(convolution.bias)

    def forward(self, skip: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return skip * scale + shift + skip.

        skip: (n, C, h, w). condition: (n, c, h, w), or (n/2, c, h, w) when both halves of the batch
        show the same images, which saves half of the work.
        """
        features = self.features(condition)
        repeats = (len(skip) // len(condition), 1, 1, 1)
        scale, shift = self.scale(features).repeat(repeats), self.shift(features).repeat(repeats)
        return skip * scale + shift + skip  # (n, C, h, w)


class PhotoFusion(nn.Module):
    """Adds features of a pretrained image classifier to the hidden states at the same place.

    Not in the paper: a large text-to-image model has such features itself, a small one does not.
    """

    def __init__(self, photo_channels: int, channels: int) -> None:
        """Build a fusion that changes nothing until it is trained (zero convolution)."""
        super().__init__()
        self.features = nn.Sequential(
            nn.GroupNorm(1, photo_channels),  # levels differ by orders of magnitude
            nn.Conv2d(photo_channels, channels, 1),
            nn.GELU(),
        )
        self.shift = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.shift.weight)
        nn.init.zeros_(self.shift.bias)

    def forward(self, hidden: torch.Tensor, photo: torch.Tensor) -> torch.Tensor:
        """Return hidden + shift. hidden: (n, C, h, w). photo: (n or n/2, c, h, w)."""
        # PyTorch 2.13's GroupNorm on a CPU crashes in its backward for other layouts
        shift = self.shift(self.features(photo.contiguous()))
        return hidden + shift.repeat(len(hidden) // len(photo), 1, 1, 1)


class DiffDISUNet(UNet2DConditionModel):
    """A Stable Diffusion U-Net with BDE, DBIA and SWCI.

    Built like its parent, with `in_channels=8`, `class_embed_type="projection"` and
    `projection_class_embeddings_input_dim=4`. Output: (2B, 4, L, L), what the scheduler's
    prediction type says (the released weights predict noise).
    """

    @functools.wraps(UNet2DConditionModel.__init__)  # type: ignore[misc]
    def __init__(
        self,
        *args: Any,
        edge_task: bool = True,
        interaction: str = "dbia",
        scale_injection: bool = True,
        denoising: str = ONE_STEP,
        photo_widths: tuple[int, ...] = (),
        **kwargs: Any,
    ) -> None:
        """Build the stock U-Net, then replace its middle and add the injectors.

        edge_task: without it a batch holds mask items only. interaction: one of `INTERACTIONS`.
        scale_injection: whether there is SWCI. denoising: the paradigm that it was trained by.
        photo_widths: channels of photo features at 1/8, 1/16, 1/32 and 1/64 of the image, which
        join the hidden states there; none in the paper.
        Raises ValueError for an interaction that does not exist or has no edges to see, and for
        another number of photo widths; InputError for a paradigm that does not exist.
        """
        if interaction not in (INTERACTIONS if edge_task else ("none",)):
            raise ValueError(f"interaction {interaction!r} with edge_task {edge_task}")
        find_denoising(denoising)
        super().__init__(*args, **kwargs)
        self.register_to_config(
            edge_task=edge_task,
            interaction=interaction,
            scale_injection=scale_injection,
            denoising=denoising,
            photo_widths=tuple(photo_widths),
        )
        if interaction != "none":
            blocks = self.mid_block.attentions[0].transformer_blocks
            blocks[0] = InteractiveTransformerBlock(blocks[0], interaction)
        widths = self.config.block_out_channels[:3] if scale_injection else ()
        self.injectors = nn.ModuleList(
            ConditionInjector(self.config.out_channels, width) for width in widths
        )
        fused = [self.config.block_out_channels[0], *self.config.block_out_channels[:3]]
        if len(photo_widths) not in (0, len(fused)):
            raise ValueError(f"photo_widths {tuple(photo_widths)}: give {len(fused)} or none")
        self.photo_fusions = nn.ModuleList(
            PhotoFusion(*channels) for channels in zip(photo_widths, fused, strict=False)
        )

    # a config is read by the names in the constructor's signature: the stock ones and ours
    __init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *inspect.signature(UNet2DConditionModel.__init__).parameters.values(),
            *(
                parameter
                for parameter in inspect.signature(
                    __init__, follow_wrapped=False
                ).parameters.values()
                if parameter.kind is parameter.KEYWORD_ONLY
            ),
        ]
    )

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | int,
        encoder_hidden_states: torch.Tensor,
        labels: torch.Tensor | None,
        condition_pyramid: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:
        """Predict for B mask items followed by B edge items; item i and i + B share an image.

        sample: (2B, 8, L, L), the image's latent then the noisy latent. encoder_hidden_states:
        (2B, n, D), the empty prompt. labels: (2B, 4) from `task_labels`. condition_pyramid:
        latents of the image at 1/2, 1/4 and 1/8 of its size, (B or 2B, 4, L/2 ..) each, followed
        by photo features (B or 2B, c, L ..) where the network was made for them.
        Without the edge task there are B items and no labels, without injection no latents.
        Raises ValueError when the batch is odd, so that no edge item lacks its mask item.
        """
        if self.config.edge_task and len(sample) % 2:
            raise ValueError(f"batch of {len(sample)} is odd: it must hold masks, then edges")
        embedding = self.time_embedding(self.get_time_embed(sample, timestep))
        if labels is not None:
            embedding = embedding + self.get_class_embed(sample, labels)  # (2B, 4 * C0)
        text = {"encoder_hidden_states": encoder_hidden_states}
        photo = condition_pyramid[len(self.injectors) :]

        hidden = self._fused(0, self.conv_in(sample), photo)  # (2B, C0, L, L)
        skips: list[tuple[torch.Tensor, ...]] = []  # one tuple a block, injected where it applies
        first = hidden
        for place, block in enumerate(self.down_blocks, start=1):
            hidden, features = block(hidden, embedding, **_text_if_used(block, text))
            hidden = self._fused(place, hidden, photo)
            skips.append((*features[:-1], hidden))  # a block's last skip is what it puts out
        hidden = self.mid_block(hidden, embedding, **_text_if_used(self.mid_block, text))

        injected = [
            (*features[:-1], injector(features[-1], condition))
            for features, injector, condition in zip(
                skips, self.injectors, condition_pyramid, strict=False
            )
        ]
        remaining = [first, *(tensor for block in injected for tensor in block)]
        remaining += [tensor for block in skips[len(injected) :] for tensor in block]
        for block in self.up_blocks:
            count = len(block.resnets)
            taken, remaining = tuple(remaining[-count:]), remaining[:-count]
            hidden = block(hidden, taken, embedding, **_text_if_used(block, text))
        hidden = self.conv_act(self.conv_norm_out(hidden))
        # in float32: an error of the predicted noise grows 14.65 times in the one step
        head = self.conv_out
        return F.conv2d(
            hidden.float(), head.weight.float(), head.bias.float(), padding=head.padding
        )  # (2B, 4, L, L)

    @property
    def condition_count(self) -> int:
        """How many maps it sees of an image beside its latents: re-encoded ones, then features."""
        return len(self.injectors) + len(self.photo_fusions)

    def _fused(
        self, place: int, hidden: torch.Tensor, photo: tuple[torch.Tensor, ...]
    ) -> torch.Tensor:
        if place >= len(self.photo_fusions):
            return hidden
        fused: torch.Tensor = self.photo_fusions[place](hidden, photo[place])
        return fused

    @classmethod
    def from_stable_diffusion(cls, unet: UNet2DConditionModel, **variant: Any) -> DiffDISUNet:
        """Start from a plain latent-diffusion U-Net, as training does (paper, section 4.1).

        The input convolution is repeated over (image, noisy) and halved; mutual attention copies
        self-attention; the injectors start as identities. `unet` is left as it was. variant: the
        constructor's own arguments, for ablations.
        """
        config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
        network = cls(
            **config
            | {"in_channels": 2 * unet.config.in_channels}
            | (BDE_CONFIG if variant.get("edge_task", True) else {})
            | variant
        )
        weights = dict(unet.state_dict())
        weights["conv_in.weight"] = weights["conv_in.weight"].repeat(1, 2, 1, 1) * 0.5
        prefix = "mid_block.attentions.0.transformer_blocks.0."
        for name in list(weights):
            for source, copy in (("attn1.", "attn_mutual."), ("norm1.", "norm_mutual.")):
                if name.startswith(prefix + source):
                    weights[name.replace(source, copy)] = weights[name]
        fresh = {"class_embedding", "injectors", "photo_fusions"}
        own = network.state_dict()
        weights |= {name: own[name] for name in own if name.split(".")[0] in fresh}
        network.load_state_dict({name: weights[name] for name in own})
        return network

    def with_photo_features(self, widths: tuple[int, ...]) -> DiffDISUNet:
        """Return this network with fusions made for the channels of photo features.

        They change nothing until they are trained.
        """
        network = type(self).from_config(self.config, photo_widths=widths)
        network.load_state_dict(network.state_dict() | self.state_dict())
        return network

    def with_latents(self, channels: int, photo_widths: tuple[int, ...]) -> DiffDISUNet:
        """Return this network for latents of another autoencoder and other photo features.

        What depends on their channels begins untrained, the rest has this network's weights.
        """
        network = type(self).from_config(
            self.config, in_channels=2 * channels, out_channels=channels, photo_widths=photo_widths
        )
        own = network.state_dict()
        kept = {n: t for n, t in self.state_dict().items() if n in own and own[n].shape == t.shape}
        network.load_state_dict(own | kept)
        return network


def _text_if_used(block: nn.Module, text: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return text if getattr(block, "has_cross_attention", False) else {}
