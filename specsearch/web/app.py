"""The application: API, pages, health and metrics behind one door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from specsearch.search.similar import SearchSettings
from specsearch.spectra.spectrum import Spectrum
from specsearch.web import api, pages
from specsearch.web.access import Access
from specsearch.web.guard import Guard
from specsearch.web.metrics import CONTENT_TYPE, Metrics
from specsearch.web.problems import PROBLEMS, add_problems
from specsearch.web.served import Served
from specsearch.web.work import Work
from specsearch.web.writing import Writer

_ABOUT = "Search tandem mass spectra by learned embedding and by peaks. The same records as the command line."
_COMPRESSED_BYTES = 2000


@dataclass(frozen=True)
class Limits:
    """How much a server takes on.

    Parameters
    ----------
    rate : str
        Requests of one client, as ``"100/second"``.
    n_places : int
        Requests that may wait in each lane; more are told to come again.
    patience_s : float
        Longest wait for an answer.
    """

    rate: str = "100/second"
    n_places: int = 64
    patience_s: float = 30.0


def make_app(
    served: Served, access: Access, hosts: list[str], limits: Limits, writer: Writer | None = None
) -> FastAPI:
    """The application over what is served.

    Parameters
    ----------
    served : Served
    access : Access
    hosts : list of str
        Names that a browser may call the server by: a page elsewhere cannot pass for one of them.
    limits : Limits
    writer : Writer, optional
        Into what is served; without one nothing is written.
    """
    work = Work(served, limits.n_places, limits.patience_s)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await work.later(lambda: _warm(served))
        app.state.is_ready = True
        yield
        app.state.is_ready = False
        work.close()

    # Their own pages of documentation load scripts from elsewhere.
    app = FastAPI(
        title="specsearch",
        description=_ABOUT,
        version=version("specsearch"),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.work, app.state.access, app.state.is_ready = work, access, False
    app.state.writer, app.state.metrics = writer, (metrics := Metrics(work))
    add_problems(app, pages.problem_page)
    app.include_router(api.router)
    app.include_router(pages.router)
    _add_health(app, work, metrics)
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESSED_BYTES)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    # Around all others, so that its headers are on every answer.
    app.add_middleware(Guard, access=access, metrics=metrics, page=pages.problem_page)
    return app


def _add_health(app: FastAPI, work: Work, metrics: Metrics) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: {"description": "Not yet, or not now."}})
    async def ready(request: Request) -> JSONResponse:
        """Model and libraries are open and warm, and the store answers."""
        state = await work.state() if request.app.state.is_ready else "starting"
        return JSONResponse({"status": state}, 200 if state == "ready" else 503)

    @app.get("/metrics", response_class=PlainTextResponse, responses=PROBLEMS)
    async def measured() -> Response:
        """For Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _warm(served: Served) -> None:
    """Ask once, so that nobody has to wait for what is loaded at first use."""
    spectrum = Spectrum.checked([69.0447, 110.0713, 138.0662], [8, 35, 100], precursor_mz=195.0877, charge=1)
    served.embed([spectrum])
    for name in served.collections:
        served.search([name], SearchSettings(), [spectrum])
