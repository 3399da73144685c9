"""The API's routes: what the commands answer, as JSON, or line by line as NDJSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import networkx as nx
from fastapi import APIRouter, Depends, Header, Request, UploadFile
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from specsearch.errors import SpecsearchError
from specsearch.report.candidate_rows import Provenance, candidate_rows
from specsearch.report.networks import directed_edges
from specsearch.report.rows import Row, hit_rows
from specsearch.search.shortlists import Shortlist
from specsearch.search.similar import Answer
from specsearch.spectra.spectrum import Spectrum
from specsearch.web.desk import Overloaded
from specsearch.web.problems import PROBLEMS, problem_of
from specsearch.web.records import (
    MOST_PEAKS,
    AnswerOut,
    BankOut,
    EmbeddingOut,
    EmbedIn,
    FamilyAroundIn,
    FamilyIn,
    FamilyOut,
    FileOut,
    IdentifyIn,
    LibraryOut,
    SearchIn,
    ShortlistOut,
    SkippedOut,
    SpectrumOut,
    WrittenOut,
)
from specsearch.web.uploads import read_sent
from specsearch.web.work import Work
from specsearch.web.writing import ReadOnly, Writer

NDJSON = "application/x-ndjson"
_HUNG_UP = 499  # nginx's word for it, which only logs and metrics see
_STREAMED: dict[str, Any] = {
    "content": {NDJSON: {}},
    "description": "One answer, or one line for each; where it breaks off, a problem is the last.",
}


def work_of(request: Request) -> Work:
    """The work of the application that a request came to."""
    work: Work = request.app.state.work
    return work


def writer_of(request: Request) -> Writer:
    """What writes; raises `ReadOnly` where nothing does."""
    writer: Writer | None = request.app.state.writer
    if writer is None:
        step = 'Whoever runs it can start it with "specsearch serve --allow-write".'
        raise ReadOnly("This server only reads.", step)
    return writer


At = Annotated[Work, Depends(work_of)]
Accept = Annotated[str, Header()]
router = APIRouter(prefix="/v1", responses=PROBLEMS)


@router.get("/libraries")
async def libraries(work: At) -> list[LibraryOut]:
    """Libraries that are served."""
    served = work.served
    counts = await work.soon(served.sizes)
    encoder = served.embedder.card.digest
    return [
        LibraryOut(library=name, spectra=count, has_graph=name in served.graphs, encoder=encoder)
        for name, count in counts.items()
    ]


@router.get("/banks")
async def banks(work: At) -> list[BankOut]:
    """Banks of candidate molecules that are served."""
    return [
        BankOut(bank=name, molecules=len(bank), digest=bank.card.digest)
        for name, bank in work.served.banks.items()
    ]


@router.get("/spectra/{spectrum_id:path}")
async def spectrum(spectrum_id: str, work: At) -> SpectrumOut:
    """One spectrum by its id, ``LIBRARY:ACCESSION``."""
    return SpectrumOut.of(await work.soon(lambda: work.served.spectrum(spectrum_id)))


@router.post("/read")
async def read(file: UploadFile, work: At) -> FileOut:
    """The spectra of a file in any format that is understood, as other requests take them."""
    content = await file.read()
    found = await work.apart(lambda: read_sent(content, file.filename or "", MOST_PEAKS))
    return FileOut(
        spectra=[SpectrumOut.of(one) for one in found.spectra],
        skipped=[SkippedOut(**asdict(one)) for one in found.skipped],
        is_complete=found.is_complete,
    )


@router.post("/libraries/{library}/spectra")
async def index(
    library: str, file: UploadFile, work: At, writer: Annotated[Writer, Depends(writer_of)], request: Request
) -> WrittenOut:
    """Index a file of spectra into a library, made where there is none; sent twice is the same as once.

    Only where the server was started with `--allow-write`. All of the file is searched from then on; searches
    wait meanwhile. Families of a library that has grown are refused until its graph is brought up to date.
    """
    content = await file.read()
    sent = await work.apart(lambda: read_sent(content, file.filename or "", MOST_PEAKS))
    written = await work.alone(lambda: writer.write(library, sent))
    request.app.state.metrics.holds(library, written.n_in_library)
    skipped = [SkippedOut(**asdict(one)) for one in written.skipped]
    return WrittenOut(
        library=library,
        n_read=written.n_read,
        n_indexed=written.n_indexed,
        n_in_library=written.n_in_library,
        skipped=skipped,
    )


@router.post("/embed", response_model=list[EmbeddingOut])
async def embed(asked: EmbedIn, work: At, request: Request) -> Any:
    """Embeddings of spectra."""
    spectra = await asyncio.to_thread(asked.checked)
    return await _collected(work.embed(spectra), embedding_out, request)


@router.post("/search", response_model=list[AnswerOut], responses={200: _STREAMED})
async def search(asked: SearchIn, work: At, request: Request, accept: Accept = "") -> Any:
    """What looks like these spectra."""
    spectra = await asyncio.to_thread(asked.checked)
    answers = work.search(work.served.require_libraries(asked.libraries), asked.settings(), spectra)
    return await _answered(answers, answer_out, request, accept)


@router.post("/identify", response_model=list[ShortlistOut], responses={200: _STREAMED})
async def identify(asked: IdentifyIn, work: At, request: Request, accept: Accept = "") -> Any:
    """What these spectra could be: candidate shortlists, not identifications."""
    spectra = await asyncio.to_thread(asked.checked)
    served = work.served
    bank = served.require_bank(asked.bank)
    names = tuple(served.collections) if asked.libraries is None else asked.libraries
    libraries = served.require_libraries(names) if names else ()
    made_with = served.provenance(bank)
    found = work.identify(bank, libraries, asked.settings(served.decision), spectra)
    return await _answered(found, lambda one: shortlist_out(one, made_with), request, accept)


@router.post("/family/{spectrum_id:path}")
async def family(spectrum_id: str, asked: FamilyIn, work: At) -> FamilyOut:
    """The structure family around a spectrum of a library."""
    return family_out(*await work.later(lambda: work.served.family(spectrum_id, asked.settings())))


@router.post("/family")
async def family_around(asked: FamilyAroundIn, work: At) -> FamilyOut:
    """The structure family that a spectrum would have in a library."""
    spectrum = asked.spectrum.checked()
    library = work.served.require_library(asked.library)
    settings = asked.settings()
    return family_out(*await work.later(lambda: work.served.family_around(library, spectrum, settings)))


def family_out(network: nx.Graph, rows: Sequence[Row]) -> FamilyOut:
    """The record of a family; what differs along an edge is the target's less the source's."""
    edges = [{"source": a, "target": b, **values} for a, b, values in directed_edges(network)]
    return FamilyOut(members=list(rows), edges=edges)


def embedding_out(embedded: tuple[Spectrum, list[float] | None]) -> EmbeddingOut:
    """The record of an embedding."""
    spectrum, vector = embedded
    return EmbeddingOut(query=spectrum.accession, embedding=vector)


def answer_out(answer: Answer) -> AnswerOut:
    """The record of an answer."""
    return AnswerOut(query=answer.query.accession, reason=answer.reason, hits=list(hit_rows(answer)))


def shortlist_out(shortlist: Shortlist, made_with: Provenance) -> ShortlistOut:
    """The record of a shortlist."""
    return ShortlistOut(
        query=shortlist.query.accession,
        n_candidates=len(shortlist),
        reason=": ".join(part for part in (shortlist.reason, shortlist.detail) if part),
        advice=shortlist.advice,
        candidates=list(candidate_rows(shortlist, made_with)),
    )


async def _collected(
    found: AsyncIterator[Any], record: Callable[[Any], BaseModel], request: Request
) -> list[BaseModel] | Response:
    """All at once; of what is left when a client hangs up, nothing is asked."""
    records = []
    async for one in found:
        records.append(record(one))
        if await request.is_disconnected():
            return Response(status_code=_HUNG_UP)
    return records


async def _answered(
    found: AsyncIterator[Any], record: Callable[[Any], BaseModel], request: Request, accept: str
) -> list[BaseModel] | Response:
    """All at once, or each as soon as it is there, for a client that accepts NDJSON."""
    if NDJSON not in accept:
        return await _collected(found, record, request)
    first = record(await anext(found))  # what is wrong with the request shows here, with its status

    async def lines() -> AsyncIterator[str]:
        yield f"{first.model_dump_json()}\n"
        try:
            async for one in found:
                yield f"{record(one).model_dump_json()}\n"
        except (Overloaded, TimeoutError, SpecsearchError) as error:
            yield f"{problem_of(error).model_dump_json()}\n"

    return StreamingResponse(lines(), media_type=NDJSON)
