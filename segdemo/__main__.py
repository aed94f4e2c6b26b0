"""The command line: `python -m segdemo VERB ...`, one function a verb.

Example: python -m segdemo segment photos/ cat.jpg --output_dir masks

Ends with 0 when all is done, 1 when some pictures failed, 2 on wrong usage, 130 when stopped by
Ctrl-C. PyTorch is imported only once the arguments are found good, since that takes seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from segdemo.batch import FileStatus, PictureFile, SegmentationFiles, find_images, segment_files
from segdemo.datatypes import InputError, RGBImage, SegmentationResult
from segdemo.diffdis.settings import DiffDISSettings

DONE, SOME_FAILED, WRONG_USAGE, STOPPED = 0, 1, 2, 130
LARGEST_SEED = 2**63 - 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; wrong usage leaves by SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog="python -m segdemo", description="Precise object masks from diffusion models."
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_segment(verbs)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        print("Stopped. Results written so far are complete.", file=sys.stderr)
        return STOPPED


# segment ------------------------------------------------------------------------------------------


def segment(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Cut the subject out of every picture given; returns the exit code."""
    output_dir: Path = arguments.output_dir
    try:
        pictures = _pictures(arguments.inputs, output_dir)
        _make_folder(output_dir)
        run = _segmenter(arguments)
    except InputError as error:
        parser.error(str(error))
    with tqdm(total=len(pictures), unit="picture", disable=None) as bar:
        failed = []
        for status in segment_files(pictures, output_dir, run, arguments.threshold):
            if status.succeeded:
                bar.write(f"{status.name}: {status.message}, {status.seconds:.1f} s")
            else:
                failed.append(status)
            bar.update()
    return _report(failed, len(pictures), output_dir)


def _add_segment(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "segment",
        help="find the subject of photos: mask, edge and cut-out",
        description="Write <stem>_mask.png and <stem>_edge.png (8-bit grey, the photo's size) and "
        "<stem>_cutout.png (RGBA) for every photo. Results of an earlier run in the same folder "
        "are replaced; a folder's photos keep their sub-folders; of photos that share a stem the "
        "later ones become <stem>-2, <stem>-3.",
    )
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="photo, or folder with photos"
    )
    parser.add_argument(
        "--output_dir", type=Path, required=True, metavar="OUT", help="folder for the results"
    )
    parser.add_argument(
        "--model",
        default="small",
        help="registered name (small, official), checkpoint folder, U-Net .safetensors file or Hub "
        "id (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps .. (default: %(default)s)"
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16", "fp16"),
        default="fp32",
        help="number format of the U-Net (default: %(default)s)",
    )
    parser.add_argument(
        "--threshold",
        type=_fraction,
        metavar="T",
        help="write hard masks: 255 where the soft mask exceeds T in [0, 1] (default: soft masks)",
    )
    _add_setting(parser, DiffDISSettings, "size", type=int, metavar="PIXELS")
    _add_setting(parser, DiffDISSettings, "seed", type=_seed, metavar="N")
    _add_setting(parser, DiffDISSettings, "augment", action="store_true")
    _add_setting(parser, DiffDISSettings, "ensemble", type=int, metavar="N")
    parser.set_defaults(run=partial(segment, parser))


def _add_setting(
    parser: argparse.ArgumentParser, settings: type, name: str, **options: Any
) -> None:
    """Add `--name`; not given, it is absent from the arguments: defaults stay in one place."""
    (entry,) = (entry for entry in fields(settings) if entry.name == name)
    sentence = f"{entry.metadata['help']} (default: {entry.default})".replace("%", "%%")
    parser.add_argument(f"--{name}", default=argparse.SUPPRESS, help=sentence, **options)


def _segmenter(
    arguments: argparse.Namespace,
) -> Callable[[RGBImage], SegmentationResult]:
    """Load the model and bind its settings; raises InputError."""
    from segdemo.assistant import AnnotationAssistant  # seconds: it brings PyTorch

    names = [setting.name for setting in fields(DiffDISSettings)]
    given = {name: getattr(arguments, name) for name in names if name in arguments}
    settings = DiffDISSettings(**given)
    assistant = AnnotationAssistant(arguments.model, arguments.device, arguments.precision)
    assistant.load()
    return partial(assistant.segment, settings=settings)


def _pictures(inputs: Sequence[Path], output_dir: Path) -> list[PictureFile]:
    """List what is to be done, named as typed; raises InputError where nothing or harm would be."""
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"--output_dir {output_dir} is a file: name a folder.")
    if any(given.resolve() == output_dir.resolve() for given in inputs):
        raise InputError(
            f"{output_dir} is both an input and --output_dir: results would be taken for photos "
            "the next time; choose another folder."
        )
    found = find_images(inputs, output_dir)
    if not found:
        raise InputError(f"Nothing to do: no photos in {', '.join(map(str, inputs))}.")
    pictures = [replace(picture, name=str(picture.path)) for picture in found]
    _keep_inputs(pictures, output_dir)
    return pictures


def _keep_inputs(pictures: Iterable[PictureFile], output_dir: Path) -> None:
    """Raise InputError if a result would replace one of the photos."""
    photos = {picture.path.resolve() for picture in pictures}
    for picture in pictures:
        for file in SegmentationFiles.below(output_dir, picture.stem):
            if file.resolve() in photos:
                raise InputError(
                    f"{file} is one of the photos, and the results of {picture.name} would replace "
                    "it: choose another --output_dir."
                )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--output_dir {folder} cannot be made ({error.strerror}): choose another folder."
        ) from error


def _report(failed: Sequence[FileStatus], total: int, output_dir: Path) -> int:
    """Print the outcome, one line a failed picture; returns the exit code."""
    print(f"{total - len(failed)} of {total} done, results in {output_dir}")
    if not failed:
        return DONE
    print(f"{len(failed)} failed:", file=sys.stderr)
    for status in failed:
        print(f"  {status.message}", file=sys.stderr)
    return SOME_FAILED


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value <= LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {LARGEST_SEED}")
    return value


if __name__ == "__main__":
    sys.exit(main())
