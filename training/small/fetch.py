"""Fetch the training material from its public packages and repositories.

    python -m training.small.fetch --output_dir train_mix
    python -m training.small.fetch --output_dir train_mix \
        --ccp clothing-co-parsing --coco coco128_yolo COCO_Tiny COCO-MINI \
        --bsds BSDS500 --renders my_renders

Stamps, emoji and silhouettes come from Debian's and npm's own clients (`apt-get download`,
`npm pack`), renders from `training.small.render`. Photographs come from git checkouts that you
make; the program ends with the commands for what is still missing, without which `training.small`
runs as well. Parts that are there already are left alone. `training/README.md` lists
sources and licences; `material_names.json` beside this file lists the images that are used.
"""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from segdemo.datatypes import InputError
from segdemo.settings import setting
from training.loop.settings import Settings, required
from training.program import FAILED, OK, run_program
from training.small.convert import (
    convert_bsds,
    convert_bsds_boundaries,
    convert_ccp,
    convert_coco,
    convert_cutouts,
)

logger = logging.getLogger(__name__)

STAMPS_PACKAGE = "tuxpaint-stamps-default"
EMOJI_PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
ICONS_PACKAGE = "@iconify-json/game-icons@1.2.4"
GIT_SOURCES = {  # part -> (repository, commit) of each checkout
    "ccp": [("bearpaw/clothing-co-parsing", "fe34fb77721a9973fbae92c05f7f12b664d10110")],
    "coco": [
        ("lightly-ai/coco128_yolo", "6d6f7a059ea63efffdbe48aca2d52c04d4c510e9"),
        ("zzowenzz/COCO_Tiny", "e7a689f7d6d1a1908df287c3e79eccdadfdba1fe"),
        ("Obmutescence/COCO-MINI", "644f29e7c1d2eefd9c4412d39bc5b0ee6fd0afd4"),
    ],
    "bsds": [("BIDS/BSDS500", "a04b7c6c3a9f0ace74bf205c72a43d32e1c72722")],
}
RENDERS_ADVICE = """\
pip install vtk && python -m training.small.render --output_dir renders
  then: --renders renders"""
NAMES_FILE = Path(__file__).with_name("material_names.json")


def chosen_names(source: str) -> list[str]:
    """Return the names of the images taken from `source`: stamps, emoji, ccp or coco."""
    names = json.loads(NAMES_FILE.read_text())
    chosen: list[str] = names["chosen"][source]
    assert not set(chosen) & set(names["held_out"][source]), "held-out images must stay out"
    return chosen


# Packages -----------------------------------------------------------------------------------------


def fetch_stamps(folder: Path) -> int:
    """Download Debian's Tux Paint stamps and write the photographic ones; return their count."""
    with tempfile.TemporaryDirectory() as temporary:
        unpacked = download_debian(STAMPS_PACKAGE, temporary)
        stamps = unpacked / "usr" / "share" / "tuxpaint" / "stamps"
        return convert_cutouts([stamps / name for name in chosen_names("stamps")], folder, 512)


def fetch_emoji(folder: Path) -> int:
    """Download the 3D emoji and write the chosen ones; return their count."""
    with tempfile.TemporaryDirectory() as temporary, _npm_package(EMOJI_PACKAGE, temporary) as tar:
        files = []
        for name in chosen_names("emoji"):
            files.append(Path(temporary, f"{name}.webp"))
            files[-1].write_bytes(_member(tar, f"package/assets/{name}.webp"))
        return convert_cutouts(files, folder, 256)


def fetch_icons(target: Path) -> int:
    """Download the silhouettes and write them to `target`, gzipped; return their number."""
    with tempfile.TemporaryDirectory() as temporary, _npm_package(ICONS_PACKAGE, temporary) as tar:
        icons = _member(tar, "package/icons.json")
    target.write_bytes(gzip.compress(icons, mtime=0))
    return len(json.loads(icons)["icons"])


def download_debian(package: str, temporary: str) -> Path:
    """Download and unpack a Debian package; returns the folder, inside `temporary`."""
    _run(["apt-get", "download", package], temporary)
    file = next(Path(temporary).glob("*.deb"))
    _run(["dpkg-deb", "--extract", str(file), "unpacked"], temporary)
    return Path(temporary, "unpacked")


def _npm_package(package: str, temporary: str) -> tarfile.TarFile:
    _run(["npm", "pack", "--silent", package], temporary)
    return tarfile.open(next(Path(temporary).glob("*.tgz")))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    content = tar.extractfile(name)
    assert content is not None, f"{name} is a folder"
    return content.read()


