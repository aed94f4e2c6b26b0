"""Go through a large JSON object item by item, without holding all of it as Python objects."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Generator, Iterator
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Item(NamedTuple):
    """A parsed value, and where its JSON stands: `text[start:end]`. key: of the member it is of."""

    key: str
    value: Any
    start: int
    end: int


def decode_json(content: bytes) -> str:
    """Return a JSON file's text, whatever Unicode it is in; raises ValueError."""
    return content.decode(json.detect_encoding(content), "surrogatepass")


def items(text: str, lists: Collection[str]) -> Iterator[Item]:
    """Yield the members of a JSON object in their order; lists named in `lists` item by item.

    Raises ValueError for text that is not one JSON object, and RecursionError where it is nested
    too deeply; what comes before the fault has been yielded by then.
    """
    at = _skip(text, _expect(text, _skip(text, 0), "{"))
    if text[at : at + 1] != "}":
        while True:
            key, at = _DECODER.raw_decode(text, at)
            if not isinstance(key, str):
                raise ValueError(f"member without a name at {at}")
            at = _skip(text, _expect(text, _skip(text, at), ":"))
            if key in lists and text[at] == "[":
                at = yield from _list_items(text, at, key)
            else:
                value, end = _DECODER.raw_decode(text, at)
                yield Item(key, value, at, end)
                at = end
            at = _skip(text, at)
            if text[at : at + 1] != ",":
                break
            at = _skip(text, at + 1)
    if _skip(text, _expect(text, at, "}")) != len(text):
        raise ValueError("more than one object")


def _list_items(text: str, at: int, key: str) -> Generator[Item, None, int]:
    """Yield the items of the list that begins at `at`; returns where it ends."""
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return at + 1
    while True:
        value, end = _DECODER.raw_decode(text, at)
        yield Item(key, value, at, end)
        at = _skip(text, end)
        if text[at : at + 1] != ",":
            return _expect(text, at, "]")
        at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    """Return where white space from `at` on ends."""
    space = _SPACE.match(text, at)
    assert space is not None  # it may be empty
    return space.end()


def _expect(text: str, at: int, sign: str) -> int:
    """Return the place behind a sign; raises ValueError for another one."""
    if text[at : at + 1] != sign:
        raise ValueError(f"no {sign!r} at {at}")
    return at + 1
