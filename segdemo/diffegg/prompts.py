"""Prompts as the pipelines of diffusers encode them, the empty one first of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers import DiffusionPipeline
from transformers import (
    AutoTokenizer,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5EncoderModel,
)

from segdemo.checkpoints.backbone import PIPELINES, BackboneFiles
from segdemo.checkpoints.files import CheckpointError, check_regular
from segdemo.checkpoints.loading import first_line, load_frozen
from segdemo.checkpoints.vision import image_tokens
from segdemo.diffegg.backbones.base import EncodedImagePrompt, EncodedPrompt

CPU = torch.device("cpu")
IMAGE_PROMPT = "USER: <image>\nDescribe this image ASSISTANT:"
"""What LLaVA is asked (Fig. J), in the form that LLaVA 1.5 was trained with."""

PRECISIONS = {T5EncoderModel: torch.bfloat16}
"""Of encoders that are not loaded in float32: T5's 5 billion weights would take 19 GB."""


def _with_guidance(prompts: int, pipeline: Any, prompt: str) -> EncodedPrompt:
    """Encode for Stable Diffusion, of which the text is asked with and without a prompt.

    prompts: how many texts its pipeline takes. Without a prompt that is the embedding of "", except
    for XL models whose `force_zeros_for_empty_prompt` says that zeros stood for it in training.
    """
    embeddings = pipeline.encode_prompt(
        *[prompt] * prompts, device=CPU, num_images_per_prompt=1, do_classifier_free_guidance=True
    )
    # (with prompt, without), and for two encoders the same of the pooled vectors
    first = 0 if prompt else 1
    return EncodedPrompt(embeddings[first], embeddings[first + 2] if len(embeddings) == 4 else None)


def _for_flux(pipeline: Any, prompt: str) -> EncodedPrompt:
    tokens, pooled, _ = pipeline.encode_prompt(prompt, prompt, device=CPU)
    return EncodedPrompt(tokens, pooled)


def _for_pixart(pipeline: Any, prompt: str) -> EncodedPrompt:
    """Encode without the padding, which PixArt masks."""
    tokens, mask, *_ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False, device=CPU)
    return EncodedPrompt(tokens[:, mask[0].bool()])


@dataclass(frozen=True)
class PipelineUse:
    """How a pipeline of diffusers is asked for a prompt.

    encoders: its text encoders, by folder. unused: what it is told not to load, so that it need not
    be there. encode: asks it.
    """

    encoders: dict[str, Any]
    unused: dict[str, Any]
    encode: Callable[[Any, str], EncodedPrompt]


NO_IMAGES = {"feature_extractor": None, "image_encoder": None}
PIPELINE_USES = {
    "StableDiffusionPipeline": PipelineUse(
        {"text_encoder": CLIPTextModel},
        NO_IMAGES | {"safety_checker": None, "requires_safety_checker": False},
        partial(_with_guidance, 1),
    ),
    "StableDiffusionXLPipeline": PipelineUse(
        {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection},
        NO_IMAGES | {"add_watermarker": False},
        partial(_with_guidance, 2),
    ),
    "StableDiffusion3Pipeline": PipelineUse(
        {
            "text_encoder": CLIPTextModelWithProjection,
            "text_encoder_2": CLIPTextModelWithProjection,
            "text_encoder_3": T5EncoderModel,
        },
        NO_IMAGES | {"text_encoder_3": None, "tokenizer_3": None},
        partial(_with_guidance, 3),
    ),
    "PixArtAlphaPipeline": PipelineUse({"text_encoder": T5EncoderModel}, {}, _for_pixart),
    "FluxPipeline": PipelineUse(
        {"text_encoder": CLIPTextModel, "text_encoder_2": T5EncoderModel}, NO_IMAGES, _for_flux
    ),
}


def pipeline_around(files: BackboneFiles, network: Any, autoencoder: Any) -> Any:
    """Load the family's own pipeline of a folder around what is loaded of it already.

    Stable Diffusion 3 learnt with each of its three encoders dropped at random, zeros in its place:
    T5, the largest, is used where its folder is there. Raises CheckpointError.
    """
    use, needed = PIPELINE_USES[files.family], PIPELINES[files.family]
    parts = {files.network.name: network, "vae": autoencoder, "scheduler": None}
    unused = dict(use.unused)
    for name, kind in use.encoders.items():
        folder = files.folder / name
        if name == needed.optional_encoder and not folder.is_dir():
            continue
        tokenizer = name.replace("text_encoder", "tokenizer")
        unused.pop(tokenizer, None)
        unused.pop(name, None)
        parts[name] = load_frozen(kind, folder, PRECISIONS.get(kind, torch.float32))
        check_regular(files.folder / tokenizer)
    try:
        return DiffusionPipeline.from_pretrained(
            files.folder, use_safetensors=True, local_files_only=True, **parts, **unused
        )
    except Exception as error:  # the tokenizers library raises this class itself
        raise _tokenizer_error(files, error) from error


@torch.no_grad()
def encode(files: BackboneFiles, pipeline: Any, prompt: str) -> EncodedPrompt:
    """Return what the family's own pipeline feeds for a prompt; raises CheckpointError.

    Encoded on the CPU, once; the encoders are freed with the pipeline.
    """
    try:
        encoded = PIPELINE_USES[files.family].encode(pipeline, prompt)
    except Exception as error:
        raise _tokenizer_error(files, error) from error
    pooled = None if encoded.pooled is None else encoded.pooled.float()
    return EncodedPrompt(encoded.tokens.float(), pooled)


def image_prompt(files: BackboneFiles, network: Any) -> EncodedImagePrompt:
    """Return `IMAGE_PROMPT` as a vision-language model of a folder reads it.

    Raises CheckpointError where the folder's tokenizer has no place for the image.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
        ids: list[int] = tokenizer(IMAGE_PROMPT).input_ids
        place = ids.index(network.config.image_token_id)
    except Exception as error:  # what a foreign tokenizer raises differs by kind
        raise _tokenizer_error(files, error) from error
    count, others = image_tokens(network)
    ids[place : place + 1] = count * [network.config.image_token_id]
    return EncodedImagePrompt(torch.tensor([ids]), place + others)


def _tokenizer_error(files: BackboneFiles, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"The tokenizer in {files.folder} cannot be used ({first_line(error)}): copy or download "
        "the folder again."
    )
