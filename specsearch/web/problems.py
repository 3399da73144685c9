"""Errors as RFC 9457 problem details, each with a next step; a browser gets them as a page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from specsearch.errors import (
    InputFileError,
    InvalidSpectrum,
    LibraryNotFound,
    ParseError,
    SpecsearchError,
    StoreError,
    StoreFull,
)
from specsearch.web.desk import Overloaded
from specsearch.web.headers import HEADERS
from specsearch.web.writing import ReadOnly

_LOG = logging.getLogger(__name__)
Page = Callable[[Request, "Problem"], Response]
_WHAT_TO_SEND = "See /openapi.json for what is understood."
_WHERE_TO_BEGIN = "The pages begin at /, the API is described at /openapi.json."
_ON_A_PAGE = {_WHAT_TO_SEND: "Mend what was entered, and send it again.", _WHERE_TO_BEGIN: ""}
_STATUS = {LibraryNotFound: 404, InvalidSpectrum: 422, ParseError: 422, InputFileError: 422, ReadOnly: 403}
_NEXT_STEPS = {413: "Send it in several parts."}
_RETRY_S = 1


class Problem(BaseModel):
    """Problem details (RFC 9457), with what the client can do about it."""

    type: str = "about:blank"
    status: int
    title: str
    detail: str = ""
    next_step: str = ""


_DESCRIBED: dict[str, Any] = {
    "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    "description": "Problem details (RFC 9457), with a next step.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: _DESCRIBED for status in (400, 401, 403, 404, 408, 413, 422, 429, 503, 507)
}


def problem_response(
    request: Request, page: Page, status: int, detail: str, next_step: str = "", **headers: str
) -> Response:
    """Problem details as a response, or as `page` for a browser."""
    found = Problem(status=status, title=HTTPStatus(status).phrase, detail=detail, next_step=next_step)
    if request.url.path.startswith("/v1/") or "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(found.model_dump(), status, headers, media_type="application/problem+json")
    step = _ON_A_PAGE.get(next_step, next_step)  # people have no use for the API's description
    response = page(request, found.model_copy(update={"next_step": step}))
    response.headers.update(headers)
    return response


def problem_of(error: Exception) -> Problem:
    """What is said of an error that is known."""
    if isinstance(error, StoreFull):
        _LOG.error("%s", error)
        status, detail = 507, "The disk of the server is full."
        step = "Send the same again when whoever runs the server has made space."
    elif isinstance(error, StoreError) and not isinstance(error, LibraryNotFound):
        _LOG.error("%s", error)  # it names folders of this machine
        status, detail = 503, "The engine cannot answer this."
        step = "Try again; if it stays so, whoever runs the server finds more in its log."
    elif isinstance(error, TimeoutError):
        status, detail = 503, "The answer took longer than this server waits."
        step = "Try again in a moment; if it stays so, ask for fewer spectra or a narrower window."
    elif not isinstance(error, SpecsearchError):
        status, detail, step = 503, "Too many requests wait.", "Try again in a moment."
    else:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 503)
        detail, step = error.message, error.next_step or _WHAT_TO_SEND
    return Problem(status=status, title=HTTPStatus(status).phrase, detail=detail, next_step=step)


def add_problems(app: FastAPI, page: Page) -> None:
    """Turn every error into problem details, or into `page` for a browser."""

    def answer(request: Request, status: int, detail: str, next_step: str, **headers: str) -> Response:
        return problem_response(request, page, status, detail, next_step, **headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = error.errors()
        # A value outside the text encoding cannot be sent back.
        first = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in faults[:3])
        return answer(request, 422, first.encode("utf-8", "replace").decode(), _WHAT_TO_SEND)

    @app.exception_handler(Overloaded)
    @app.exception_handler(TimeoutError)
    @app.exception_handler(SpecsearchError)
    async def known(request: Request, error: Exception) -> Response:
        found = problem_of(error)
        again = {"Retry-After": str(_RETRY_S)} if found.status == 503 else {}
        return answer(request, found.status, found.detail, found.next_step, **again)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        step = _NEXT_STEPS.get(error.status_code, _WHERE_TO_BEGIN)
        return answer(request, error.status_code, str(error.detail), step, **dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unknown(request: Request, _: Exception) -> Response:
        step = "Please report this, with what was sent; the server's log has more."
        # This one answers from outside the guard.
        return answer(request, 500, "Something went wrong that should not.", step, **HEADERS)
