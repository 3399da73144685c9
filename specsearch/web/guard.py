"""The door: sizes, pace, key and headers of every request, before anything reads it."""

from __future__ import annotations

import asyncio
import logging
import time
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from specsearch.web.access import Access
from specsearch.web.headers import HEADERS
from specsearch.web.metrics import Metrics
from specsearch.web.problems import Page, problem_response

_LOG = logging.getLogger(__name__)
MOST_BYTES = 32 * 2**20  # of a file
_MOST_OTHER_BYTES = 8 * 2**20
# Two a peak, and some for all else: reading JSON of more values would keep everybody waiting for seconds.
_MOST_COMMAS = 410_000
_MOST_SECONDS_PER_CHUNK, _MOST_SECONDS = 20.0, 120.0
_OPEN = ("/health", "/ready", "/login", "/static/")


class Guard:
    """Middleware around the whole application.

    Parameters
    ----------
    app : ASGIApp
    access : Access
    metrics : Metrics
    page : callable
        A problem as a page, for browsers.
    """

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics, page: Page) -> None:
        self._app = app
        self._page = page
        self._access = access
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        refusal = await self._refusal(request)
        try:
            if refusal is None:
                await self._app(scope, _bounded(receive, is_file=_is_file(request)), answered)
            else:
                await refusal(scope, receive, answered)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            duration_s = time.perf_counter() - began
            self._metrics.count(route, status, duration_s)
            # The pattern, not the address: a link holds the spectrum, and a header the key.
            _LOG.info("%s %s: %d in %.1f ms", scope["method"], route, status, duration_s * 1000)

    async def _refusal(self, request: Request) -> Response | None:
        length, most = request.headers.get("content-length", "0"), _most_bytes(_is_file(request))
        if not length.isdecimal() or len(length) > 20 or int(length) > most:
            step = f"Send at most {most >> 20} MiB at once."
            return problem_response(request, self._page, 413, "This is too large.", step)
        # Also from another port of this machine, whose pages count as of the same site.
        is_elsewhere = request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if is_elsewhere and not _is_link(request):
            step = "Use the page of this server."
            return problem_response(request, self._page, 403, "Another site sent this.", step)
        if request.url.path.startswith(_OPEN):
            return None
        if await self._access.is_too_fast(request):
            step = f"Ask at most {self._access.rate}."
            return problem_response(
                request, self._page, 429, "Too many requests.", step, **{"Retry-After": "1"}
            )
        return None if self._access.allows(request) else self._key_wanted(request)

    def _key_wanted(self, request: Request) -> Response:
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(wanted)}", 303)
        step, asked = "Send it as 'Authorization: Bearer KEY'.", {"WWW-Authenticate": "Bearer"}
        return problem_response(request, self._page, 401, "This server needs its key.", step, **asked)


def _is_link(request: Request) -> bool:
    """Whether somebody opens a page: pictures, frames and scripts elsewhere may not start a search."""
    mode, place = (request.headers.get(f"sec-fetch-{name}") for name in ("mode", "dest"))
    return request.method == "GET" and mode == "navigate" and place in ("document", None)


def _is_file(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


def _most_bytes(is_file: bool) -> int:
    return MOST_BYTES if is_file else _MOST_OTHER_BYTES


def _bounded(receive: Receive, *, is_file: bool) -> Receive:
    """A body may neither grow for ever nor come too slowly, whatever its header says."""
    n_bytes, n_commas, is_whole, most = 0, 0, False, _most_bytes(is_file)
    end = time.monotonic() + _MOST_SECONDS

    async def bounded() -> Message:
        nonlocal n_bytes, n_commas, is_whole
        if is_whole:
            return await receive()  # waits for the client to hang up, as long as it takes
        try:
            patience_s = min(_MOST_SECONDS_PER_CHUNK, end - time.monotonic())
            message = await asyncio.wait_for(receive(), patience_s)
        except TimeoutError:
            raise HTTPException(408, "The request did not come to its end.") from None
        body = message.get("body", b"")
        n_bytes += len(body)
        n_commas += body.count(b",")
        is_whole = not message.get("more_body", False)
        if n_bytes > most:
            raise HTTPException(413, f"This is more than {most >> 20} MiB.")
        if n_commas > _MOST_COMMAS and not is_file:
            raise HTTPException(413, "This has more than 200,000 peaks.")
        return message

    return bounded
