"""Every family of text-to-image models follows its own arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    FluxPipeline,
    PixArtAlphaPipeline,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from transformers import (
    AutoTokenizer,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5EncoderModel,
    T5TokenizerFast,
)

from segdemo.checkpoints.backbone import locate_backbone
from segdemo.diffegg.backbones.base import Backbone
from segdemo.diffegg.loading import load_backbone
from tests.segdemo.diffegg.backbones import (
    LATENT_SIDE,
    NATIVE_SIZE,
    SD_BETAS,
    TEXT_WIDTH,
    add_t5,
    edit_json,
    latents_like,
)

CPU = torch.device("cpu")
FolderOf = Callable[[str], Path]
BackboneOf = Callable[[str], Backbone]


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(1, 3, NATIVE_SIZE, NATIVE_SIZE, generator=generator) * 2 - 1


# Encoding and noise -------------------------------------------------------------------------------


@torch.inference_mode()
def test_a_picture_becomes_the_shifted_and_scaled_mean(
    backbone: Backbone, backbone_folder: FolderOf, request: pytest.FixtureRequest
) -> None:
    family = request.node.callspec.params["backbone"]
    autoencoder = AutoencoderKL.from_pretrained(backbone_folder(family) / "vae")
    mean = autoencoder.encode(pictures()).latent_dist.mean
    shifted = {"sd3": (0.0609, 1.5305), "flux": (0.1159, 0.3611)}
    shift, scale = shifted.get(family, (0.0, 0.18215))

    latents = backbone.encode(pictures())

    assert latents.shape[-2:] == (LATENT_SIDE, LATENT_SIDE)
    torch.testing.assert_close(latents, (mean - shift) * scale, atol=1e-5, rtol=0)
    assert torch.equal(latents, backbone.encode(pictures()))


@pytest.mark.parametrize("family", ["own", "sd15", "sd21", "sdxl"])
@pytest.mark.parametrize("timestep", [0, 399, 999])
def test_a_unet_sees_variance_preserving_noise(
    family: str, timestep: int, backbone_of: BackboneOf
) -> None:
    clean, noise = latents_like(backbone_of(family)), torch.randn(2, 4, LATENT_SIDE, LATENT_SIDE)
    signal = 1.0
    first, last = SD_BETAS["beta_start"] ** 0.5, SD_BETAS["beta_end"] ** 0.5
    for step in range(timestep + 1):
        signal *= 1 - (first + (last - first) * step / 999) ** 2

    noisy = backbone_of(family).add_noise(clean, noise, timestep)

    expected = signal**0.5 * clean + (1 - signal) ** 0.5 * noise
    # alphas_cumprod is a float32 product of a thousand factors
    torch.testing.assert_close(noisy, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("timestep", [0, 250, 999])
def test_a_flow_model_sees_a_straight_mixture(timestep: int, backbone_of: BackboneOf) -> None:
    clean, noise = latents_like(backbone_of("sd3")), torch.randn(2, 16, LATENT_SIDE, LATENT_SIDE)
    share = timestep / 1000

    noisy = backbone_of("sd3").add_noise(clean, noise, timestep)

    torch.testing.assert_close(noisy, clean * (1 - share) + noise * share, atol=1e-6, rtol=0)


# One pass of the network --------------------------------------------------------------------------


@torch.inference_mode()
def test_our_own_network_gets_the_stored_prompt(
    backbone_folder: FolderOf, backbone_of: BackboneOf
) -> None:
    network = UNet2DConditionModel.from_pretrained(backbone_folder("own") / "prior")
    noisy = latents_like(backbone_of("own"))
    expected = network(noisy, 399, torch.ones(2, 2, TEXT_WIDTH)).sample
    torch.testing.assert_close(backbone_of("own").predict(noisy, 399), expected)


@torch.inference_mode()
@pytest.mark.parametrize("family", ["sd15", "sd21"])
def test_stable_diffusion_gets_the_empty_prompt_padded_to_its_full_length(
    family: str, backbone_folder: FolderOf, backbone_of: BackboneOf
) -> None:
    folder = backbone_folder(family)
    network = UNet2DConditionModel.from_pretrained(folder / "unet")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
    text = encoder(empty_tokens(folder / "tokenizer")).last_hidden_state
    noisy = latents_like(backbone_of(family))

    expected = network(noisy, 399, text.repeat(2, 1, 1)).sample

    torch.testing.assert_close(backbone_of(family).predict(noisy, 399), expected)


@torch.inference_mode()
@pytest.mark.parametrize("zeros", [True, False])
def test_xl_gets_zeros_or_the_empty_prompt_as_its_index_says(
    zeros: bool, backbone_copy: FolderOf
) -> None:
    folder = backbone_copy("sdxl")
    edit_json(folder / "model_index.json", force_zeros_for_empty_prompt=zeros)
    backbone = load_backbone(locate_backbone(str(folder)), CPU)
    network = UNet2DConditionModel.from_pretrained(folder / "unet")
    text, pooled = torch.zeros(1, 77, 2 * TEXT_WIDTH), torch.zeros(1, TEXT_WIDTH)
    if not zeros:
        first = CLIPTextModel.from_pretrained(folder / "text_encoder")
        text, pooled = both_texts(folder, first)
    noisy = latents_like(backbone)
    sizes = [[NATIVE_SIZE, NATIVE_SIZE, 0, 0, NATIVE_SIZE, NATIVE_SIZE]]
    added = {"text_embeds": pooled.repeat(2, 1), "time_ids": torch.tensor(sizes).repeat(2, 1)}

    expected = network(noisy, 399, text.repeat(2, 1, 1), added_cond_kwargs=added).sample

    torch.testing.assert_close(backbone.predict(noisy, 399), expected)


@torch.inference_mode()
def test_sd3_gets_two_empty_prompts_and_zeros_for_the_third(
    backbone_folder: FolderOf, backbone_of: BackboneOf
) -> None:
    folder = backbone_folder("sd3")
    network = SD3Transformer2DModel.from_pretrained(folder / "transformer")
    first = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder")
    text, pooled = both_texts(folder, first)
    pooled = torch.cat([first(empty_tokens(folder / "tokenizer")).text_embeds, pooled], dim=-1)
    everything = torch.zeros(2, 77 + 256, 3 * TEXT_WIDTH)
    everything[:, :77, : 2 * TEXT_WIDTH] = text
    noisy = latents_like(backbone_of("sd3"))

    expected = network(
        noisy,
        encoder_hidden_states=everything,
        pooled_projections=pooled.repeat(2, 1),
        timestep=torch.tensor([399.0, 399.0]),
    ).sample

    torch.testing.assert_close(backbone_of("sd3").predict(noisy, 399), expected)


@torch.inference_mode()
def test_sd3_gets_the_third_prompt_where_t5_is_in_its_folder(backbone_copy: FolderOf) -> None:
    folder = backbone_copy("sd3")
    zeros = load_backbone(locate_backbone(str(folder)), CPU)._prompt.tokens  # type: ignore[attr-defined]
    add_t5(folder)
    tokens = load_backbone(locate_backbone(str(folder)), CPU)._prompt.tokens  # type: ignore[attr-defined]
    assert torch.equal(tokens[:, :77], zeros[:, :77])
    seen = T5EncoderModel.from_pretrained(folder / "text_encoder_3")(
        T5TokenizerFast.from_pretrained(folder / "tokenizer_3")(
            "", padding="max_length", max_length=256, return_tensors="pt"
        ).input_ids
    )
    # it is read in bfloat16
    torch.testing.assert_close(tokens[:, 77:], seen.last_hidden_state, atol=0.05, rtol=0)


@torch.inference_mode()
def test_pixart_gets_the_empty_prompt_behind_its_mask_and_the_images_size(
    backbone_folder: FolderOf, backbone_of: BackboneOf
) -> None:
    folder = backbone_folder("pixart")
    pipeline = PixArtAlphaPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.text_encoder.to(torch.bfloat16)
    tokens, mask, *_ = pipeline.encode_prompt("", do_classifier_free_guidance=False)
    noisy = latents_like(backbone_of("pixart"))
    side = float(NATIVE_SIZE)

    expected = pipeline.transformer(
        noisy,
        encoder_hidden_states=tokens.float().repeat(2, 1, 1),
        encoder_attention_mask=mask.repeat(2, 1),
        timestep=torch.tensor([399, 399]),
        added_cond_kwargs={
            "resolution": torch.tensor([[side, side]] * 2),
            "aspect_ratio": torch.ones(2, 1),
        },
    ).sample[:, :4]

    assert not mask.all()
    predicted = backbone_of("pixart").predict(noisy, 399)
    torch.testing.assert_close(predicted, expected, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_flux_gets_packed_latents_with_their_places_behind_the_text(
    backbone_folder: FolderOf, backbone_of: BackboneOf
) -> None:
    pipeline = FluxPipeline.from_pretrained(backbone_folder("flux"), dtype=torch.float32)
    pipeline.text_encoder_2.to(torch.bfloat16)
    tokens, pooled, text_ids = pipeline.encode_prompt("", "")
    noisy = latents_like(backbone_of("flux"))
    packed = pipeline._pack_latents(noisy, 2, 16, LATENT_SIDE, LATENT_SIDE)
    half = LATENT_SIDE // 2
    places = pipeline._prepare_latent_image_ids(2, half, half, CPU, torch.float32)

    expected = pipeline.transformer(
        packed,
        encoder_hidden_states=tokens.float().repeat(2, 1, 1),
        pooled_projections=pooled.repeat(2, 1),
        timestep=torch.tensor([0.399, 0.399]),
        img_ids=places,
        txt_ids=text_ids,
        guidance=torch.ones(2),
    ).sample

    expected = pipeline._unpack_latents(expected, NATIVE_SIZE, NATIVE_SIZE, 8)
    assert backbone_of("flux").first_image_token == tokens.shape[1] == 512
    torch.testing.assert_close(
        backbone_of("flux").predict(noisy, 399), expected, atol=1e-5, rtol=1e-4
    )


@torch.inference_mode()
def test_a_pass_depends_on_the_timestep_and_on_nothing_else(backbone: Backbone) -> None:
    noisy = latents_like(backbone)
    assert torch.equal(backbone.predict(noisy, 399), backbone.predict(noisy, 399))
    assert not torch.equal(backbone.predict(noisy, 399), backbone.predict(noisy, 499))


def test_nothing_of_the_model_asks_for_gradients(backbone: Backbone) -> None:
    parts = (backbone.network, backbone.autoencoder)
    assert not any(p.requires_grad for part in parts for p in part.parameters())
    assert not any(part.training for part in parts)


@torch.inference_mode()
@pytest.mark.parametrize("family", ["own", "sdxl", "sd3", "pixart", "flux"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_spares_the_autoencoder(
    family: str, dtype: torch.dtype, backbone_folder: FolderOf, backbone_of: BackboneOf
) -> None:
    half = load_backbone(locate_backbone(str(backbone_folder(family))), CPU, dtype)
    noisy = latents_like(half)

    prediction = half.predict(noisy, 399)

    assert half.network.dtype == dtype and half.autoencoder.dtype == torch.float32
    assert prediction.dtype == torch.float32
    # bfloat16 keeps three digits, and errors add up over the layers
    torch.testing.assert_close(
        prediction, backbone_of(family).predict(noisy, 399), atol=0.1, rtol=0
    )
    assert torch.equal(half.encode(pictures()), backbone_of(family).encode(pictures()))


# The attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "count", "first", "last"),
    [
        ("own", 7, "down_blocks.1.attentions.0", "up_blocks.1.attentions.1"),
        ("sd15", 16, "down_blocks.0.attentions.0", "up_blocks.3.attentions.2"),
        ("sd21", 16, "down_blocks.0.attentions.0", "up_blocks.3.attentions.2"),
        ("sdxl", 17, "down_blocks.1.attentions.0", "up_blocks.1.attentions.2"),
    ],
)
def test_a_unet_names_its_self_attention(
    family: str, count: int, first: str, last: str, backbone_of: BackboneOf
) -> None:
    names = list(backbone_of(family).attention_layers())
    assert len(names) == count
    assert names[0] == f"{first}.transformer_blocks.0.attn1"
    assert names[-1] == f"{last}.transformer_blocks.0.attn1"


def test_sd3_names_joint_attention_and_where_it_is_dual(backbone_of: BackboneOf) -> None:
    assert list(backbone_of("sd3").attention_layers()) == [
        "transformer_blocks.0.attn",
        "transformer_blocks.0.attn2",
        "transformer_blocks.1.attn",
    ]


@torch.inference_mode()
def test_layers_are_named_in_the_order_they_run_and_fit_the_grid(backbone: Backbone) -> None:
    seen: dict[str, int] = {}  # by layer: tokens of the picture

    def note(name: str) -> Callable[..., None]:
        def hook(module: object, args: tuple[torch.Tensor, ...], named: dict[str, Any]) -> None:
            seen[name] = (args[0] if args else named["hidden_states"]).shape[1]

        return hook

    hooks = [
        module.register_forward_pre_hook(note(name), with_kwargs=True)
        for name, module in backbone.attention_layers().items()
    ]
    latents = latents_like(backbone, 1)
    backbone.predict(latents, 399)
    for hook in hooks:
        hook.remove()

    height, width = backbone.token_grid(latents)
    assert list(seen) == list(backbone.attention_layers())
    cells = height * width
    text = backbone.first_image_token  # FLUX's blocks of one stream see it too
    assert all(cells % (count - text if count > cells else count) == 0 for count in seen.values())
    assert max(seen.values()) >= height * width // 4


def test_the_grid_follows_the_picture(backbone_of: BackboneOf) -> None:
    assert backbone_of("sd15").token_grid(torch.zeros(1, 4, 8, 24)) == (8, 24)
    assert backbone_of("sd3").token_grid(torch.zeros(1, 16, 8, 24)) == (4, 12)


def empty_tokens(tokenizer: Path) -> torch.Tensor:
    """Return the padded tokens of the empty prompt, (1, 77)."""
    padded = AutoTokenizer.from_pretrained(tokenizer)("", padding="max_length", return_tensors="pt")
    return padded.input_ids


def both_texts(folder: Path, first: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both encoders' last but one states side by side, and the second's pooled vector."""
    second = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2")
    tokens = empty_tokens(folder / "tokenizer")
    one, two = (encoder(tokens, output_hidden_states=True) for encoder in (first, second))
    return torch.cat([one.hidden_states[-2], two.hidden_states[-2]], dim=-1), two.text_embeds
