"""SAM and its successors as transformers has them: the image's embedding once, prompts many times.

"Segment Anything" (arXiv 2304.02643), "SAM 2" (arXiv 2408.00714), "EdgeTAM" (arXiv 2501.07256).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import EdgeTamModel, Sam2Model, SamModel

from segdemo.datatypes import RGBImage
from segdemo.prompting.interface import PromptedMask, check_prompt
from segdemo.prompting.prompts import Prompt

NETWORKS = {  # by the model_type in config.json; of a video model, what works on single images
    "sam": SamModel,
    "sam2": Sam2Model,
    "sam2_video": Sam2Model,
    "edgetam": EdgeTamModel,
    "edgetam_video": EdgeTamModel,
}
LOGIT_LIMIT = 10.0  # of a mask so far that is certain


class SegmentAnythingPrompter:
    """A network of `NETWORKS`; SAM sees the image's longer side and a margin, others a square."""

    def __init__(self, network: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """mean, std: of the colors that it was trained on."""
        self.network = network.eval()
        self._mean, self._std = (torch.tensor(values)[:, None, None] for values in (mean, std))
        config = network.config.prompt_encoder_config
        self._side = int(config.image_size)
        self._mask_side = 4 * self._side // int(config.patch_size)
        self._size: tuple[int, int] | None = None
        self._seen = (self._side, self._side)
        self._embedding: Any = None

    @torch.inference_mode()
    def set_image(self, image: RGBImage) -> None:
        """See `Prompter`."""
        height, width = image.shape[:2]
        seen = (self._side, self._side)
        if isinstance(self.network, SamModel):
            scale = self._side / max(height, width)
            seen = (max(1, round(height * scale)), max(1, round(width * scale)))
        small = Image.fromarray(image).resize(seen[::-1], Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255  # (3, h, w)
        pixels = (pixels - self._mean) / self._std
        pixels = F.pad(pixels, (0, self._side - seen[1], 0, self._side - seen[0]))  # (3, S, S)
        pixels = pixels[None].to(self.network.device, self.network.dtype)
        self._embedding = self.network.get_image_embeddings(pixels)
        self._size, self._seen = (height, width), seen

    @torch.inference_mode()
    def predict(self, prompt: Prompt) -> PromptedMask:
        """See `Prompter`; of the three answers to a single click the one of the best score."""
        check_prompt(prompt, self._size)
        assert self._size is not None
        clicks = 0 if prompt.points is None else len(prompt.points)
        answer = self.network(
            image_embeddings=self._embedding,
            multimask_output=clicks == 1 and prompt.box is None and prompt.mask is None,
            **self._inputs(prompt),
        )
        scores = answer.iou_scores[0, 0].float()  # (masks,)
        best = int(scores.argmax())
        logits = answer.pred_masks[0, 0, best][None, None].float()  # (1, 1, h, w)
        logits = _resized(logits, (self._side, self._side))
        logits = _resized(logits[..., : self._seen[0], : self._seen[1]], self._size)
        mask = logits[0, 0].sigmoid().cpu().numpy()  # (H, W)
        return PromptedMask(mask, float(scores[best].clamp(0, 1)))

    def _inputs(self, prompt: Prompt) -> dict[str, torch.Tensor]:
        """Return the prompt in pixels of what the network sees."""
        assert self._size is not None
        device, dtype = self.network.device, self.network.dtype
        scale = np.array(self._seen[::-1]) / self._size[::-1]  # of x and y

        def placed(points: Any) -> torch.Tensor:
            # the networks add the half pixel of a pixel's middle by themselves
            seen = np.reshape(points, (-1, 2)) * scale - 0.5
            return torch.from_numpy(seen).to(device, dtype)  # (n, 2)

        inputs = {}
        if prompt.points is not None and len(prompt.points):
            inputs["input_points"] = placed(prompt.points)[None, None]  # (1, 1, n, 2)
            labels = torch.tensor(np.asarray(prompt.labels), dtype=torch.int64, device=device)
            inputs["input_labels"] = labels[None, None]  # (1, 1, n)
        if prompt.box is not None:
            inputs["input_boxes"] = placed(prompt.box).reshape(1, 1, 4)
        if prompt.mask is not None:
            mask = torch.from_numpy(np.asarray(prompt.mask, np.float32))[None, None]
            logits = mask.logit(1e-6).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)  # (1, 1, H, W)
            logits = _resized(logits, self._seen)
            margin = (0, self._side - self._seen[1], 0, self._side - self._seen[0])
            logits = F.pad(logits, margin, value=-LOGIT_LIMIT)  # (1, 1, S, S)
            small = _resized(logits, (self._mask_side, self._mask_side))
            inputs["input_masks"] = small.to(device, dtype)
        return inputs


def _resized(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=True)
