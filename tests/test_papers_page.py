"""docs/papers.md names code that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"`(?:python -m )?((?:segdemo|training|evaluation|benchmarks)(?:\.\w+)+)")


def test_every_module_and_function_that_the_page_names_exists():
    names = set(NAME.findall((ROOT / "docs/papers.md").read_text(encoding="utf-8")))
    assert len(names) > 40
    assert [name for name in sorted(names) if not _exists(name)] == []


def _exists(name: str) -> bool:
    """Whether a dotted name is a package or module, or is defined in one."""
    place, rest = ROOT, name.split(".")
    while rest and (place / rest[0]).is_dir():
        place /= rest.pop(0)
    if not rest:
        return True
    file = place / f"{rest.pop(0)}.py"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    defined = [rf"^ *(?:def|class) {part}\b|^{part}(?:: [^=]+)? = " for part in rest]
    return bool(text) and all(re.search(one, text, re.MULTILINE) for one in defined)
