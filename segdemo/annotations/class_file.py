"""`classes.json` beside label PNGs: the classes of a project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segdemo.annotations.notes import MALFORMED
from segdemo.datatypes import InputError
from segdemo.files import write_text
from segdemo.regular_files import read_regular

CLASS_FILE = "classes.json"
MOST_BYTES = 20_000_000


@dataclass(frozen=True)
class Classes:
    """names: by number, 0 or above. stuff: the numbers of those without instances."""

    names: Mapping[int, str] = field(default_factory=dict)
    stuff: frozenset[int] = frozenset()


def read_classes(path: Path) -> Classes:
    """Read what `write_classes` wrote, no classes without a file; raises InputError."""
    try:
        content = json.loads(read_regular(path, MOST_BYTES))
        names = {int(number): str(name) for number, name in content["classes"].items()}
        stuff = frozenset(map(int, content.get("stuff", ())))
    except FileNotFoundError:
        return Classes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except InputError:
        raise
    except MALFORMED as error:
        raise InputError(
            f'{path} is damaged: write {{"classes": {{"1": "cat"}}, "stuff": []}}, or delete it.'
        ) from error
    return Classes(names, stuff)


def write_classes(classes: Classes, path: Path) -> None:
    """Write the classes, whole or not at all; raises OSError."""
    content = {
        "classes": {str(number): name for number, name in sorted(classes.names.items())},
        "stuff": sorted(classes.stuff),
    }
    write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", path)
