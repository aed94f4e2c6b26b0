"""From checkpoint files to a working pipeline, and from a trained U-Net to files."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMScheduler
from huggingface_hub import constants, save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPTextModel

from segdemo.autoencoders import Autoencoder, find_autoencoder, open_autoencoder
from segdemo.checkpoints.card import CARD
from segdemo.checkpoints.configs import read_config
from segdemo.checkpoints.diffdis import DiffDISFiles, locate_diffdis
from segdemo.checkpoints.files import (
    PHOTO_FEATURES,
    CheckpointError,
    check_regular,
    damaged,
    network_files,
    read_json,
)
from segdemo.checkpoints.loading import (
    first_line,
    load_frozen,
    load_noise_schedule,
    load_null_text,
)
from segdemo.checkpoints.locate import TEXT_ENCODER, VAE, locate, locate_base
from segdemo.diffdis.denoising import renamed
from segdemo.diffdis.lora import merge_lora
from segdemo.diffdis.parameter_names import official_name, our_name
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.photo_features import PhotoFeatures
from segdemo.precision import bulk_dtype, channels_last, compile_network, exact_dtype
from segdemo.u2netp import U2NETP_WEIGHTS, U2NetP

OFFICIAL_CONFIG = {
    "sample_size": 96,
    "in_channels": 8,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
    "class_embed_type": "projection",
    "projection_class_embeddings_input_dim": 4,
}
"""SD2.1's U-Net with DiffDIS's two changes; the release has weights but no config.json."""

SD_TURBO_SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "clip_sample": False,
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}

LARGEST_SHARD = "9MB"  # the Hub refuses plain files over 10 MB


def load_diffdis(
    files: DiffDISFiles,
    device: torch.device,
    precision: str = "fp32",
    autoencoder: str = "",
    compiled: bool = False,
) -> DiffDISPipeline:
    """Build the pipeline of a located checkpoint; raises CheckpointError.

    autoencoder: see `assemble`. precision: auto rounds autoencoders, which make most of the cost,
    and U-Nets of the paper's kind. One with features beside it is small and knows few objects: with
    its weights or the features rounded, a mask in sixteen fell to an IoU of 0.9 with that of
    float32, so that these stay in float32. compiled: see `compile_network`, of the U-Net.
    """
    pipeline = assemble(files, load_network(files), autoencoder)
    bulk = bulk_dtype(precision, device)
    beside = list(filter(None, (pipeline.photo_features, pipeline.saliency)))
    pipeline.to(device, exact_dtype(precision) if beside else bulk, bulk)
    for network in (pipeline.autoencoder, *beside):
        channels_last(network, device)
    if compiled:
        compile_network(pipeline.unet, device)
    return pipeline


def assemble(files: DiffDISFiles, unet: DiffDISUNet, autoencoder: str = "") -> DiffDISPipeline:
    """Put a checkpoint's other parts around a network; raises CheckpointError.

    autoencoder: one in place of the checkpoint's, see `find_autoencoder`.
    """
    return DiffDISPipeline(
        unet=unet,
        autoencoder=_load_autoencoder(files, autoencoder, unet.config.out_channels),
        scheduler=_load_scheduler(files.folder),
        null_text=_load_null_text(files, unet.config.cross_attention_dim),
        native_size=files.card.native_size,
        noise=files.card.noise,
        photo_features=None
        if files.card.first_answer
        else _load_photo_features(files.folder, unet),
        saliency=_load_saliency(files, unet) if files.card.first_answer else None,
        first_answer_share=files.card.first_answer_share,
    )


def load_network(files: DiffDISFiles) -> DiffDISUNet:
    """Load a checkpoint's U-Net in float32, with its LoRA merged; raises CheckpointError."""
    unet = load_unet(files.unet)
    if files.lora is not None:
        merge_lora(unet, files.lora)
    return unet


def load_unet(source: Path) -> DiffDISUNet:
    """Load a DiffDIS U-Net in float32 from its folder or file, in our names or the official ones.

    Every parameter and buffer must be there in its shape; raises CheckpointError naming the first
    that is not.
    """
    folder = source if source.is_dir() else source.parent
    has_config = (folder / "config.json").exists()
    config = renamed(read_config(folder, "DiffDISUNet")) if has_config else OFFICIAL_CONFIG
    weights: dict[str, torch.Tensor] = {}
    for file in network_files(source).files:
        try:
            weights |= {our_name(name): tensor for name, tensor in load_file(file).items()}
        except (SafetensorError, OSError) as error:
            raise damaged(file) from error
    try:
        with torch.device("meta"):
            unet = DiffDISUNet.from_config(config)
    except Exception as error:  # what a foreign config raises differs by entry
        raise CheckpointError(
            f"{folder / 'config.json'} does not describe a network of this version ({error}): "
            "copy the folder again, or train it again."
        ) from error
    _check_weights(source, unet.state_dict(), weights)
    floats = {n: t.float() if t.is_floating_point() else t for n, t in weights.items()}
    unet.load_state_dict(floats, assign=True)
    return unet.eval()


