"""Two servers behind a proxy share one project: each image has one annotator at a time."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.browser.serving import Server
from tests.segdemo.projects.scenes import photos

PREFIXES = ("/one", "/two")


class Proxy(BaseHTTPRequestHandler):
    """Passes requests below a prefix on to its server, without the prefix."""

    ports: dict[str, int]

    def do_GET(self) -> None:
        """Pass on what reads."""
        self._pass_on(None)

    def do_POST(self) -> None:
        """Pass on what changes."""
        self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

    def _pass_on(self, body: bytes | None) -> None:
        prefix = self.path[: len(PREFIXES[0])]
        upstream = http.client.HTTPConnection("127.0.0.1", self.ports[prefix], timeout=120)
        upstream.request(
            self.command, self.path.removeprefix(prefix), body, dict(self.headers.items())
        )
        answer = upstream.getresponse()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.end_headers()
        while part := answer.read1():
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Page:
    """One annotator's page, as its requests look to the proxy."""

    def __init__(self, url: str, who: str) -> None:
        """Read what the page is made of, and give a name: the next image is opened."""
        self.url, self.who, self.token = url, who, ""
        self.config = json.loads(self._asked("config"))
        (self._editor,) = (
            one["id"]
            for one in self.config["components"]
            if "keep_lease" in (one["props"].get("server_fns") or [])
        )
        told = self.event("hello", name=who)
        self.token, self.image = told["token"], told["picture"]["index"]
        self.lease = told["picture"]["lease"]

    def event(self, name: str, /, **said: Any) -> dict[str, Any]:
        """Let the editor send an event; returns what it is told."""
        (function,) = (
            one["id"]
            for one in self.config["dependencies"]
            if [self._editor, name] in one["targets"]
        )
        body = {"data": [], "fn_index": function, "session_hash": self.who, "event_data": said}
        self._asked("gradio_api/queue/join", body)
        for line in self._asked(f"gradio_api/queue/data?session_hash={self.who}").splitlines():
            told = json.loads(line.removeprefix("data:") or "{}")
            if told.get("msg") == "process_completed":
                return dict(told["output"]["data"][0])
        raise AssertionError("the event was not answered")

    def keep_lease(self, image: int, lease: str) -> dict[str, Any]:
        """Say that the page has an image open."""
        said = {"token": self.token, "picture": image, "lease": lease}
        request = {"data": said, "component_id": self._editor, "fn_name": "keep_lease"}
        answer = self._asked("gradio_api/component_server", request | {"session_hash": self.who})
        return dict(json.loads(answer))

    def _asked(self, path: str, body: dict[str, Any] | None = None) -> str:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return str(answer.read().decode())


@pytest.fixture
def servers(
    tmp_path: Path, tiny_diffdis_folder: Path, tiny_backbone_folder: Path
) -> Iterator[list[Server]]:
    """Two servers of one folder of two photos."""
    project = photos(tmp_path / "project", 2)
    started = []
    for prefix in PREFIXES:
        place = tmp_path / prefix.strip("/")
        place.mkdir()
        flags = ["--root_path", prefix]
        started.append(Server(tiny_diffdis_folder, tiny_backbone_folder, place, project, flags))
    try:
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(Server.start, started))
        yield started
    finally:
        for server in started:
            server.stop()


@pytest.fixture
def proxy(servers: list[Server]) -> Iterator[str]:
    """The address of a proxy in front of both."""
    ports = {prefix: one.port for prefix, one in zip(PREFIXES, servers, strict=True)}
    listener = ThreadingHTTPServer(("127.0.0.1", 0), type("To", (Proxy,), {"ports": ports}))
    Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}"
    listener.shutdown()
    listener.server_close()


def test_two_servers_keep_annotators_apart_and_one_that_stops_frees_its_images(
    servers: list[Server], proxy: str
) -> None:
    for prefix in PREFIXES:
        with urllib.request.urlopen(f"{proxy}{prefix}/health", timeout=60) as answer:
            assert json.load(answer) == {"status": "ok"}
    ada, bob = Page(f"{proxy}/one", "Ada"), Page(f"{proxy}/two", "Bob")
    assert ada.config["root"] == f"{proxy}/one"
    assert {ada.image, bob.image} == {1, 2}
    refusal = bob.event("show", token=bob.token, picture=ada.image)
    assert "Ada has this image open" in json.dumps(refusal)
    assert "Ada has this image open" in bob.keep_lease(ada.image, ada.lease)["error"]
    assert "counts" in ada.keep_lease(ada.image, ada.lease)
    servers[0].stop()
    opened = bob.event("show", token=bob.token, picture=ada.image)
    assert opened["picture"]["index"] == ada.image
