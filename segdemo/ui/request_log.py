"""A line of log for each request that names the request, not the person."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("segdemo.requests")

HEADER = "X-Request-ID"
GIVEN = re.compile(r"[\w.-]{1,64}")  # what a proxy may call a request
KEPT_PARTS = 2  # of a path; what follows may hold a session's hash or the name of a file


class RequestLog:
    """ASGI middleware: logs an id, method, the path's beginning, status and milliseconds.

    Nobody's address, name, cookie, question or file name. The id is the proxy's X-Request-ID, else
    drawn, and goes back with the answer, so that who reports a problem can name it. Reading is
    logged at level DEBUG, the rest at INFO, failures of the server at WARNING.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        name = given if GIVEN.fullmatch(given) else secrets.token_hex(4)
        started, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            took = (time.perf_counter() - started) * 1000
            reading = scope["method"] in ("GET", "HEAD")
            level = logging.DEBUG if reading else logging.INFO
            if status >= 500:
                level = logging.WARNING
            path = beginning(scope["path"])
            logger.log(
                level, "request %s: %s %s %d, %.0f ms", name, scope["method"], path, status, took
            )


def beginning(path: str) -> str:
    """Return the start of a path that no person's data is in."""
    parts = [part.partition("=")[0] for part in path.strip("/").split("/")]
    return "/" + "/".join(parts[:KEPT_PARTS])
