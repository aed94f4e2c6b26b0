"""What DiffDIS costs: seconds, peak memory and FLOPs of 1, 2 and 10 steps, and the VAE's share.

    python -m benchmarks.diffdis_cost
    python -m benchmarks.diffdis_cost --sizes 128 --shrink 10
    python -m benchmarks.diffdis_cost --sizes 1024 --steps 1 --precisions fp32 bf16

Networks of the paper's shape with random weights, in float32 or as named, without test-time
augmentation. FLOPs are counted without computing (a multiply-add is two), hence for every case;
what is timed is each case in a process of its own, on a GPU if there is one. On a CPU at real size
a case takes minutes and 8 GB: `--sizes`, `--steps` and `--shrink`, which divides the networks'
widths, make it less; `--flops_only` measures nothing. Prints one JSON line a case, and the paper's
seconds below.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler
from torch.utils.flop_counter import FlopCounterMode

from evaluation.report.paper_tables import rows_for
from segdemo.diffdis.loading import OFFICIAL_CONFIG, SD_TURBO_SCHEDULE
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.unet import DiffDISUNet
from segdemo.diffusion import pick_device
from segdemo.precision import DTYPES, channels_last

PARADIGMS = {1: "1/1", 2: "2/2", 10: "1*/10"}
GROUPS = 32  # of the norms: every width is a multiple
HEAD_WIDTH = 64
TEXT = (1, 2, 1024)
VAE_WIDTHS = (128, 256, 512, 512)


def build_pipeline(steps: int, shrink: int, device: torch.device) -> DiffDISPipeline:
    """Return a pipeline of random weights; the paper's shape with shrink 1."""
    widths = [_narrower(width, shrink) for width in (320, 640, 1280, 1280)]
    config = OFFICIAL_CONFIG | {
        "block_out_channels": tuple(widths),
        "attention_head_dim": tuple(max(1, width // HEAD_WIDTH) for width in widths),
    }
    torch.manual_seed(0)
    with device:
        unet = DiffDISUNet(**config, denoising=PARADIGMS[steps])
        autoencoder = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=tuple(_narrower(width, shrink) for width in VAE_WIDTHS),
            layers_per_block=2,
        )
        null_text = torch.zeros(TEXT)
    scheduler = DDPMScheduler(**SD_TURBO_SCHEDULE)
    return DiffDISPipeline(unet, autoencoder, scheduler, null_text, native_size=1024)


@torch.inference_mode()
def count_flops(size: int, steps: int, shrink: int) -> dict[str, float]:
    """Count TFLOP of one image, in all and of the VAE, without computing anything."""
    device = torch.device("meta")
    pipeline = build_pipeline(steps, shrink, device)
    image = torch.zeros(1, 3, size, size, device=device)
    noise = torch.zeros(1, 4, size // 8, size // 8, device=device)

    def vae() -> None:
        pipeline.encode(image)
        pipeline.condition_pyramid(image)
        pipeline.decode(noise.expand(2, -1, -1, -1))

    found = {}
    for name, work in (("tflop", lambda: pipeline.predict(image, noise)), ("vae", vae)):
        with FlopCounterMode(display=False) as counter:
            work()
        found[name] = counter.get_total_flops() / 1e12
    return {"tflop": round(found["tflop"], 3), "vae_share": round(found["vae"] / found["tflop"], 3)}


@torch.inference_mode()
def measure(
    size: int, steps: int, shrink: int, repetitions: int, device: torch.device, precision: str
) -> dict[str, float]:
    """Return the seconds of an image (the fastest), the VAE's share of them, and peak memory."""
    pipeline = build_pipeline(steps, shrink, device).to(device, DTYPES[precision])
    channels_last(pipeline.autoencoder, device)  # as a loaded model's
    image = torch.zeros(1, 3, size, size, device=device)
    noise = torch.randn(1, 4, size // 8, size // 8, device=device)
    spent: list[float] = []
    for name in ("encode", "decode"):  # all encoding goes through the first
        setattr(pipeline, name, _timed(getattr(pipeline, name), spent, device))
    totals, shares, spent_cpu = [], [], []
    warming = int(device.type == "cuda")  # the first pass chooses kernels
    for _ in range(repetitions + warming):
        spent.clear()
        total: list[float] = []
        busy = time.process_time()
        _timed(pipeline.predict, total, device)(image, noise)
        spent_cpu.append(time.process_time() - busy)
        totals.append(total[0])
        shares.append(sum(spent) / total[0])
    best = min(range(warming, len(totals)), key=totals.__getitem__)
    return {
        "seconds": round(totals[best], 3),
        "processor_seconds": round(spent_cpu[best], 3),
        "vae_seconds_share": round(shares[best], 3),
        "peak_mb": round(_peak_mb(device)),
    }


def main(argv: list[str] | None = None) -> int:
    """Count all cases, time each in a process of its own, or the one case that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024], help="pixels a side")
    parser.add_argument("--steps", type=int, nargs="+", choices=PARADIGMS, default=list(PARADIGMS))
    parser.add_argument("--shrink", type=int, default=1, help="divide the networks' widths")
    parser.add_argument("--precisions", nargs="+", choices=DTYPES, default=["fp32"])
    parser.add_argument("--repetitions", type=int, default=1, help="passes; the fastest counts")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--flops_only", action="store_true", help="measure nothing")
    parser.add_argument("--single", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if any(size < 128 or size % 64 for size in options.sizes):
        parser.error("--sizes: choose multiples of 64 from 128 up")
    device = pick_device(options.device)
    for size in options.sizes:
        for steps in options.steps:
            first: float | None = None
            for precision in options.precisions:
                case: dict[str, Any] = {"size": size, "steps": steps, "shrink": options.shrink}
                if options.single:
                    case = measure(
                        size, steps, options.shrink, options.repetitions, device, precision
                    )
                else:
                    case |= count_flops(size, steps, options.shrink)
                    if not options.flops_only:
                        case |= {"device": str(device), "precision": precision}
                        case |= _in_own_process(size, steps, precision, options)
                        # of the processor: what else runs there counts little
                        clock = "seconds" if device.type == "cuda" else "processor_seconds"
                        first = first or case[clock]
                        case["times_as_fast_as_first"] = round(first / case[clock], 2)
                print(json.dumps(case), flush=True)
    if not options.single:
        for row in rows_for("diffdis_cost"):
            print(json.dumps({"case": row.label, "seconds": row.figures["seconds"]}))
    return 0


def _in_own_process(
    size: int, steps: int, precision: str, options: argparse.Namespace
) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.diffdis_cost", "--single"]
    for name, value in (("sizes", size), ("steps", steps), ("precisions", precision)):
        command += [f"--{name}", str(value)]
    for name in ("shrink", "repetitions", "device"):
        command += [f"--{name}", str(getattr(options, name))]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


def _narrower(width: int, shrink: int) -> int:
    return max(GROUPS, width // shrink // GROUPS * GROUPS)


def _timed(
    work: Callable[..., torch.Tensor], seconds: list[float], device: torch.device
) -> Callable[..., torch.Tensor]:
    """Return the function with its seconds appended to a list at every call."""

    def timed(*given: torch.Tensor) -> torch.Tensor:
        _wait(device)
        started = time.perf_counter()
        result = work(*given)
        _wait(device)
        seconds.append(time.perf_counter() - started)
        return result

    return timed


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_mb(device: torch.device) -> float:
    """Return the peak memory in MiB: of the GPU's tensors, else of the process with libraries."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