def _run(command: list[str], folder: str) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        raise InputError(
            f"{command[0]} is not installed, which downloads a part: install it."
        ) from None
    except subprocess.CalledProcessError as error:
        raise InputError(f"`{' '.join(command)}` failed with status {error.returncode}.") from None


# Program ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One part of the material: its path, how to make it, and what to do where it cannot be made.

    make: writes the part at the path it is given and returns the number of images; None when the
    part's source was not given.
    """

    path: Path
    make: Callable[[Path], int] | None
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class FetchSettings(Settings):
    """Where the material goes, and folders of what packages do not have."""

    own_folder = True

    output_dir: str = required("Folder of the material.")
    ccp: str = setting("", "Checkout of Clothing Co-Parsing.")
    coco: list[str] = field(default_factory=list, metadata={"help": "Checkouts of COCO subsets."})
    bsds: str = setting("", "Checkout of BSDS500.")
    renders: str = setting("", "Folder of RGBA renders.")


def list_parts(settings: FetchSettings) -> list[Part]:
    """Return every part that training needs, in the order in which they are made."""
    output = Path(settings.output_dir)

    def make_people(folder: Path) -> int:
        return convert_ccp(Path(settings.ccp), folder, chosen_names("ccp"))

    def make_photos(folder: Path) -> int:
        names = chosen_names("coco")
        return sum(convert_coco(Path(checkout), folder, names) for checkout in settings.coco)

    def make_backgrounds(folder: Path) -> int:
        return convert_bsds(Path(settings.bsds), folder)

    def make_boundaries(folder: Path) -> int:
        return convert_bsds_boundaries(Path(settings.bsds), folder)

    def make_renders(folder: Path) -> int:
        return convert_cutouts(sorted(Path(settings.renders).glob("*")), folder, 448)

    return [
        Part(output / "cutouts_photo", fetch_stamps),
        Part(output / "cutouts_emoji3d", fetch_emoji),
        Part(output / "game-icons.json.gz", fetch_icons),
        Part(output / "ccp", make_people if settings.ccp else None, _advice("ccp")),
        Part(output / "coco", make_photos if settings.coco else None, _advice("coco")),
        Part(output / "photos_bsds", make_backgrounds if settings.bsds else None, _advice("bsds")),
        Part(
            output / "photos_bsds_boundaries",
            make_boundaries if settings.bsds else None,
            _advice("bsds"),
        ),
        Part(output / "cutouts_3d", make_renders if settings.renders else None, RENDERS_ADVICE),
    ]


def _advice(part: str) -> str:
    clones = [
        f"git clone https://github.com/{repository} && "
        f"git -C {repository.split('/')[1]} checkout {commit}"
        for repository, commit in GIT_SOURCES[part]
    ]
    folders = " ".join(repository.split("/")[1] for repository, _ in GIT_SOURCES[part])
    return "\n  ".join([*clones, f"then: --{part} {folders}"])


def fetch_material(parts: list[Part]) -> list[Part]:
    """Make every part that is missing and has a source; return those that are still missing.

    What cannot be made is a message, and the other parts are made all the same.
    """
    for part in parts:
        if part.make is None or part.path.exists():
            continue
        try:
            _make(part, part.make)
        except InputError as error:
            logger.error("%s: %s", part.path, error)
    return [part for part in parts if not part.path.exists()]


def _make(part: Part, make: Callable[[Path], int]) -> None:
    """Write a part, whole or not at all; raises InputError."""
    unfinished = part.path.with_name(f"{part.path.name}.part")  # an interrupted part is redone
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    count = make(unfinished)
    if count == 0:
        raise InputError("the given folder holds none of its images.")
    unfinished.rename(part.path)
    logger.info("%s: %d images", part.path, count)


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit code, FAILED where a part could not be made."""
    return run_program(_run_parts, FetchSettings, argv, __doc__)


def _run_parts(settings: FetchSettings) -> int:
    missing = fetch_material(list_parts(settings))
    failed = [part for part in missing if part.make is not None]
    for part in missing:
        if part.make is None:
            print(f"Still missing: {part.path}, which takes these commands:\n  {part.hint}")
    if len(missing) < len(list_parts(settings)):
        print(
            f"What is there suffices to begin: python -m training.small --material_dir "
            f"{settings.output_dir} --output_dir runs/small --preset smoke"
        )
    return FAILED if failed else OK


if __name__ == "__main__":
    sys.exit(main())
