"""Where the time of a photo goes: the processor's seconds in each network, and outside of them.

    python -m benchmarks.photo_profile
    python -m benchmarks.photo_profile --augment --model small

Segments a drawn photo of 1 MP, by default with the settings that suit the model; their flags are
those of `segdemo segment`. Then U2NetP is timed alone, with its weights laid out as PyTorch does by
default and as they are here, channels last.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.app_speed import make_photo
from segdemo.checkpoints.diffdis import locate_diffdis
from segdemo.checkpoints.registry import DEFAULT_MODEL
from segdemo.commands.arguments import add_device, add_settings, given
from segdemo.datatypes import InputError
from segdemo.diffdis.loading import load_diffdis
from segdemo.diffdis.pipeline import DiffDISPipeline
from segdemo.diffdis.settings import DiffDISSettings
from segdemo.diffusion import pick_device
from segdemo.images import load_rgb
from segdemo.subject import SIDE, load_subject_network

OUTSIDE = "outside of networks"


def parts_of(pipeline: DiffDISPipeline) -> dict[str, nn.Module]:
    """Return the networks that a photo goes through; none is part of another."""
    parts = {
        "encoder": pipeline.autoencoder.encoder,
        "U-Net": pipeline.unet,
        "decoder": pipeline.autoencoder.decoder,
        "photo features": pipeline.photo_features,
        "saliency that the step starts from": pipeline.saliency,
        "U2NetP, second opinion": load_subject_network(),
    }
    return {name: part for name, part in parts.items() if part is not None}


@contextmanager
def timed(parts: Mapping[str, nn.Module]) -> Iterator[dict[str, list[float]]]:
    """Yield the processor's seconds of each call inside, by the part's name."""
    spent: dict[str, list[float]] = {name: [] for name in parts}
    hooks = []
    for name, part in parts.items():

        def begin(*_: object, name: str = name) -> None:
            spent[name].append(-time.process_time())

        def end(*_: object, name: str = name) -> None:
            spent[name][-1] += time.process_time()

        hooks += [part.register_forward_pre_hook(begin), part.register_forward_hook(end)]
    try:
        yield spent
    finally:
        for hook in hooks:
            hook.remove()


def seconds(work: Callable[[], object]) -> float:
    """Return the processor's seconds, the fewest of three."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


@torch.inference_mode()
def compare_layouts() -> None:
    """Print what one look of U2NetP takes in both layouts of its weights."""
    network = load_subject_network()
    image = torch.zeros(1, 3, SIDE, SIDE)
    usual = nn.Module.to(copy.deepcopy(network), memory_format=torch.contiguous_format)
    before, now = seconds(lambda: usual(image)), seconds(lambda: network(image))
    ratio = now / before
    print(f"U2NetP, {SIDE} pixels: {before:.2f} s, channels last {now:.2f} s ({ratio:.2f} of it)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--photo", type=Path, help="a photo in place of a drawn one")
    add_device(parser)
    add_settings(parser, DiffDISSettings)
    options = parser.parse_args(argv)
    try:
        files = locate_diffdis(options.model)
        pipeline = load_diffdis(files, pick_device(options.device), options.precision)
        chosen: dict[str, Any] = dict(files.card.segment) | given(options, DiffDISSettings)
        settings = DiffDISSettings(**chosen)
        with tempfile.TemporaryDirectory() as folder:
            image = load_rgb(options.photo or make_photo(Path(folder) / "photo.jpg"))
        pipeline(image, settings, edges=False)  # the first call chooses kernels
        with timed(parts_of(pipeline)) as spent:
            total = -time.process_time()
            pipeline(image, settings, edges=False)
            total += time.process_time()
    except InputError as error:
        parser.error(str(error))
    rows = {name: (sum(calls), f"{len(calls)} calls") for name, calls in spent.items() if calls}
    rows[OUTSIDE] = (total - sum(taken for taken, _ in rows.values()), "")
    print(f"{total:.2f} s of the processor, {torch.get_num_threads()} threads; of these")
    for name, (taken, calls) in sorted(rows.items(), key=lambda row: -row[1][0]):
        print(f"{name:36}{taken:7.2f} s{taken / total:6.0%}  {calls}")
    compare_layouts()
    return 0


if __name__ == "__main__":
    sys.exit(main())
