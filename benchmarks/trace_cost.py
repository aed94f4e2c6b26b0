"""What a trace costs: time and peak memory, beside the plain way that keeps every attention map.

    python -m benchmarks.trace_cost

Prints one JSON line a case. "lean" and "plain" compute PeakKL's gap and an EdgeKL score from two
passes of self-attention layers shaped like Stable Diffusion 2.1's at 512 pixels (64 x 64 maps),
each in a process of its own; their ratio is the figure that counts. "metrics" scores one such map
by each divergence of table F, on CUDA where there is one. "small" traces a photo through
ten steps of the embedded model. With CUDA, networks of random weights shaped like Stable Diffusion
2.1 and XL are traced at 1024 pixels as well. Last come what DiffEGG prints of its own cost.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import nn
from torch.nn import functional as F

from evaluation.report.paper_tables import rows_for
from segdemo.assistant import AnnotationAssistant
from segdemo.diffegg.attention import AttentionLayers, AttentionMap, record_attention
from segdemo.diffegg.divergence import kl
from segdemo.diffegg.edge_kl import edge_score
from segdemo.diffegg.peak_kl import attention_gap
from segdemo.diffegg.settings import PAPER_TIMESTEPS, TraceSettings

SIDE = 64
SD21_LAYERS = [(64, 5)] * 5 + [(32, 10)] * 5 + [(16, 20)] * 5 + [(8, 20)]  # map side, heads
HEAD_WIDTH = 64
TABLE_F = ("kl", "js", "l2", "cosine")


class Layers(nn.Module):
    """Self-attention layers of Stable Diffusion 2.1's sizes, each on a smooth input of its own."""

    def __init__(self) -> None:
        """Make random weights."""
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(
            Attention(heads * HEAD_WIDTH, heads=heads, dim_head=HEAD_WIDTH)
            for _, heads in SD21_LAYERS
        )

    def forward(self, seed: int) -> None:
        """Run every layer once."""
        generator = torch.Generator().manual_seed(seed)
        for layer, (side, heads) in zip(self.layers, SD21_LAYERS, strict=True):
            coarse = 2 * torch.randn(1, heads * HEAD_WIDTH, 8, 8, generator=generator)
            smooth = F.interpolate(coarse, (side, side), mode="bilinear")
            layer(smooth.flatten(2).transpose(1, 2).to(layer.to_q.weight.device))


def lean() -> dict[str, float]:
    """Sums per map size, rows on demand."""
    network = Layers()
    modules = {f"{i}.attn1": layer for i, layer in enumerate(network.layers)}
    start, base = time.perf_counter(), _peak_mb()
    maps: list[AttentionMap] = []
    for seed in (0, 1):
        with record_attention(AttentionLayers(modules), SIDE) as attention:
            network(seed)
        maps.append(attention)
    gap = attention_gap(maps[1], maps[0])
    score = edge_score(maps[1])
    return _report(start, base, gap, score)


