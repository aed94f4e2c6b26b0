"""Files that the page makes: folders that are deleted in time, names, zips."""

from __future__ import annotations

import contextlib
import functools
import re
import secrets
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from gradio.utils import get_upload_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX, LOCK = "segdemo-", ".in-use"
LONGEST_STEM = 180  # bytes; file systems allow 255, and endings are added
RESULT_SECONDS = 3600.0
LONGEST_KEPT = 86400.0  # seconds, for what no session holds

_root_lock = threading.Lock()
_locks: list[IO[str]] = []  # open, and so held, until the process ends


def process_folder(prefix: str = PREFIX) -> tempfile.TemporaryDirectory[str]:
    """Make a folder of this process; it is deleted when the process ends in order.

    A lock tells that the process lives: folders of those that were killed are deleted.
    """
    _delete_abandoned()
    folder = tempfile.TemporaryDirectory(prefix=prefix)
    lock = (Path(folder.name) / LOCK).open("w")
    if fcntl is not None:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _locks.append(lock)
    return folder


def _delete_abandoned() -> None:
    """Delete folders of processes that ended without doing so."""
    for file in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        if fcntl is None:  # no locks on this system
            return
        with contextlib.suppress(OSError), file.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent)


@functools.cache
def _cached_root() -> tempfile.TemporaryDirectory[str]:
    return process_folder()


def _root() -> tempfile.TemporaryDirectory[str]:
    """Return this process's folder, made once.

    Of two threads that ask first at once, `cache` would run both and forget one folder, which is
    then deleted with what has been put into it.
    """
    with _root_lock:
        return _cached_root()


def new_folder() -> Path:
    """Make an empty folder for what a session keeps, and delete those older than a day."""
    yesterday = time.time() - LONGEST_KEPT
    for old in Path(_root().name).iterdir():
        if old.name == LOCK:
            continue
        with contextlib.suppress(OSError):  # another request may be as quick
            if old.stat().st_mtime < yesterday:
                shutil.rmtree(old)
    return Path(tempfile.mkdtemp(dir=_root().name))


def download_folder() -> Path:
    """Make an empty folder for files that are handed out.

    It lies in Gradio's cache, so that Gradio serves them without another copy, and deletes them
    when `delete_cache` of the page says so.
    """
    folder = Path(get_upload_folder()) / secrets.token_urlsafe(16)
    folder.mkdir(parents=True)
    return folder


def file_name(name: str) -> str:
    """Return a file name that any file system takes, its ending kept."""
    ending = re.sub(r"[^\w.]", "", Path(name).suffix)
    return file_stem(name) + ending


def file_stem(name: str) -> str:
    """Return a file name's stem that any file system takes; letters of all scripts stay."""
    stem = re.sub(r"[^\w.,+() -]+", "_", Path(name).stem).strip(" .")
    return stem.encode()[:LONGEST_STEM].decode(errors="ignore").strip(" .") or "picture"


def pack(files: Iterable[Path], archive: Path, below: Path | None = None) -> Path:
    """Zip files without compressing them again (PNGs are compressed); returns `archive`.

    below: the folder their names in the zip are relative to; None for bare names.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for file in files:
            packed.write(file, file.name if below is None else file.relative_to(below))
    return archive
