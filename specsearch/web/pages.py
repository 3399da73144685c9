"""The pages: rendered here, with every answer at an address that can be shared."""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import networkx as nx
from fastapi import APIRouter, Form, Query, Request, UploadFile
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from pydantic import Field
from starlette.exceptions import HTTPException

from specsearch.errors import InputFileError, ParseError, StoreError
from specsearch.report.family_page import family_content
from specsearch.report.receipt import RECEIPT, STYLE
from specsearch.report.rows import Row
from specsearch.report.tables import plain
from specsearch.search.library_map import find_map
from specsearch.search.shortlists import NOT_AN_IDENTIFICATION, Shortlist
from specsearch.search.similar import Answer
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.schema import Key
from specsearch.web.access import COOKIE, Access
from specsearch.web.api import At
from specsearch.web.downloads import download_hits, download_network, download_places, download_shortlist
from specsearch.web.guard import MOST_BYTES
from specsearch.web.links import parse_link
from specsearch.web.map_view import MAP_COLUMNS, map_places, map_view
from specsearch.web.problems import Problem
from specsearch.web.reading import SentFile
from specsearch.web.records import (
    MOST_PEAKS,
    FamilyIn,
    Given,
    IdentifyIn,
    MassWindow,
    SearchIn,
    Text,
    Texts,
    Window,
)
from specsearch.web.served import Served, require
from specsearch.web.uploads import parse_pasted, read_sent
from specsearch.web.views import candidates_view, counted, hits_view, listed_view, query_view
from specsearch.web.work import Work

_HERE = Path(str(files("specsearch.web")))
_REPORT = Path(str(files("specsearch.report")))
_STATIC = {
    **{path.name: path for path in sorted((_HERE / "static").iterdir())},
    "family_page.js": _REPORT / "family_page.js",
    "family_network.css": _REPORT / "family_network.css",
}
_N_EXAMPLES = 3
templates = Jinja2Templates(_HERE / "templates")
# Links stay on whatever name or tunnel a browser came by.
templates.env.filters["counted"] = counted
templates.env.filters["sentence"] = lambda text: text and f"{text[:1].upper()}{text[1:].rstrip('.')}."
templates.env.filters["own"] = lambda url: str(url.replace(scheme="", netloc=""))
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


class Asked(Given):
    """A spectrum by its link or its id."""

    s: str = Field("", max_length=20_000)
    id: Text = ""

    async def spectrum(self, work: Work) -> Spectrum:
        """The spectrum; raises `ParseError` or `LibraryNotFound`."""
        if self.id:
            return await work.soon(lambda: work.served.spectrum(self.id))
        return parse_link(self.s)


class AskedSearch(Asked):
    """The address of a page of hits."""

    library: Texts = []  # noqa: RUF012  pydantic copies it
    top: int = Field(20, ge=1, le=100)
    precursor: Literal[""] | Window | None = None
    by: Literal["fused", "embedding", "peaks"] = "fused"
    any_ion_mode: bool = False
    format: Literal["html", "csv", "jsonl"] = "html"

    async def answer(self, work: Work, spectrum: Spectrum) -> Answer:
        """The hits."""
        given = SearchIn.model_construct(
            spectra=[],
            libraries=self.library,
            top=self.top,
            precursor=self.precursor or None,
            by=self.by,
            any_ion_mode=self.any_ion_mode,
        )
        libraries = work.served.require_libraries(self.library)
        return await anext(work.search(libraries, given.settings(), [spectrum]))


class AskedIdentify(Asked):
    """The address of a page of candidates."""

    bank: Text | None = None
    top: int = Field(20, ge=1, le=100)
    mass: MassWindow = IdentifyIn.model_fields["mass"].default
    adduct: Text = ""
    formula: Text = ""
    format: Literal["html", "csv", "jsonl", "mztab"] = "html"

    async def shortlist(self, work: Work, spectrum: Spectrum) -> Shortlist:
        """The candidates."""
        given = IdentifyIn.model_construct(
            spectra=[],
            top=self.top,
            mass=self.mass,
            adduct=self.adduct or None,
            formula=[self.formula] if self.formula else [],
        )
        served = work.served
        bank, libraries = served.require_bank(self.bank or None), tuple(served.collections)
        return await anext(work.identify(bank, libraries, given.settings(served.decision), [spectrum]))


