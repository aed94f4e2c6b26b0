"""Backbones come from the Hub with all they need and nothing else, or a sentence does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from segdemo.checkpoints.backbone import locate_backbone
from segdemo.diffegg.loading import load_backbone

COMMIT = "a" * 40


def test_the_hub_cannot_be_reached(tmp_path: Path) -> None:
    sentence = located_at("http://127.0.0.1:9", tmp_path)
    assert "somebody/tiny is not in the local cache and the Hub cannot be reached" in sentence


def test_a_gated_model(hub: Hub, tmp_path: Path) -> None:
    hub.gated = True
    sentence = located_at(hub.address, tmp_path)
    assert "somebody/tiny is gated: accept its licence at" in sentence
    assert "hf auth login" in sentence


def test_only_what_is_needed_comes_from_the_hub(hub: Hub, tmp_path: Path) -> None:
    copies = [
        "v1-5-pruned.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "text_encoder/pytorch_model.bin",
        "safety_checker/model.safetensors",
        "text_encoder_3/model-00001-of-00002.safetensors",
    ]
    for name in copies:
        (hub.folder / name).parent.mkdir(exist_ok=True)
        (hub.folder / name).write_bytes(b"a copy")

    folder = Path(located_at(hub.address, tmp_path))

    assert not [name for name in copies if (folder / name).exists()]
    load_backbone(locate_backbone(str(folder)), torch.device("cpu"))


def test_a_variant_comes_where_it_is_all_there_is(hub: Hub, tmp_path: Path) -> None:
    names = ["unet/diffusion_pytorch_model", "text_encoder/model"]
    for name in names:
        whole = hub.folder / f"{name}.safetensors"
        whole.rename(whole.with_name(f"{whole.stem}.fp16.safetensors"))
        (hub.folder / f"{name}.non_ema.safetensors").write_bytes(b"a copy")

    folder = Path(located_at(hub.address, tmp_path))

    assert not list(folder.rglob("*.non_ema.*"))
    load_backbone(locate_backbone(str(folder)), torch.device("cpu"))


class Hub(ThreadingHTTPServer):
    """A Hub on this machine with one repository, somebody/tiny."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), HubAnswer)
        self.folder = folder
        self.gated = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class HubAnswer(BaseHTTPRequestHandler):
    """Answers for the repository's list of files and for each file."""

    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def log_message(self, *args: object) -> None:
        """Keep the terminal quiet."""

    def _answer(self) -> bytes:
        folder = self.server.folder
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/somebody/tiny/tree/"):
            files = [file for file in folder.rglob("*") if file.is_file()]
            listing = [
                {
                    "type": "file",
                    "path": str(file.relative_to(folder)),
                    "size": file.stat().st_size,
                    "oid": _identity(file),
                }
                for file in files
            ]
            return self._head(200, json.dumps(listing).encode())
        if path.startswith("/api/"):
            return self._head(200, json.dumps({"id": "somebody/tiny", "sha": COMMIT}).encode())
        if self.server.gated:
            return self._head(403, b"", **{"X-Error-Code": "GatedRepo"})
        file = folder / path.partition(f"/resolve/{COMMIT}/")[2]
        identity = {"X-Repo-Commit": COMMIT, "ETag": f'"{_identity(file)}"'}
        return self._head(200, file.read_bytes(), **identity)

    def _head(self, status: int, content: bytes, **headers: str) -> bytes:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        return content


def _identity(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@pytest.fixture
def hub(backbone_copy: Callable[[str], Path]) -> Iterator[Hub]:
    server = Hub(backbone_copy("sd15"))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def located_at(hub: str, cache: Path) -> str:
    """Locate somebody/tiny with a hub and an empty cache; return the folder or the complaint."""
    program = (
        "from segdemo.checkpoints.backbone import locate_backbone\n"
        "from segdemo.checkpoints.files import CheckpointError\n"
        "try:\n    print(locate_backbone('somebody/tiny').folder)\n"
        "except CheckpointError as error:\n    print(error)\n"
    )
    # a process of its own: the library reads its address and its cache once, on import
    settings = {"HF_ENDPOINT": hub, "HF_HOME": str(cache / "cache"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
