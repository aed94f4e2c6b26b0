"""Which releases a figure was measured with."""

from __future__ import annotations

import platform
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("numpy", "scipy", "pillow", "pycocotools", "scikit-image", "pysodmetrics")


@cache
def versions() -> dict[str, str]:
    """Return name -> version of Python, segdemo and the packages that compute; absent ones lack."""
    found = {"python": platform.python_version(), "segdemo": _own()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _own() -> str:
    """Return the version in pyproject.toml: the programs run from a checkout."""
    project = Path(__file__).parents[1] / "pyproject.toml"
    try:
        return str(tomllib.loads(project.read_text())["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"
