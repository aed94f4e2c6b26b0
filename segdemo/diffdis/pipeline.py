"""One denoising step from a photograph to its mask and edge map.

The steps `encode`, `condition_pyramid`, `denoise` and `decode` are differentiable and shared with
training; only `__call__` runs without gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from diffusers import DDPMScheduler
from torch.nn import functional as F

from segdemo.autoencoders import Autoencoder
from segdemo.datatypes import FloatMap, Progress, RGBImage, SegmentationResult
from segdemo.diffdis.augmentations import AUGMENTED, MIRRORED, PLAIN, Augmentation, resized
from segdemo.diffdis.denoising import LAST_TIMESTEP, find_denoising
from segdemo.diffdis.looks import look_again
from segdemo.diffdis.maps import merge_members, outline, stretch
from segdemo.diffdis.noise import pyramid_noise, shared_noise
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffdis.unet import DiffDISUNet, task_labels
from segdemo.diffusion import (
    ancestral_step,
    ddim_step,
    decode_latents,
    decoded_in_tiles,
    encode_latents,
    predict_clean,
    square_tensor,
)
from segdemo.guided_filter import follow_outlines
from segdemo.images import resize_map
from segdemo.photo_features import PhotoFeatures
from segdemo.precision import cast
from segdemo.subject import load_subject_network, predict_saliency
from segdemo.u2netp import U2NetP
from segdemo.window_refinement import refine_window

LARGEST_WHOLE = 1024 // 8
"""Side of the largest latents that are decoded whole; of larger ones, in tiles."""

SALIENCY_WEIGHT = np.float32(2 / 3)
"""U2NetP's share in the mean that `second_opinion` takes; chosen on validation photos."""

ENSEMBLE_NOISE = 0.3
"""Standard deviation of what an ensemble's members add to an answer that they start from."""