def metrics() -> dict[str, float]:
    """EdgeKL's score of one 64 x 64 map by each divergence of table F, in milliseconds.

    The map's rows are composed of the sums of all layers each time, as in a trace. The median of
    five repetitions after one to warm up.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = Layers().to(device)
    modules = {f"{i}.attn1": layer for i, layer in enumerate(network.layers)}
    with record_attention(AttentionLayers(modules), SIDE) as attention:
        network(0)
    found: dict[str, float] = {}
    for name in TABLE_F:
        seconds = []
        for _ in range(6):
            start = time.perf_counter()
            float(edge_score(attention, name).sum())  # waits for CUDA
            seconds.append(time.perf_counter() - start)
        found[f"{name}_ms"] = round(1000 * statistics.median(seconds[1:]))
    return found | {"cuda": device == "cuda"}


def plain() -> dict[str, float]:
    """Every layer's and head's map, all enlarged, then averaged."""
    network = Layers()
    kept: list[torch.Tensor] = []

    def keep(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        query, key = (
            project(inputs[0]).unflatten(-1, (module.heads, -1)).transpose(1, 2)[0]
            for project in (module.to_q, module.to_k)
        )
        kept.append((query @ key.transpose(1, 2) / math.sqrt(HEAD_WIDTH)).softmax(-1))

    for layer in network.layers:
        layer.register_forward_pre_hook(keep)
    start, base = time.perf_counter(), _peak_mb()
    maps = []
    for seed in (0, 1):
        network(seed)
        enlarged = []
        for (side, _), probability in zip(SD21_LAYERS, kept, strict=True):
            factor = SIDE // side
            mean = probability.mean(0).view(-1, 1, side, side)
            keys = F.interpolate(mean, (SIDE, SIDE), mode="bilinear") / factor**2
            rows = keys.view(side, side, SIDE**2)
            rows = rows.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
            enlarged.append(rows.reshape(SIDE**2, SIDE**2))
        maps.append(torch.stack(enlarged).mean(0))
        kept.clear()
    gap = float(kl(maps[1], maps[0]).mean())
    grid = maps[1].view(SIDE, SIDE, -1)
    up, down = torch.cat([grid[:1], grid[:-1]]), torch.cat([grid[1:], grid[-1:]])
    left = torch.cat([grid[:, :1], grid[:, :-1]], 1)
    right = torch.cat([grid[:, 1:], grid[:, -1:]], 1)
    return _report(start, base, gap, kl(down, up) + kl(right, left))


def small() -> dict[str, float]:
    """Ten steps of the embedded model at its usual size."""
    assistant = AnnotationAssistant(device="cpu")
    assistant.load_backbone()
    photo = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    start, base = time.perf_counter(), _peak_mb()
    *_, trace = assistant.trace(photo, TraceSettings(size=512))
    return _report(start, base, sum(trace.curve.gaps), torch.tensor(trace.chosen.edge_score))


def cuda(shape: str) -> dict[str, float]:
    """Ten recorded steps of a network of random weights at 1024 pixels, float16."""
    config: dict[str, Any] = {"cross_attention_dim": 1024, "use_linear_projection": True}
    config |= {"attention_head_dim": (5, 10, 20, 20), "sample_size": 128}
    added: dict[str, torch.Tensor] | None = None
    if shape == "sdxl":
        config |= {
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 2),
            "up_block_types": (*("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
            "attention_head_dim": (5, 10, 20),
            "cross_attention_dim": 2048,
            "transformer_layers_per_block": (1, 2, 10),
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        }
        added = {
            "text_embeds": torch.zeros(1, 1280, device="cuda", dtype=torch.float16),
            "time_ids": torch.zeros(1, 6, device="cuda", dtype=torch.float16),
        }
    torch.manual_seed(0)
    with torch.device("cuda"):
        unet = UNet2DConditionModel(**config).half().eval()
    layers = AttentionLayers({n: m for n, m in unet.named_modules() if n.endswith("attn1")})
    noisy = torch.randn(1, 4, 128, 128, device="cuda", dtype=torch.float16)
    text = torch.zeros(1, 77, config["cross_attention_dim"], device="cuda", dtype=torch.float16)
    weights = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    before: AttentionMap | None = None
    seconds = []
    for timestep in (999, *PAPER_TIMESTEPS):  # the first is for warming up
        start = time.perf_counter()
        with torch.inference_mode(), record_attention(layers, 128) as attention:
            unet(noisy, timestep, text, added_cond_kwargs=added)
        gap = attention_gap(attention, before) if before else 0.0
        score = edge_score(attention)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        before = attention
    above = (torch.cuda.max_memory_allocated() - weights) / 2**20
    return {
        "seconds": round(sum(seconds[1:]), 2),
        "peak_mb": round(above),
        "gap": gap,
        "score": float(score.mean()),
        "map_side": len(score),
    }


CASES: dict[str, Callable[[], dict[str, float]]] = {
    "lean": lean,
    "plain": plain,
    "metrics": metrics,
    "small": small,
    "sd21": lambda: cuda("sd21"),
    "sdxl": lambda: cuda("sdxl"),
}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _report(start: float, base: float, gap: float, score: torch.Tensor) -> dict[str, float]:
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "peak_mb": round(_peak_mb() - base),  # above weights and libraries
        "gap": gap,
        "score": float(score.mean()),
    }


def main() -> int:
    """Run every case in a process of its own, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, help="run this one here (default: all)")
    case = parser.parse_args().case
    if case:
        with torch.inference_mode():
            print(json.dumps({"case": case} | CASES[case]()))
        return 0
    lines = {}
    for name in CASES:
        if name in ("sd21", "sdxl") and not torch.cuda.is_available():
            print(json.dumps({"case": name, "skipped": "no CUDA device"}))
            continue
        command = [sys.executable, "-m", "benchmarks.trace_cost", "--case", name]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines[name] = json.loads(output.splitlines()[-1])
        print(json.dumps(lines[name]))
    ratios = {
        key: round(lines["plain"][key] / lines["lean"][key], 1) for key in ("seconds", "peak_mb")
    }
    print(json.dumps({"plain over lean": ratios}))
    for row in rows_for("trace_cost"):
        print(json.dumps({"case": row.label, "data": row.dataset} | dict(row.figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
