"""The page's endpoints, served in this process with a tiny model."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client

from segdemo.assistant import AnnotationAssistant
from segdemo.editing.sessions import SessionStore
from segdemo.ui.page import build_demo
from segdemo.ui.serving import PageServer


@pytest.fixture(scope="session")
def assistant(tiny_diffdis_folder: Path, tiny_backbone_folder: Path) -> AnnotationAssistant:
    return AnnotationAssistant(
        str(tiny_diffdis_folder), device="cpu", backbone=str(tiny_backbone_folder)
    )


@pytest.fixture(scope="session")
def served(
    assistant: AnnotationAssistant, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    store = SessionStore(tmp_path_factory.mktemp("sessions"))
    server = PageServer(build_demo(assistant, store))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server.url
    server.stop()
    thread.join()


@pytest.fixture
def client(served: str, tmp_path: Path) -> Client:
    return Client(served, verbose=False, download_files=tmp_path / "downloads")