class AskedFamily(FamilyIn):
    """The address of a page of a family."""

    s: str = Field("", max_length=20_000)
    id: Text = ""
    library: Text | None = None
    format: Literal["html", "graphml", "csv", "jsonl"] = "html"

    def walk(self, served: Served) -> tuple[nx.Graph, list[Row], dict[str, Spectrum]]:
        """The network, its rows and its spectra."""
        if self.id:
            network, rows = served.family(self.id, self.settings())
            query = {}
        else:
            spectrum = parse_link(self.s)
            library = served.require_library(self.library)
            network, rows = served.family_around(library, spectrum, self.settings())
            query = {str(row["spectrum_id"]): spectrum for row in rows[:1]}
        members = [name for row in rows if (name := str(row["spectrum_id"])) not in query]
        return network, rows, {**query, **served.spectra(members)}


@router.get("/")
async def start(request: Request, work: At) -> Response:
    """Where to begin."""
    sizes, examples = await work.soon(lambda: (work.served.sizes(), _examples(work)))
    return _page(request, "start.html", examples=examples, sizes=sizes)


@router.post("/read")
async def read(
    request: Request,
    work: At,
    file: UploadFile | None = None,
    peaks: Annotated[str, Form(max_length=2_000_000)] = "",
    precursor_mz: Annotated[str, Form(max_length=30)] = "",
    adduct: Annotated[str, Form(max_length=100)] = "",
    ion_mode: Literal["positive", "negative", "unknown"] = Form("unknown"),
    spectrum_id: Annotated[str, Form(max_length=300)] = "",
) -> Response:
    """From what was dropped, pasted or named to the spectra in it; a single one is looked for at once."""
    if spectrum_id.strip():
        return RedirectResponse(_address(request, "hits", id=spectrum_id.strip()), 303)
    if peaks.strip():
        mode = "" if ion_mode == "unknown" else ion_mode
        found = SentFile(spectra=[parse_pasted(peaks, _number(precursor_mz), adduct, mode)])
    elif file is not None and file.filename:
        content, name = await file.read(), file.filename
        found = await work.apart(lambda: read_sent(content, name, MOST_PEAKS))
    else:
        raise InputFileError("Nothing was sent.", "Choose a file, paste peaks, or name a spectrum.")
    views = await work.shown(lambda: [listed_view(spectrum) for spectrum in found.spectra])
    if len(views) == 1 and not found.skipped:
        return RedirectResponse(_address(request, "hits", s=views[0]["link"]), 303)
    return _page(request, "spectra.html", file=found, spectra=views)


@router.get("/search", name="hits")
async def hits(request: Request, work: At, asked: Annotated[AskedSearch, Query()]) -> Response:
    """What looks like a spectrum."""
    spectrum = await asked.spectrum(work)
    answer = await asked.answer(work, spectrum)
    if asked.format != "html":
        return download_hits(answer, asked.format)
    query, view = await work.shown(lambda: (query_view(spectrum), hits_view(answer)))
    return _page(request, "hits.html", asked=asked, query=query, answer=answer, **view)


@router.get("/identify", name="candidates")
async def candidates(request: Request, work: At, asked: Annotated[AskedIdentify, Query()]) -> Response:
    """What a spectrum could be."""
    spectrum = await asked.spectrum(work)
    shortlist = await asked.shortlist(work, spectrum)
    served = work.served
    made_with = served.provenance(served.require_bank(asked.bank or None))
    if asked.format != "html":
        return await work.shown(lambda: download_shortlist(shortlist, made_with, asked.format))
    query, view = await work.shown(
        lambda: (query_view(spectrum), candidates_view(shortlist, served.decision))
    )
    warning = NOT_AN_IDENTIFICATION
    return _page(
        request,
        "candidates.html",
        asked=asked,
        query=query,
        made_with=made_with,
        warning=warning,
        **view,
    )


@router.get("/family", name="family")
async def family(request: Request, work: At, asked: Annotated[AskedFamily, Query()]) -> Response:
    """The structure family around a spectrum."""
    network, rows, spectra = await work.later(lambda: asked.walk(work.served))
    if asked.format != "html":
        return await work.shown(lambda: download_network(network, rows, asked.format))
    content = await work.shown(lambda: family_content(network, rows, spectra))
    names = {row["spectrum_id"]: row["compound_name"] for row in rows}
    name = plain(names.get(asked.id) or asked.id or parse_link(asked.s).accession or "this spectrum")
    data = {**content, "walks": True}
    return _page(request, "family.html", asked=asked, name=name, data=data, n_members=len(rows))


