"""Refusing what pages of other sites ask of this server with a visitor's browser."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

READING = ("GET", "HEAD")
OWN_PAGE = ("same-origin", "none")  # none: typed in, or a bookmark
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
REFUSAL = (
    "This came from a page of another site, so it was refused. If it did not, the proxy in front "
    "of segdemo must pass the Host header on, or set X-Forwarded-Host."
)


class SameOrigin:
    """ASGI middleware: state is changed only by the server's own page, or outside a browser.

    Other sites' pages can neither post here nor ask whether they may (preflight), and what they
    get is sent without leave to read it. Programs send no Origin, and pass.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or not _from_elsewhere(Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["method"] in READING:
            # without an origin Gradio sends none of the headers that let its page read the answer
            kept = [pair for pair in scope["headers"] if pair[0] != b"origin"]
            await self._app({**scope, "headers": kept}, receive, send)
        else:
            await JSONResponse({"detail": REFUSAL}, status_code=403)(scope, receive, send)


def _from_elsewhere(headers: Headers) -> bool:
    """Whether a browser sends a request for a page that this server did not serve."""
    site = headers.get("sec-fetch-site")  # of https and localhost only
    if site is not None:
        return site not in OWN_PAGE
    origin = headers.get("origin")
    if origin is None:
        return False
    asked = urlsplit(origin)
    # a page of another site can set this header only after a preflight, which is refused
    forwarded = headers.get("x-forwarded-host", "").split(",")[0].strip()
    port = DEFAULT_PORTS.get(asked.scheme, "")
    own = {host.removesuffix(port).lower() for host in (headers.get("host", ""), forwarded)}
    return not asked.netloc or asked.netloc.lower() not in own
