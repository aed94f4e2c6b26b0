"""Obtain the training material again from its public packages and repositories.

    python -m training.small.fetch --output_dir train_mix
    python -m training.small.fetch --output_dir train_mix \
        --ccp clothing-co-parsing --coco coco128_yolo COCO_Tiny COCO-MINI \
        --bsds BSDS500 --renders my_renders

Stamps, emoji and silhouettes come from Debian's and npm's own clients (`apt-get download`,
`npm pack`). Photographs come from git checkouts that you make; the program ends with the commands
for what is still missing. Parts that are there already are left alone. `training/README.md` lists
sources and licences; `material_names.json` beside this file lists the pictures that are used.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from segdemo.datatypes import InputError
from segdemo.terminal import print_any_text
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
Render 3D models (ours: Debian's sweethome3d-furniture) on a transparent ground, 448 px,
  and give the folder of RGBA pictures: --renders DIR"""
NAMES_FILE = Path(__file__).with_name("material_names.json")


def chosen_names(source: str) -> list[str]:
    """Return the names of the pictures taken from `source`: stamps, emoji, ccp or coco."""
    names = json.loads(NAMES_FILE.read_text())
    chosen: list[str] = names["chosen"][source]
    assert not set(chosen) & set(names["held_out"][source]), "measuring material must stay out"
    return chosen


# Packages -----------------------------------------------------------------------------------------


def fetch_stamps(folder: Path) -> int:
    """Download Debian's Tux Paint stamps and write the photographic ones; return their count."""
    with tempfile.TemporaryDirectory() as workplace:
        _run(["apt-get", "download", STAMPS_PACKAGE], workplace)
        package = next(Path(workplace).glob("*.deb"))
        _run(["dpkg-deb", "--extract", str(package), "unpacked"], workplace)
        stamps = Path(workplace, "unpacked", "usr", "share", "tuxpaint", "stamps")
        return convert_cutouts([stamps / name for name in chosen_names("stamps")], folder, 512)


def fetch_emoji(folder: Path) -> int:
    """Download the 3D emoji and write the chosen ones; return their count."""
    with tempfile.TemporaryDirectory() as workplace, _npm_package(EMOJI_PACKAGE, workplace) as tar:
        files = []
        for name in chosen_names("emoji"):
            files.append(Path(workplace, f"{name}.webp"))
            files[-1].write_bytes(_member(tar, f"package/assets/{name}.webp"))
        return convert_cutouts(files, folder, 256)


def fetch_icons(target: Path) -> int:
    """Download the silhouettes and write them to `target` as they are, gzipped; return a count."""
    with tempfile.TemporaryDirectory() as workplace, _npm_package(ICONS_PACKAGE, workplace) as tar:
        icons = _member(tar, "package/icons.json")
    target.write_bytes(gzip.compress(icons, mtime=0))
    return len(json.loads(icons)["icons"])


def _npm_package(package: str, workplace: str) -> tarfile.TarFile:
    _run(["npm", "pack", "--silent", package], workplace)
    return tarfile.open(next(Path(workplace).glob("*.tgz")))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    content = tar.extractfile(name)
    assert content is not None, f"{name} is a folder"
    return content.read()


def _run(command: list[str], folder: str) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        raise InputError(f"{command[0]} is not installed here: it fetches a part.") from None
    except subprocess.CalledProcessError as error:
        raise InputError(f"`{' '.join(command)}` failed with status {error.returncode}.") from None


# Program ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One part of the material: where it lies, how to make it, and what to say without it.

    make: writes the part at the path it is given and returns the number of pictures; None when the
    part's source was not given.
    """

    path: Path
    make: Callable[[Path], int] | None
    wanting: str = ""


def list_parts(arguments: argparse.Namespace) -> list[Part]:
    """Return every part that training needs, in the order in which they are made."""
    output, renders = arguments.output_dir, arguments.renders

    def make_people(folder: Path) -> int:
        return convert_ccp(arguments.ccp, folder, chosen_names("ccp"))

    def make_photos(folder: Path) -> int:
        names = chosen_names("coco")
        return sum(convert_coco(checkout, folder, names) for checkout in arguments.coco)

    def make_backdrops(folder: Path) -> int:
        return convert_bsds(arguments.bsds, folder)

    def make_boundaries(folder: Path) -> int:
        return convert_bsds_boundaries(arguments.bsds, folder)

    def make_renders(folder: Path) -> int:
        return convert_cutouts(sorted(renders.glob("*")), folder, 448)

    return [
        Part(output / "cutouts_photo", fetch_stamps),
        Part(output / "cutouts_emoji3d", fetch_emoji),
        Part(output / "game-icons.json.gz", fetch_icons),
        Part(output / "ccp", make_people if arguments.ccp else None, _advice("ccp")),
        Part(output / "coco", make_photos if arguments.coco else None, _advice("coco")),
        Part(output / "photos_bsds", make_backdrops if arguments.bsds else None, _advice("bsds")),
        Part(
            output / "photos_bsds_boundaries",
            make_boundaries if arguments.bsds else None,
            _advice("bsds"),
        ),
        Part(output / "cutouts_3d", make_renders if renders else None, RENDERS_ADVICE),
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
    """Make every part that is neither there nor lacks its source; return those still missing."""
    for part in parts:
        if part.make is None or part.path.exists():
            continue
        unfinished = part.path.with_name(f"{part.path.name}.part")  # an interrupted part is redone
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        count = part.make(unfinished)
        if count == 0:
            raise InputError(f"{part.path.name}: the given folder holds none of its pictures.")
        unfinished.rename(part.path)
        logger.info("%s: %d pictures", part.path, count)
    return [part for part in parts if not part.path.exists()]


def main(argv: list[str] | None = None) -> int:
    """Run the program; 0 when the material is complete, 1 when parts are missing or failed."""
    print_any_text()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="Folder of the material.")
    parser.add_argument("--ccp", type=Path, help="Checkout of Clothing Co-Parsing.")
    parser.add_argument("--coco", type=Path, nargs="+", default=[], help="COCO checkouts.")
    parser.add_argument("--bsds", type=Path, help="Checkout of BSDS500.")
    parser.add_argument("--renders", type=Path, help="Folder of RGBA renders.")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        missing = fetch_material(list_parts(parser.parse_args(argv)))
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    for part in missing:
        print(f"Still missing: {part.path}\n  {part.wanting}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