@dataclass(frozen=True, eq=False)
class Passes:
    """Passes over augmented copies of an image (1, 3, S, S) whose answers are averaged.

    noises: what each starts from, see `DiffDISPipeline.predict`. after_pass: called after each.
    ancestral, answer and edges: see `DiffDISPipeline.predict`.
    """

    images: torch.Tensor
    augmentations: Sequence[Augmentation]
    noises: Sequence[torch.Tensor]
    after_pass: Callable[[], None] = lambda: None
    ancestral: torch.Generator | None = None
    answer: torch.Tensor | None = None
    edges: bool = True


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the U-Net is shown of one image: its latents, and what `look` returns."""

    latents: torch.Tensor
    pyramid: tuple[torch.Tensor, ...]
    start: torch.Tensor | None
    given: bool  # whether the start is of an answer that the caller gave

    def mirrored(self) -> _Seen:
        """Return the same of the mirrored image, but for what tells left from right."""
        pyramid = tuple(level.flip(-1) for level in self.pyramid)
        start = None if self.start is None else self.start.flip(-1)
        return _Seen(self.latents.flip(-1), pyramid, start, self.given)


class DiffDISPipeline:
    """A DiffDIS U-Net with its autoencoder, noise schedule and constant text embedding."""

    def __init__(
        self,
        unet: DiffDISUNet,
        autoencoder: Autoencoder,
        scheduler: DDPMScheduler,
        null_text: torch.Tensor,
        native_size: int,
        photo_features: PhotoFeatures | None = None,
        noise: float = 1.0,
        saliency: U2NetP | None = None,
        first_answer_share: float = 0.0,
    ) -> None:
        """Put the parts together; null_text is the empty prompt's embedding, (1, n, D).

        noise: standard deviation of what `__call__` starts from. At 0 that is the mean of all
        noise, and the seed means nothing; a small network gives another mask for
        each sample. The members of an ensemble always start from drawn noise.
        photo_features: for a network that was made to see them, no other. saliency: for a network
        whose one step starts from this one's answer, and that sees its features.
        first_answer_share: of that answer in the mask, averaged in latents.
        """
        self.unet = unet.eval()
        self.autoencoder = autoencoder.eval()
        self.scheduler = scheduler
        self.null_text = null_text
        self.native_size = native_size
        self.noise = noise
        self.photo_features = photo_features.eval() if photo_features is not None else None
        self.saliency = saliency.eval() if saliency is not None else None
        self.first_answer_share = first_answer_share

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return self.unet.device

    @property
    def tasks(self) -> int:
        """How many maps the network gives of an image: mask and edge, or the mask alone."""
        return 2 if self.unet.config.edge_task else 1

    def to(
        self,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        autoencoder: torch.dtype | None = None,
    ) -> DiffDISPipeline:
        """Move everything to a device and a precision; returns itself.

        autoencoder: its precision, by default the same. In place of float16 it takes float32,
        because Stable Diffusion's overflows in half precision; the one step to the clean latent is
        float32 always.
        """
        latents = autoencoder or dtype
        cast(self.autoencoder, device, torch.float32 if latents == torch.float16 else latents)
        for network in filter(None, (self.unet, self.photo_features, self.saliency)):
            cast(network, device, dtype)
        self.null_text = self.null_text.to(device)
        return self

    # Differentiable steps -------------------------------------------------------------------------

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Encode (B, 3, H, W) in [-1, 1] to latents (B, 4, H/8, W/8)."""
        return encode_latents(self.autoencoder, images)

    def condition_pyramid(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode the image again at 1/2, 1/4 and 1/8 of its size (SWCI).

        The image is reduced and encoded again, without antialiasing, as the released weights
        expect; latents are never resized. Photo features, where the network sees them, follow as
        further maps. Empty for a network with neither injectors nor photo features.
        """
        height, width = images.shape[-2:]
        levels = tuple(
            self.encode(F.interpolate(images, (height // k, width // k), mode="bilinear"))
            for k in (2, 4, 8)[: len(self.unet.injectors)]
        )
        if self.photo_features is None:
            return levels
        maps = self.photo_features.conditions(images.to(self.photo_features.dtype))
        return levels + tuple(values.to(images.dtype) for values in maps)

    def look(
        self, images: torch.Tensor, answer: torch.Tensor | None = None
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor | None]:
        """Return all that the network sees beside the images' latents, and where its step starts.

        answer: masks (B, 1, H, W) in [0, 1] to start from, in place of the first answer of
        `saliency`; of no effect without it. The start is the answer's latents (B, C, H/8, W/8), to
        which noise is added; None for networks that start from noise alone.
        """
        levels = self.condition_pyramid(images)
        if self.saliency is None:
            return levels, None
        output = self.saliency(images.to(self.saliency.dtype))
        maps = tuple(values.to(images.dtype) for values in self.saliency.conditions(output))
        answer = output.logits.float().sigmoid() if answer is None else answer
        return levels + maps, self.encode((answer * 2 - 1).expand(-1, 3, -1, -1))

    def denoise(
        self,
        latents: torch.Tensor,
        condition_pyramid: tuple[torch.Tensor, ...],
        noisy: torch.Tensor,
        timestep: int = LAST_TIMESTEP,
    ) -> torch.Tensor:
        """Take the one step (eq. 4): noisy latents at a timestep to clean ones, float32.

        latents: (B, 4, h, w), the images'. condition_pyramid: from `condition_pyramid`, (B or
        2B, ..). noisy: (2B, 4, h, w), mask items then edge items. Returns (2B, 4, h, w). Without
        the edge task there are B items instead of 2B.
        """
        dtype = self.unet.dtype
        labels = task_labels(len(latents)) if self.unet.config.edge_task else None
        prediction = self.unet(
            torch.cat([latents.repeat(self.tasks, 1, 1, 1), noisy], 1).to(dtype),  # (2B, 8, h, w)
            torch.full((len(noisy),), timestep, device=latents.device),
            self.null_text.to(dtype).expand(len(noisy), -1, -1),
            None if labels is None else labels.to(latents.device, dtype),
            tuple(level.to(dtype) for level in condition_pyramid),
        )
        return predict_clean(self.scheduler, noisy, prediction, timestep)  # (2B, 4, h, w)

    def denoise_steps(
        self,
        latents: torch.Tensor,
        condition_pyramid: tuple[torch.Tensor, ...],
        noisy: torch.Tensor,
        timesteps: Sequence[int],
        ancestral: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Take a step at each of the timesteps, descending; see `denoise`.

        Between them by DDIM, or with `ancestral` by eq. 3, whose fresh noise it draws.
        """
        clean = self.denoise(latents, condition_pyramid, noisy, timesteps[0])
        for timestep, earlier in pairwise(timesteps):
            if ancestral is None:
                noisy = ddim_step(self.scheduler, noisy, clean, timestep, earlier)
            else:
                fresh = torch.randn(noisy.shape, generator=ancestral).to(noisy)
                noisy = ancestral_step(self.scheduler, noisy, clean, timestep, earlier, fresh)
            clean = self.denoise(latents, condition_pyramid, noisy, earlier)
        return clean  # (2B, 4, h, w)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode to one channel in [0, 1]: mean of the colours, clipped; (B, 8h, 8w).

        One item at a time: at 1024 pixels this halves the peak memory. Larger ones in tiles.
        """
        with decoded_in_tiles(self.autoencoder, latents, LARGEST_WHOLE):
            items = [decode_latents(self.autoencoder, item) for item in latents.split(1)]
        return (torch.cat(items).mean(1).clip(-1, 1) + 1) / 2  # (B, 8h, 8w)

    # Prediction of an image -----------------------------------------------------------------------

    def predict(
        self,
        images: torch.Tensor,
        noise: torch.Tensor,
        ancestral: torch.Generator | None = None,
        answer: torch.Tensor | None = None,
        edges: bool = True,
    ) -> torch.Tensor:
        """Run one pass on an image (1, 3, H, W), with as many steps as the network is made for.

        noise: (2, 4, H/8, W/8), mask's and edge's; of (1, ..) one serves both. ancestral: see
        `denoise_steps`. answer: see `look`.
        Returns mask and edge, (2, H, W) in [0, 1], not stretched, or the mask alone, (1, H, W). A
        network that was trained without the edge task gets the band along its mask's outline as
        edge.
        """
        clean = self._clean(self._see(images, answer), noise, ancestral)
        return self._decode_maps(clean, edges)

    def _see(self, images: torch.Tensor, answer: torch.Tensor | None) -> _Seen:
        """Encode an image (1, 3, H, W), and look at it; see `look`."""
        return _Seen(self.encode(images), *self.look(images, answer), given=answer is not None)

    def _clean(
        self, seen: _Seen, noise: torch.Tensor, ancestral: torch.Generator | None
    ) -> torch.Tensor:
        """Take all steps of one image; returns the clean latents of its tasks, (tasks, C, h, w).

        The first answer has its share in the mask's, unless the caller gave another.
        """
        noisy = noise if seen.start is None else seen.start + noise
        noisy = noisy.expand(self.tasks, -1, -1, -1)
        timesteps = find_denoising(self.unet.config.denoising).test
        clean = self.denoise_steps(seen.latents, seen.pyramid, noisy, timesteps, ancestral)
        if seen.start is not None and not seen.given:
            mask = torch.lerp(clean[:1], seen.start.float(), self.first_answer_share)
            clean = torch.cat([mask, clean[1:]])
        return clean  # (tasks, C, h, w)

    def _decode_maps(self, clean: torch.Tensor, edges: bool) -> torch.Tensor:
        """Decode the latents (tasks, 4, h, w) of one image to what `predict` returns."""
        maps = self.decode(clean if edges else clean[:1])
        return torch.cat([maps, outline(maps)]) if edges and self.tasks == 1 else maps

    def predict_averaged(self, passes: Passes) -> tuple[torch.Tensor, tuple[float, float]]:
        """Average the passes' maps, each stretched by itself.

        Returns the mean maps (2, S, S), of the mask alone (1, S, S), and the range of the masks
        before stretching.
        """
        side = passes.images.shape[-1]
        maps, lows, highs = [], [], []
        for augmentation, noise in zip(passes.augmentations, passes.noises, strict=True):
            answer = None if passes.answer is None else augmentation.apply(passes.answer)
            image = augmentation.apply(passes.images)
            raw = self.predict(image, noise, passes.ancestral, answer, passes.edges)  # (2, s, s)
            lows.append(float(raw[0].min()))
            highs.append(float(raw[0].max()))
            maps.append(augmentation.undo(stretch(raw)[None], side)[0])  # (2, S, S)
            passes.after_pass()
        mean_range = (sum(lows) / len(lows), sum(highs) / len(highs))
        return torch.stack(maps).mean(0), mean_range

    def predict_shared(self, passes: Passes) -> tuple[torch.Tensor, tuple[float, float]]:
        """Do as `predict_averaged` in less time: encode each size once, decode once.

        What a mirrored pass sees are mirrored latents and features, as if the networks before the
        U-Net did not tell left from right; clean latents are averaged in place of stretched maps.
        """
        side = passes.images.shape[-1]
        known: dict[int, _Seen] = {}
        averaged = []
        for augmentation, noise in zip(passes.augmentations, passes.noises, strict=True):
            size = augmentation.size(side)
            if size not in known:
                answer = None if passes.answer is None else resized(passes.answer, size)
                known[size] = self._see(resized(passes.images, size), answer)
            seen = known[size].mirrored() if augmentation.flip else known[size]
            clean = self._clean(seen, noise, passes.ancestral)  # (tasks, 4, s/8, s/8)
            averaged.append(augmentation.undo(clean, side // 8))
            passes.after_pass()
        raw = self._decode_maps(torch.stack(averaged).mean(0), passes.edges)  # (2, S, S)
        return stretch(raw), (float(raw[0].min()), float(raw[0].max()))

    @torch.inference_mode()
    def __call__(
        self,
        image: RGBImage,
        settings: DiffDISSettings | None = None,
        progress: Progress | None = None,
        edges: bool = True,
    ) -> SegmentationResult:
        """Segment one image of any size; maps come back at its size.

        edges: whether to decode the edge map, which takes as long as the mask. Raises InputError
        where the network's answer is not a number.
        """
        settings = settings or DiffDISSettings()
        looks = 1 + settings.second_look

        def look(part: RGBImage, index: int) -> SegmentationResult:
            def passes_done(done: int, total: int) -> None:
                if progress:
                    progress(index * total + done, looks * total)

            return self._look(part, settings, passes_done, edges=edges)

        result = look(image, 0)
        if settings.second_look:
            result = look_again(image, result, lambda part, answer: look(part, 1))
            if progress:
                progress(1, 1)
        if settings.follow:
            result = replace(result, mask=follow_outlines(result.mask, image))
        if settings.second_opinion:
            saliency = predict_saliency(image, load_subject_network())
            mask = (1 - SALIENCY_WEIGHT) * result.mask + SALIENCY_WEIGHT * saliency
            result = replace(result, mask=mask)
        return result

    @torch.inference_mode()
    def refine_window(
        self,
        image: RGBImage,
        mask: FloatMap,
        box: npt.NDArray[np.floating],
        settings: DiffDISSettings | None = None,
    ) -> FloatMap:
        """Look again at a box of an image at the full working size; see `window_refinement`."""
        settings = settings or DiffDISSettings()

        def look(part: RGBImage, answer: FloatMap) -> FloatMap:
            found = self._look(part, settings, lambda done, total: None, answer, edges=False).mask
            return follow_outlines(found, part) if settings.follow else found

        return refine_window(image, mask, box, look)

    def _look(
        self,
        image: RGBImage,
        settings: DiffDISSettings,
        progress: Progress,
        answer: FloatMap | None = None,
        edges: bool = True,
    ) -> SegmentationResult:
        """Look once at an image (H, W, 3). answer: what the step starts from, see `look`."""
        side = settings.size or self.native_size
        square = square_tensor(image, side).to(self.device)  # (1, 3, S, S)
        start = None
        if answer is not None:
            start = torch.from_numpy(resize_map(answer, (side, side)))[None, None].to(self.device)
        augmentations = MIRRORED if settings.mirror else PLAIN
        if settings.augment:
            augmentations = AUGMENTED
        generator = torch.Generator().manual_seed(settings.seed)
        ancestral = generator if settings.sampler == "ddpm" else None
        predict = self.predict_shared if settings.share else self.predict_averaged
        scale = self.noise
        if settings.ensemble > 1:  # members differ by their noise
            scale = ENSEMBLE_NOISE if self.saliency else 1.0
        done, total = 0, settings.ensemble * len(augmentations)

        def after_pass() -> None:
            nonlocal done
            done += 1
            progress(done, total)

        progress(0, total)
        members, ranges = [], []
        for _ in range(settings.ensemble):
            noises = [
                scale * self._draw_noise(augmentation.size(side) // 8, settings.noise, generator)
                for augmentation in augmentations
            ]
            maps, mask_range = predict(
                Passes(square, augmentations, noises, after_pass, ancestral, start, edges)
            )
            members.append(maps)
            ranges.append(mask_range)
        mean_range = (
            sum(low for low, _ in ranges) / len(ranges),
            sum(high for _, high in ranges) / len(ranges),
        )
        return merge_members(torch.stack(members), mean_range, (image.shape[0], image.shape[1]))

    def _draw_noise(self, side: int, kind: str, generator: torch.Generator) -> torch.Tensor:
        """Draw what a pass starts from, (tasks, C, side, side)."""
        channels = self.unet.config.out_channels
        if kind == "gaussian":
            noise = shared_noise(self.tasks, (1, channels, side, side), generator)
        else:
            seed = int(torch.randint(2**62, (), generator=generator))
            noise = pyramid_noise((self.tasks, channels, side, side), np.random.default_rng(seed))
        return noise.to(self.device)
