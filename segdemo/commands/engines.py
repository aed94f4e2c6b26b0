"""Where a verb's images are processed, as flags: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import argparse

from segdemo.commands.ray_cluster import RayCluster
from segdemo.commands.workers import Engine, Processes
from segdemo.datatypes import InputError


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add --workers, and --ray with what belongs to it."""
    parser.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="processes that share the photos, each with its own model; with --ray actors "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="auto",
        default="",
        metavar="ADDRESS",
        help="run on a Ray cluster (pip install 'segdemo[ray]'): at ADDRESS, by default "
        "RAY_ADDRESS, a cluster that runs here, or one that is started here",
    )
    parser.add_argument(
        "--gpus_per_worker",
        type=_share,
        default=0.0,
        metavar="G",
        help="--ray: GPUs of an actor, such as 1 or 0.5 (default: none)",
    )
    parser.add_argument(
        "--batch_size",
        type=_count,
        default=4,
        metavar="B",
        help="--ray: photos handed out at a time; those of a dead actor are done again "
        "(default: %(default)s)",
    )


def add_shards(parser: argparse.ArgumentParser) -> None:
    """Add --shards and --output_shards."""
    parser.add_argument(
        "--shards",
        nargs="+",
        default=[],
        metavar="TAR|URL",
        help="--ray: in place of photos, tar shards of a WebDataset, or images that Ray reads by "
        "path or URL (s3://, gs://); results go to --output_shards",
    )
    parser.add_argument(
        "--output_shards",
        default="",
        metavar="PLACE",
        help="--shards: folder or URL for tar shards of results and a Parquet index of them; the "
        "same command leaves out what is finished there",
    )


def check_shards(arguments: argparse.Namespace) -> bool:
    """Return whether a run goes from shards to shards; raises InputError for half of it."""
    given = [bool(arguments.shards), bool(arguments.output_shards)]
    if not any(given):
        if not arguments.inputs or arguments.output_dir is None:
            raise InputError("Give photos and --output_dir, or --shards and --output_shards.")
        return False
    if not all(given) or not arguments.ray or arguments.inputs or arguments.output_dir:
        raise InputError(
            "--shards, --output_shards and --ray belong together, without photos and --output_dir."
        )
    return True


def chosen_engine(arguments: argparse.Namespace) -> Engine:
    """Return what the flags mean."""
    return ray_cluster(arguments) if arguments.ray else Processes(arguments.workers)


def ray_cluster(arguments: argparse.Namespace) -> RayCluster:
    """Return the cluster that the flags mean; nothing is started yet."""
    return RayCluster(
        arguments.ray, arguments.workers, arguments.gpus_per_worker, arguments.batch_size
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 64:
        raise argparse.ArgumentTypeError(f"{text} is not a number of GPUs")
    return value
