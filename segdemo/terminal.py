"""Print names and messages: whatever they hold, the terminal shows it and nothing else happens."""

from __future__ import annotations

import sys
from contextlib import suppress
from io import TextIOWrapper

_CONTROLS = (range(0x20), range(0x7F, 0xA0), range(0x2028, 0x202A))  # C0, C1, line separators
_REORDERING = (range(0x202A, 0x202F), range(0x2066, 0x206A))  # text direction of what follows
_SURROGATES = range(0xD800, 0xE000)
_BYTES = range(0xDC80, 0xDD00)  # surrogates of bytes that could not be decoded (PEP 383)


def printable(text: str) -> str:
    r"""Escape control characters, lone surrogates and text direction controls; a line stays one.

    A byte that is not UTF-8, which Python keeps as a surrogate, becomes `\x8e`; the escape
    character, with which terminals are commanded, becomes `\x1b`.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def print_any_text() -> None:
    """Escape what the encoding of stdout and stderr cannot write, rather than raise.

    Programs call this first; with cp1252 a Japanese name would end them.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            with suppress(ValueError):  # closed
                stream.reconfigure(errors="backslashreplace")


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _BYTES:
        return f"\\x{code - _BYTES.start + 0x80:02x}"
    if any(code in codes for codes in (*_CONTROLS, *_REORDERING, _SURROGATES)):
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return character  # spaces and joiners of scripts, which isprintable leaves out as well