@router.get("/map/{library}", name="map")
async def library_map(
    request: Request,
    library: str,
    work: At,
    colour: Annotated[str, Query(max_length=50)] = Key.ION_MODE,
    find: Annotated[str, Query(max_length=200)] = "",
    format: Literal["html", "csv"] = "html",
) -> Response:
    """A library as a map, coloured by a column, and as a list in which to find a spectrum."""
    folder = work.served.beside[require(library, work.served.beside, "library")]
    sizes = await work.soon(work.served.sizes)
    table = await work.shown(lambda: find_map(folder))
    if table is None or sizes[library] not in (None, table.num_rows):
        return _page(request, "map.html", library=library, is_older=table is not None)
    places = await work.shown(lambda: map_places(table))
    if format == "csv":
        return download_places(places)
    view = await work.shown(lambda: map_view(places, colour, find))
    return _page(
        request,
        "map.html",
        library=library,
        n_spectra=table.num_rows,
        columns=MAP_COLUMNS,
        find=find,
        view=view,
    )


@router.get("/receipt/{library}", name="receipt")
async def receipt(request: Request, library: str, work: At) -> Response:
    """What a library says twice, as it was last found."""
    path = work.served.beside[require(library, work.served.beside, "library")] / RECEIPT
    if not path.is_file():
        return _page(request, "receipt.html", library=library)
    style = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; frame-ancestors 'none'"
    return FileResponse(path, headers={"content-security-policy": policy}, media_type="text/html")


@router.get("/login", name="login")
async def login_form(request: Request, next: Annotated[str, Query(max_length=20_000)] = "/") -> Response:
    """Ask a browser for the key."""
    return _page(request, "login.html", next=next, is_wrong=False)


@router.post("/login")
async def login(
    request: Request,
    key: Annotated[str, Form(max_length=1000)],
    next: Annotated[str, Form(max_length=20_000)] = "/",
) -> Response:
    """Let a browser in that knows the key."""
    access: Access = request.app.state.access
    if await access.is_too_fast(request):
        raise HTTPException(429, "Too many requests.", {"Retry-After": "1"})
    if not access.is_key(key):
        return _page(request, "login.html", 401, next=next, is_wrong=True)
    # Only to an address of this server: "//elsewhere" and "https:" are others'.
    is_own = next.startswith("/") and not next.startswith(("//", "/\\"))
    response = RedirectResponse(next if is_own else "/", 303)
    is_https = request.url.scheme == "https"
    response.set_cookie(COOKIE, access.cookie(key), httponly=True, samesite="strict", secure=is_https)
    return response


@router.get("/static/{name}", name="static")
async def static(name: str) -> Response:
    """Scripts and styles; only those that are known."""
    path = _plotly() if name == "plotly.min.js" else _STATIC.get(name)
    if path is None:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(path, headers={"cache-control": "max-age=3600"})


def problem_page(request: Request, problem: Problem) -> Response:
    """An error for a person."""
    return _page(request, "problem.html", problem.status, problem=problem)


def _page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    work: Work = request.app.state.work
    access: Access = request.app.state.access
    values |= {"served": work.served, "is_let_in": access.allows(request), "most_bytes": MOST_BYTES}
    return templates.TemplateResponse(request, template, values, status)


def _address(request: Request, page: str, **query: str) -> str:
    return str(request.url_for(page).include_query_params(**query).replace(scheme="", netloc=""))


def _examples(work: Work) -> list[dict[str, Any]]:
    """A few spectra of each library to begin with."""
    found = []
    for collection in work.served.collections.values():
        with suppress(StoreError):  # the table of sizes says that it cannot be asked
            for record in islice(collection.scroll(batch=_N_EXAMPLES), _N_EXAMPLES):
                payload = record.payload
                found.append({"id": payload["spectrum_id"], "name": payload.get("compound_name")})
    return found


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ".")) if text.strip() else None
    except ValueError:
        raise ParseError(f"{text!r} is no m/z.", "Write it as 195.0877.") from None


def _plotly() -> Path:
    from plotly import __file__ as home

    return Path(home).parent / "package_data" / "plotly.min.js"
