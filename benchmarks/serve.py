"""A server under load, asked over loopback by another process: latency, errors, memory.

Requests are sent on a schedule of random arrivals, whether or not earlier ones were answered, and timed from
the moment they were due: a server that falls behind is not asked less for it. Needs a store with a library of
all spectra and a bank of all molecules: ``specsearch index massbank.parquet --library massbank --store
FOLDER`` and ``specsearch bank add molecules.parquet --name molecules --store FOLDER``.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.circumstances import write_result
from benchmarks.massbank import FILE
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from specsearch.encoder.checkpoint import load_checkpoint
from specsearch.spectra.readers.parquet import read_parquet
from specsearch.spectra.spectrum import Spectrum

_MOST_P95_MS, _MOST_SINGLE_MS, _MOST_IDENTIFY_MS = 150.0, 60.0, 800.0
_MOST_GROWTH, _MOST_PAGE_S = 1.1, 1.0
_START = "import sys; from specsearch.cli import main; main()"
_MIB = 2**20

Query = dict[str, Any]


def main() -> None:
    """Measure and write `serve.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--store", type=Path, required=True, help="store with a library and a bank")
    parser.add_argument("--rate", type=float, default=20.0, help="searches a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    queries = _queries(asked.data / FILE, asked.limit or 400)
    with _served(asked.store) as (address, process):
        page_s = _timed(lambda client: client.get("/"), address)
        rows = [
            _one_by_one(address, "/v1/search", queries[:200]),
            _under_load(address, queries, asked.rate, asked.seconds, process),
            _one_by_one(address, "/v1/identify", queries[:200]),
        ]
    print_table("Server, over loopback", rows)
    single, load, identify = rows
    bounds = {
        "search, one at a time, p50 ms": verdict(single["p50_ms"], _MOST_SINGLE_MS, at_most=True),
        f"search, {asked.rate:g}/s, p95 ms": verdict(load["p95_ms"], _MOST_P95_MS, at_most=True),
        "errors": verdict(float(sum(row["errors"] for row in rows)), 0.0, at_most=True),
        "memory after / before load": verdict(load["memory_growth"], _MOST_GROWTH, at_most=True),
        "identify with fragments, p95 ms": verdict(identify["p95_ms"], _MOST_IDENTIFY_MS, at_most=True),
        "first page, s": verdict(page_s, _MOST_PAGE_S, at_most=True),
    }
    print_verdicts(bounds)
    _, card = load_checkpoint(asked.model)
    write_result("serve", asked, {"rows": rows, "page_s": page_s, "bounds": bounds}, card.digest)


def _queries(path: Path, limit: int) -> list[Query]:
    """Spectra of val, drawn evenly, as the API takes them."""
    found = [
        record
        for record in read_parquet(path)
        if isinstance(record, Spectrum) and record.metadata.get("split") == "val" and record.adduct
    ]
    rows = np.linspace(0, len(found) - 1, min(limit, len(found))).astype(np.int64)
    return [_query(found[row]) for row in np.random.default_rng(0).permutation(rows)]


def _query(spectrum: Spectrum) -> Query:
    return {
        "peaks": list(zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True)),
        "precursor_mz": spectrum.precursor_mz,
        "charge": spectrum.charge,
        "adduct": spectrum.adduct,
    }


@contextmanager
def _served(store: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The server as a process of its own; its address once it is warm."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-c", _START, "serve", "--store", str(store), "--port", str(port)]
    process = subprocess.Popen(command)
    address = f"http://127.0.0.1:{port}"
    try:
        while not _is_ready(address):
            if process.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.2)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/ready").status_code == 200
    except httpx.TransportError:
        return False


def _timed(ask: Any, address: str) -> float:
    with httpx.Client(base_url=address) as client:
        began = time.perf_counter()
        ask(client).raise_for_status()
        return time.perf_counter() - began


def _one_by_one(address: str, path: str, queries: Sequence[Query]) -> dict[str, Any]:
    """Each request after the answer to the one before."""
    with httpx.Client(base_url=address, timeout=30) as client:
        client.post(path, json={"spectra": [queries[0]]})
        answers = []
        for query in queries:
            began = time.perf_counter()
            status = client.post(path, json={"spectra": [query]}).status_code
            answers.append((time.perf_counter() - began, status))
    return _row(f"{path}, one at a time", answers)


def _under_load(
    address: str, queries: Sequence[Query], rate: float, seconds: float, process: psutil.Process
) -> dict[str, Any]:
    asyncio.run(
        _sent(address, queries, rate, min(5.0, seconds))
    )  # memory is at its height after some seconds
    before = process.memory_info().rss
    answers = asyncio.run(_sent(address, queries, rate, seconds))
    after = process.memory_info().rss
    memory = {"memory_mib": after / _MIB, "memory_growth": after / before}
    return {**_row(f"/v1/search, {rate:g}/s", answers), **memory}


async def _sent(
    address: str, queries: Sequence[Query], rate: float, seconds: float
) -> list[tuple[float, int]]:
    """Requests at random times (a Poisson process), each timed from when it was due."""
    gaps = np.random.default_rng(1).exponential(1 / rate, int(rate * seconds))
    begun = time.perf_counter()
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:

        async def one(due: float, query: Query) -> tuple[float, int]:
            await asyncio.sleep(max(0.0, begun + due - time.perf_counter()))
            status = (await client.post("/v1/search", json={"spectra": [query]})).status_code
            return time.perf_counter() - begun - due, status

        due_times = np.cumsum(gaps).tolist()
        return await asyncio.gather(*(one(due, queries[i % len(queries)]) for i, due in enumerate(due_times)))


def _row(name: str, answers: Sequence[tuple[float, int]]) -> dict[str, Any]:
    milliseconds = np.array([duration for duration, _ in answers]) * 1000
    return {
        "what": name,
        "requests": len(answers),
        "errors": sum(status != 200 for _, status in answers),
        **{f"p{q}_ms": float(np.percentile(milliseconds, q)) for q in (50, 95, 99)},
        "memory_mib": 0.0,
        "memory_growth": 1.0,
    }


if __name__ == "__main__":
    main()