def save_unet(unet: DiffDISUNet, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write config.json and safetensors shards below 10 MB, under the official parameter names."""
    folder.mkdir(parents=True, exist_ok=True)
    unet.save_config(folder)
    weights = {
        official_name(name): tensor.detach().to(dtype if tensor.is_floating_point() else None)
        for name, tensor in unet.state_dict().items()
    }
    save_torch_state_dict(
        weights,
        folder,
        filename_pattern="diffusion_pytorch_model{suffix}.safetensors",
        max_shard_size=LARGEST_SHARD,
    )


def locate_autoencoder(name: str) -> Path:
    """Return the folder of an autoencoder: a model's own or its base's, or a bare one.

    name: a DiffDIS model as everywhere, a Stable Diffusion folder or Hub id with `vae/`, or a
    folder that is an autoencoder itself. Raises CheckpointError.
    """
    source = locate(name, "diffdis")
    if source.is_dir() and not (source / "unet").is_dir():
        return source / "vae" if (source / "vae").is_dir() else source
    return _own_or_base(locate_diffdis(name), "vae") / "vae"


def load_autoencoder(name: str) -> Autoencoder:
    """Load the autoencoder of a name in float32, of any kind; raises CheckpointError."""
    return open_autoencoder(locate_autoencoder(name))


def _check_weights(
    source: Path, expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]
) -> None:
    missing, extra = sorted(expected.keys() - found), sorted(found.keys() - expected)
    if missing and not any(name.startswith("injectors.") for name in found):
        raise CheckpointError(
            f"{source} is a plain Stable Diffusion U-Net, not a DiffDIS one: it lacks "
            f"{official_name(missing[0])!r} and {len(missing) - 1} more; train it with "
            "training/, or use --model small."
        )
    if missing:
        raise CheckpointError(
            f"{source} lacks {official_name(missing[0])!r} and {len(missing) - 1} more of "
            f"{len(expected)} entries: the file is incomplete, download or export it again."
        )
    if extra:
        raise CheckpointError(
            f"{source} holds {official_name(extra[0])!r}, which this network does not have: check "
            "that config.json belongs to these weights."
        )
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            raise CheckpointError(
                f"{source}: {official_name(name)!r} is {tuple(found[name].shape)}, the network "
                f"needs {tuple(tensor.shape)}: check that config.json belongs to these weights."
            )


def _load_autoencoder(files: DiffDISFiles, name: str, channels: int) -> Autoencoder:
    """Load the autoencoder of that name, without one the model's own."""
    if name:
        return find_autoencoder(name, channels)
    return open_autoencoder(_own_or_base(files, "vae") / "vae")


def _load_saliency(files: DiffDISFiles, unet: DiffDISUNet) -> U2NetP:
    """Load the network whose answer the step starts from."""
    saliency: U2NetP = load_frozen(U2NetP, U2NETP_WEIGHTS, torch.float32)
    _check_widths(saliency.condition_widths, unet, files.folder / CARD)
    return saliency


def _load_photo_features(folder: Path, unet: DiffDISUNet) -> PhotoFeatures | None:
    """Load the photo features that some networks see; None for the others."""
    if not unet.config.photo_widths:
        return None
    features = load_frozen(PhotoFeatures, folder / PHOTO_FEATURES, torch.float32)
    _check_widths(features.condition_widths, unet, folder / PHOTO_FEATURES)
    return features


def _check_widths(widths: tuple[int, ...], unet: DiffDISUNet, source: Path) -> None:
    """Raise CheckpointError where a network's features have not the channels the U-Net sees."""
    if widths != tuple(unet.config.photo_widths):
        raise CheckpointError(
            f"{source} gives {widths} channels, the U-Net needs "
            f"{tuple(unet.config.photo_widths)}: check that both belong together."
        )


def _load_scheduler(folder: Path) -> DDPMScheduler:
    file = folder / "scheduler" / "scheduler_config.json"
    settings = read_json(file) if file.exists() and (folder / CARD).exists() else {}
    # SD-Turbo's own file names another scheduler class; the released weights need these values
    return load_noise_schedule(SD_TURBO_SCHEDULE | settings, file)


def _load_null_text(files: DiffDISFiles, width: int) -> torch.Tensor:
    """Return the empty prompt's embedding (1, n, D): stored, else encoded once and kept."""
    kept = files.folder / "null_text.safetensors"
    if not kept.exists():
        base = files.card.base or str(files.folder)
        cache = Path(constants.HF_HOME) / "segdemo"
        kept = cache / f"null_text-{base.strip('/').replace('/', '--')}.safetensors"
    if not kept.exists():
        embedding = _encode_empty_prompt(files)
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_file({"null_text": embedding}, kept)
    return load_null_text(kept, width)


@torch.inference_mode()
def _encode_empty_prompt(files: DiffDISFiles) -> torch.Tensor:
    folder = _own_or_base(files, "text_encoder")
    if not ((folder / "text_encoder").is_dir() and (folder / "tokenizer").is_dir()):
        raise CheckpointError(
            f"{folder} holds no text encoder and tokenizer, and no null_text.safetensors: one of "
            "the two is needed for the empty prompt."
        )
    encoder = load_frozen(CLIPTextModel, folder / "text_encoder", torch.float32)
    check_regular(folder / "tokenizer")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except Exception as error:  # the tokenizers library raises this class itself
        raise CheckpointError(
            f"{folder / 'tokenizer'} cannot be used ({first_line(error)}): copy or download it "
            "again."
        ) from error
    tokens = tokenizer("", return_tensors="pt").input_ids  # (1, 2): begin and end, no padding
    return encoder(tokens).last_hidden_state.contiguous()  # (1, 2, D)


def _own_or_base(files: DiffDISFiles, part: str) -> Path:
    """Return the folder that holds `part`: the checkpoint's own, else its base's."""
    if (files.folder / part).is_dir() or files.card.base is None:
        return files.folder
    parts = {"vae": VAE, "text_encoder": TEXT_ENCODER}[part]
    return locate_base(files.card.base, files.folder, "diffdis", parts)
