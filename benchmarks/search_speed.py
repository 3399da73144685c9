"""Recall and speed of searches on a library of all MassBank rows; everything is timed on one core."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.circumstances import write_result
from benchmarks.ingest_job import LIBRARY
from benchmarks.jobs import run_job
from benchmarks.massbank import all_spectra, source_file
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from benchmarks.timing import TimedCollection, percentiles, seconds_per_query, timed, use_one_core
from specsearch.encoder.embedder import Embedder
from specsearch.evaluation.retrieval import recall
from specsearch.search.similar import SearchSettings, SimilaritySearch
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.filters import Filter
from specsearch.store.planner import EF, IndexSettings
from specsearch.store.queries import VectorQuery
from specsearch.store.schema import Key, VectorName
from specsearch.store.store import Collection, open_store

_SHARES = (1.0, 0.5, 0.05, 0.005, 0.0005)
_TOP = 10
_LOST_PEAKS = 0.3
_NOTE = (
    "Queries are library spectra with 30 % of their peaks removed at random, so that no query's vector is in "
    "the library. Recall counts by true score (equal vectors are equally right), computed by numpy in "
    "float64 over the stored vectors; 'engine exact' is the ceiling that the engine's float16 allows."
)


@dataclass(frozen=True, eq=False)
class _Table:
    """What is stored, in numpy: the other road to the exact answer."""

    row: dict[str, int]
    embedding: NDArray[np.float64]
    precursor_mz: NDArray[np.float64]


def main() -> None:
    """Measure and write `search_speed.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--store", type=Path, help="store with the library; built where not given")
    parser.add_argument("--library", default=LIBRARY, help="its name")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--batch", type=int, default=1000, help="queries of the batched search")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store_folder = asked.store or _built(asked, Path(name))
        use_one_core()
        embedder = Embedder.load(asked.model)
        queries = _queries(asked)
        with open_store(store_folder) as store, store.open(asked.library) as collection:
            figures = _figures(asked, collection, embedder, queries)
    write_result("search_speed", asked, figures, embedder.card.digest)


def _built(asked: argparse.Namespace, folder: Path) -> Path:
    store = folder / "store"
    run_job(
        "benchmarks.ingest_job", "index", source_file(asked, folder), "--model", asked.model, "--store", store
    )
    return store


def _queries(asked: argparse.Namespace) -> list[Spectrum]:
    """As many spectra as the batched search needs, each with some peaks removed."""
    spectra = [spectrum for spectrum in all_spectra(asked) if spectrum.precursor_mz is not None]
    generator = np.random.default_rng(0)
    rows = generator.permutation(len(spectra))[: max(asked.batch, asked.queries)]
    return [_thinned(spectra[row], generator) for row in rows]


def _thinned(spectrum: Spectrum, generator: np.random.Generator) -> Spectrum:
    keep = generator.random(len(spectrum)) >= _LOST_PEAKS
    keep[spectrum.intensity.argmax()] = True
    return Spectrum.checked(
        spectrum.mz[keep],
        spectrum.intensity[keep],
        accession=spectrum.accession,
        precursor_mz=spectrum.precursor_mz,
        charge=spectrum.charge,
        adduct=spectrum.adduct,
    )


def _figures(
    asked: argparse.Namespace, collection: Collection, embedder: Embedder, queries: Sequence[Spectrum]
) -> dict[str, Any]:
    table = _read_table(collection)
    few = queries[: asked.queries]
    vectors = embedder.embed(few).astype(np.float32)
    recalls = [_recall(collection, table, few, vectors, share) for share in _SHARES]
    print_table(f"Recall@{_TOP} on {len(table.row)} spectra", recalls)
    rival = _hnswlib(table, vectors)
    print_table("hnswlib, no filter, same m, ef_construct and ef", [rival])
    speed, rows = _speed(collection, embedder, few, queries[: asked.batch])
    print_table("Speed on one core", rows)
    bounds = {
        **{f"recall@10 at {row['window']}": verdict(row["planned"], 0.99, at_most=False) for row in recalls},
        "engine p50 (ms)": verdict(speed["engine"]["p50_ms"], 3.0, at_most=True),
        "whole query p50 (ms)": verdict(speed["whole"]["p50_ms"], 30.0, at_most=True),
        "batch rate / single rate": verdict(speed["batch_over_single"], 5.0, at_most=False),
    }
    print_verdicts(bounds)
    return {
        "note": _NOTE,
        "library": len(table.row),
        "queries": len(few),
        "recall": recalls,
        "hnswlib": rival,
        "speed": speed,
        "bounds": bounds,
    }


def _read_table(collection: Collection) -> _Table:
    records = list(collection.scroll(with_vectors=True))
    embedding = np.array([record.embedding for record in records], dtype=np.float64)
    return _Table(
        {record.point_id: row for row, record in enumerate(records)},
        embedding / np.linalg.norm(embedding, axis=1, keepdims=True),
        np.array([record.payload.get(Key.PRECURSOR_MZ, np.nan) for record in records]),
    )


def _recall(
    collection: Collection,
    table: _Table,
    queries: Sequence[Spectrum],
    vectors: NDArray[np.float32],
    share: float,
) -> dict[str, Any]:
    """Mean recall of the planned search, and of the engine's exact one, in windows that pass `share`."""
    known = np.sort(table.precursor_mz[~np.isnan(table.precursor_mz)])
    planned: list[float] = []
    exact: list[float] = []
    passing, seconds = [], []
    for spectrum, vector in zip(queries, vectors, strict=True):
        window = None if share == 1.0 else _window(known, spectrum.precursor_mz or 0.0, share)
        inside = np.arange(len(table.row))
        if window is not None:
            inside = np.flatnonzero((table.precursor_mz >= window[0]) & (table.precursor_mz <= window[1]))
        true = table.embedding @ vector.astype(np.float64)
        best = np.sort(true[inside])[-_TOP:]
        chosen = None if window is None else Filter(precursor_mz=window)
        for is_exact, recalls in ((None, planned), (True, exact)):
            query = VectorQuery(VectorName.EMBEDDING, vector, _TOP, chosen, is_exact, False)
            answers, taken = timed(collection.query, [query])
            recalls.append(recall(true[[table.row[hit.point_id] for hit in answers[0]]], best))
            seconds += [taken] if is_exact is None else []
        passing.append(len(inside) / len(table.row))
    return {
        "window": "no filter" if share == 1.0 else f"{share:.2%}",
        "passing": float(np.median(passing)),
        "planned": float(np.mean(planned)),
        "engine exact": float(np.mean(exact)),
        **percentiles(seconds),
    }


def _window(ascending: NDArray[np.float64], precursor_mz: float, share: float) -> tuple[float, float]:
    """The window around a precursor that passes this share of the library (more where m/z repeat)."""
    n_wanted = max(1, round(share * len(ascending)))
    first = int(np.searchsorted(ascending, precursor_mz)) - n_wanted // 2
    first = min(max(first, 0), len(ascending) - n_wanted)
    return float(ascending[first]), float(ascending[first + n_wanted - 1])


def _hnswlib(table: _Table, vectors: NDArray[np.float32]) -> dict[str, float]:
    """Recall and time of the rival graph on the same vectors and one thread."""
    import hnswlib

    settings = IndexSettings()
    index = hnswlib.Index(space="ip", dim=table.embedding.shape[1])
    index.init_index(len(table.row), M=settings.m, ef_construction=settings.ef_construct, random_seed=0)
    index.set_num_threads(1)
    _, build_s = timed(index.add_items, table.embedding.astype(np.float32))
    index.set_ef(EF)
    recalls, seconds = [], []
    for vector in vectors:
        true = table.embedding @ vector.astype(np.float64)
        (found, _), taken = timed(index.knn_query, vector, _TOP)
        seconds.append(taken)
        recalls.append(recall(true[found[0].astype(np.int64)], np.sort(true)[-_TOP:]))
    return {"recall": float(np.mean(recalls)), "build_s": build_s, **percentiles(seconds)}


def _speed(
    collection: Collection, embedder: Embedder, few: Sequence[Spectrum], many: Sequence[Spectrum]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fused search, query by query and in a batch: from parsed spectra to ranked hits."""
    clocked = TimedCollection(collection)
    search = SimilaritySearch([clocked], embedder, SearchSettings())
    whole, engine = seconds_per_query(search, clocked, few)
    clocked.engine_s = 0.0
    _, seconds = timed(list, search.search(many))
    batch_ms = seconds / len(many) * 1e3
    speed = {
        "whole": percentiles(whole),
        "engine": percentiles(engine),
        "batch_queries": len(many),
        "batch_ms_per_query": batch_ms,
        "batch_engine_ms_per_query": clocked.engine_s / len(many) * 1e3,
        "batch_over_single": float(np.mean(whole)) * 1e3 / batch_ms,
    }
    rows = [
        {"time": "whole query", **percentiles(whole)},
        {"time": "its engine calls", **percentiles(engine)},
        {"time": f"in a batch of {len(many)}", "p50_ms": "", "p95_ms": "", "mean_ms": batch_ms},
    ]
    return speed, rows


if __name__ == "__main__":
    main()
