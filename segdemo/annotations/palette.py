"""VOC's colours for the ids of label images."""

from __future__ import annotations


def colour(number: int) -> list[int]:
    """Return VOC's colour: the bits of a number, dealt to red, green and blue in turn."""
    found = [0, 0, 0]
    for bit in range(24):
        found[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return found


def palette() -> bytes:
    """Return the colours of 0 to 255, three bytes each."""
    return bytes(value for number in range(256) for value in colour(number))
