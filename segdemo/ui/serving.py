"""Serving the page: address, passwords, and what Gradio is told besides."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware

from segdemo.ui.events import THREADS
from segdemo.ui.request_log import RequestLog
from segdemo.ui.same_origin import SameOrigin
from segdemo.ui.theme import CSS, THEME

HOST = "127.0.0.1"
PORTS = range(7860, 7960)  # Gradio's
LEAVING_SECONDS = 2  # for answers under way when the server ends
HEALTH = "/health"

Admit = Callable[[str, str], Awaitable[bool]]
"""Whether a password is a name's."""


def page_options() -> dict[str, Any]:
    """Return what Gradio is told of the page, however it is served."""
    return {
        "theme": THEME,
        "css": CSS,
        "footer_links": ["api", "settings"],
        "run_history": False,  # it would keep users' photos in their browsers unasked
        "max_file_size": "50mb",
        "show_error": True,
        "ssr_mode": False,
    }


def health() -> dict[str, str]:
    """Say that the server answers, without a password; models may still be loading."""
    return {"status": "ok"}


class PageServer:
    """The page on an address of its own.

    Not by Gradio's `launch`: that gives up where a busy machine does not start the server within
    five seconds, or does not show the page within three.
    """

    def __init__(
        self,
        demo: gr.Blocks,
        host: str | None = None,
        port: int | None = None,
        admit: Admit | None = None,
        root_path: str = "",
    ) -> None:
        """Take the address; who calls already waits until `run`. Raises OSError, OverflowError.

        host, port: by default GRADIO_SERVER_NAME or this machine only, and GRADIO_SERVER_PORT or
        the first that is free of `PORTS`. admit: asks for a name and a password. root_path:
        the path below which a proxy shows the page, such as /segdemo, or the whole address.
        """
        self.host = host or os.environ.get("GRADIO_SERVER_NAME") or HOST
        named = port if port is not None else os.environ.get("GRADIO_SERVER_PORT")
        self._listener = _listen(self.host, PORTS if named is None else [int(named)])
        self.port = int(self._listener.getsockname()[1])
        bare = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        bare.get(HEALTH)(health)  # before the page, which answers every other path
        app = gr.mount_gradio_app(
            bare,
            demo,
            "/",
            self.host,
            self.port,
            auth=admit,
            root_path=root_path or None,
            **page_options(),
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                RequestLog(SameOrigin(app)),
                log_level="warning",
                timeout_graceful_shutdown=LEAVING_SECONDS,
            )
        )
        logging.getLogger("uvicorn.error").addFilter(_is_news)

    @property
    def url(self) -> str:
        """Return the page's address, as seen from this machine."""
        host = {"0.0.0.0": "localhost", "::": "localhost"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def run(self) -> None:
        """Serve until `stop`, or in the main thread until a signal."""
        self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """Let `run` end."""
        self._server.should_exit = True


def launch(demo: gr.Blocks, admit: Admit | None = None, **options: Any) -> str:
    """Serve by Gradio's `launch`, where ZeroGPU waits for it; returns the address."""
    _, url, _ = demo.launch(
        auth=admit,
        max_threads=THREADS,
        share=False,
        app_kwargs={"middleware": [Middleware(RequestLog), Middleware(SameOrigin)]},
        **page_options(),
        **options,
    )
    return str(url)


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a message of uvicorn is more than that open pages are left when the server ends."""
    kind = record.exc_info[0] if record.exc_info else None
    left = kind is not None and issubclass(kind, asyncio.CancelledError)
    return not left and "timeout graceful shutdown" not in record.getMessage()


def _listen(host: str, ports: range | list[int]) -> socket.socket:
    address = host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in ports:
        try:
            return socket.create_server((address, port), family=family, backlog=2048)
        except OSError as error:
            problem = error
    raise problem
