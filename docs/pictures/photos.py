"""Photographs that come with packages under clear terms: who made them, and how to read them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from skimage import data

from segdemo.datatypes import InputError

GCOMPRIS = Path("/usr/share/gcompris-qt/rcc")  # where Debian's package puts its resources
COMMONS = "https://commons.wikimedia.org/wiki/File:"
FOLDER = 2  # flags of an entry in a resource file
DEFLATED = 1


@dataclass(frozen=True)
class Photo:
    """A photograph of a package. place: its path in GCompris' resources, or scikit-image's name."""

    name: str
    subject: str
    author: str
    licence: str
    source: str
    place: str

    @property
    def package(self) -> str:
        """The package that it comes with."""
        return "gcompris-qt-data" if self.place.endswith(".webp") else "scikit-image"

    def open(self, gcompris: Path = GCOMPRIS) -> Image.Image:
        """Read it as RGB from its package; raises InputError where that is not installed."""
        if self.package == "scikit-image":
            return Image.fromarray(getattr(data, self.place)()).convert("RGB")
        activity, *_, name = self.place.split("/")
        file = gcompris / f"{activity}.rcc"
        if not file.is_file():
            raise InputError(
                f"{file} is missing: install the Debian package gcompris-qt-data, "
                "or name its folder rcc with --gcompris."
            )
        for path, content in resources(file.read_bytes()):
            if path.endswith(f"/{name}"):
                return Image.open(io.BytesIO(content)).convert("RGB")
        raise InputError(f"{file} holds no {name}: another version of gcompris-qt-data than 3.1?")


CC0 = "CC0 1.0"


def _animal(
    kind: str, name: str, subject: str, author: str, source: str, licence: str = "public domain"
) -> Photo:
    place = f"explore_{kind}_animals/resource/animals/{name}.webp"
    return Photo(name, subject, author, licence, COMMONS + source, place)


# fmt: off
PHOTOS = (
    _animal("world", "bison", "a bison", "Kurt Kaiser", "American_Bison_9.jpg", CC0),
    _animal("world", "chameleon", "a chameleon", "Nilesh1104", "GARDEN_CHAMELEON.jpeg"),
    _animal("world", "crocodile", "a crocodile", "Djambalawa",
            "Saltwater_Crocodile_on_a_river_bank_(cropped).jpg"),
    _animal("world", "dragon", "a Komodo dragon", "TimVickers", "Varanus_komodoensis_(5).jpg"),
    _animal("world", "giraffe", "two giraffes", "Mike and Lara Wolfe",
            "Giraffe_courtship_(25657342808).jpg", CC0),
    _animal("world", "hedgehog", "a hedgehog", "George Chernilevsky",
            "Erinaceus_roumanicus_2020_G2.jpg"),
    _animal("world", "jaguar", "two jaguars", "Frieda Bredesen", "Two_Jaguar_Sisters.jpg", CC0),
    _animal("world", "kangaroo", "a kangaroo with its joey", "Vicki Nunn",
            "Eastern_Grey_Kangaroo_%26_Joey2.jpg"),
    _animal("world", "koala", "a koala", "BurningWell", "Koala_Perth_Zoo.jpg"),
    _animal("world", "lemur", "two lemurs", "Mathias Appel", "Lemur_(37122852696).jpg", CC0),
    _animal("world", "moose", "a moose", "Ryan Hagerty", "Male_Moose.jpg"),
    _animal("world", "narwhal", "narwhals", "Dr Kristin Laidre", "Pod_Monodon_monoceros.jpg"),
    _animal("world", "panda", "a giant panda", "Jeff Kubina", "Giant_Panda_2004-03-2.jpg"),
    _animal("world", "polar_bear", "a polar bear", "unknown",
            "Churchill_Wildlife_Management_Area_polar_bear30.JPG"),
    _animal("world", "scarlet_macaw", "a scarlet macaw", "Dcoetzee",
            "Scarlet_macaw_at_Cougar_Mountain_Zoological_Park.jpg", CC0),
    _animal("farm", "cat", "a kitten", "Loliloli", "Spielendes_K%C3%A4tzchen.JPG"),
    _animal("farm", "chicken", "four hens", "Tranquilles", "Chickens_at_Tranquilles_B%26B.JPG"),
    _animal("farm", "cow", "a cow", "Dohduhdah", "Cow-IMG_2050.JPG"),
    _animal("farm", "dog", "a dog", "Hans Kemperman", "German-shepherd-4040871920._(2).jpg"),
    _animal("farm", "duck", "a duck", "Bernard Spragg", "Aylesbury_Duck._(9373723157).jpg", CC0),
    _animal("farm", "horse", "horses", "Seth Zeigler", "Nokota_Horse_Stud_Band.jpg", CC0),
    _animal("farm", "owl", "an owl", "Lepale", "Owl_The_Nightbird.jpg", CC0),
    _animal("farm", "sheep", "a sheep", "Rob Mitchell", "Sheep_(33625876592).jpg", CC0),
    Photo(
        "astronaut",
        "the astronaut Eileen Collins",
        "NASA",
        "public domain",
        "https://flic.kr/p/r9qvLn",
        "astronaut",
    ),
)
# fmt: on


def photo(name: str) -> Photo:
    """Find a photograph by its name."""
    return next(one for one in PHOTOS if one.name == name)


def resources(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Read a binary file of Qt resources: every path in it with what it holds."""
    if content[:4] != b"qres":
        raise InputError("Not a file of Qt resources (it should begin with 'qres').")
    version, tree, payloads, names = struct.unpack_from(">4I", content, 4)
    size = 14 if version == 1 else 22  # later versions add when the file was last changed

    def entry_name(offset: int) -> str:
        (length,) = struct.unpack_from(">H", content, names + offset)
        start = names + offset + 6  # behind the length and a hash
        return content[start : start + 2 * length].decode("utf-16-be")

    def walk(entry: int, above: str) -> Iterator[tuple[str, bytes]]:
        name, flags = struct.unpack_from(">IH", content, tree + entry * size)
        path = f"{above}/{entry_name(name)}" if entry else above
        if flags & FOLDER:
            count, first = struct.unpack_from(">2I", content, tree + entry * size + 6)
            for below in range(first, first + count):
                yield from walk(below, path)
            return
        (offset,) = struct.unpack_from(">I", content, tree + entry * size + 10)
        (length,) = struct.unpack_from(">I", content, payloads + offset)
        start = payloads + offset + 4
        found = content[start : start + length]
        yield path, zlib.decompress(found[4:]) if flags & DEFLATED else found

    yield from walk(0, "")
