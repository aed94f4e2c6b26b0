"""What a result was measured with: releases of the libraries, and a digest of the files."""

from __future__ import annotations

import hashlib
import os
import platform
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from segdemo.regular_files import real_path

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


def list_digest(files: Iterable[Path]) -> dict[str, Any]:
    """Return the number of files and the SHA-256 of their sorted names and sizes.

    Names are taken below the deepest folder that holds all files: a copy elsewhere has the same
    digest.
    """
    paths = sorted({real_path(path) for path in files})
    root = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root).as_posix()}\t{path.stat().st_size}\n".encode())
    return {"files": len(paths), "sha256": digest.hexdigest()}


def _own() -> str:
    """Return the version in pyproject.toml: the programs run from a checkout."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    try:
        return str(tomllib.loads(project.read_text())["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"
