"""One stage of the growth benchmark, in a process of its own so that its peak memory is its own.

Prints one line of JSON, the last of its output.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.growth_material import FILE_ROWS, Material, row_of
from benchmarks.timing import TimedCollection, percentiles, seconds_per_query, timed
from ingest.engines import Engine
from ingest.index import Progress, index_files
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import TokenInput
from specsearch.evaluation.retrieval import recall
from specsearch.search.similar import SearchSettings, SimilaritySearch
from specsearch.store.edge import EdgeCollection
from specsearch.store.filters import Filter
from specsearch.store.queries import VectorQuery
from specsearch.store.schema import Key, VectorName
from specsearch.store.space import used_bytes
from specsearch.store.store import Collection, IndexWatch, open_store

LIBRARY = "growth"
_TOP = 10
_QUERIES = 300
_WHOLE_QUERIES = 100
_WINDOW_SHARES = (0.05, 0.0005)


def main() -> None:
    """Run the job that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=["index", "search"])
    parser.add_argument("folder", type=Path, help="with the material and the store")
    parser.add_argument("files", type=int, help="how many of the material's files the library holds")
    parser.add_argument("--model", type=Path, required=True)
    asked = parser.parse_args()
    job = _index if asked.job == "index" else _search
    print(json.dumps(job(Material(asked.folder), asked.files, Embedder.load(asked.model))))


class _Building:
    """Adds up what building the search indexes takes, on the way and at the end: wall and own seconds."""

    def __init__(self) -> None:
        self.wall_s = self.own_s = 0.0
        build = EdgeCollection.optimize

        def timed_build(collection: EdgeCollection, watch: IndexWatch | None = None) -> bool:
            wall_s, own_s = time.perf_counter(), time.process_time()
            was_needed = build(collection, watch)
            self.wall_s += time.perf_counter() - wall_s
            self.own_s += time.process_time() - own_s
            return was_needed

        EdgeCollection.optimize = timed_build  # type: ignore[method-assign]


class _Clock(Progress):
    """Notes when each window was acknowledged, as if no index were built."""

    def __init__(self, building: _Building) -> None:
        self._building = building
        self.n_rows = 0
        self.windows: list[tuple[int, float, float]] = []

    def planned(self, n_rows: int, n_done: int) -> None:
        self._note(n_done)

    def indexed(self, n_rows: int) -> None:
        self._note(n_rows)

    def _note(self, n_rows: int) -> None:
        self.n_rows += n_rows
        wall_s = time.perf_counter() - self._building.wall_s
        self.windows.append((self.n_rows, wall_s, time.process_time() - self._building.own_s))


def _index(material: Material, n_files: int, embedder: Embedder) -> dict[str, Any]:
    """Add what the library does not hold yet of the first `n_files` files."""
    building = _Building()
    clock = _Clock(building)
    files = [material.spectra(number) for number in range(n_files)]
    with open_store(material.folder / "store") as store:
        summary = index_files(
            files,
            store,
            LIBRARY,
            embedder,
            material.folder / "work",
            progress=clock,
            make_engine=_stand_in(material, n_files * FILE_ROWS),
        )
    return {
        "n_indexed": summary.n_indexed,
        "n_skipped": sum(count for _, count, _ in summary.skipped_by_reason()),
        "rates": list(_rates(clock.windows)),
        "optimize_s": building.wall_s,
        "optimize_own_s": building.own_s,
        "disk_mb": used_bytes(material.folder / "store") / 1e6,
        "ledger_mb": used_bytes(material.folder / "work") / 1e6,
    }


def _stand_in(material: Material, n_rows: int) -> Callable[[Embedder, int], AbstractContextManager[Engine]]:
    """In place of the encoder: the embeddings that were made with the copies, in the order of the files."""

    @contextmanager
    def engine(embedder: Embedder, n_todo: int) -> Iterator[Engine]:
        next_row = n_rows - n_todo  # windows are done in their order, so what is left is the end

        def submit(inputs: Sequence[TokenInput]) -> Future[NDArray[np.float32]]:
            nonlocal next_row
            number, first = divmod(next_row, FILE_ROWS)
            vectors = np.load(material.vectors(number), mmap_mode="r")[first : first + len(inputs)]
            next_row += len(inputs)
            done: Future[NDArray[np.float32]] = Future()
            done.set_result(_unit(vectors))
            return done

        yield Engine(submit)

    return engine


def _unit(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    wide = vectors.astype(np.float32)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def _rates(windows: Sequence[tuple[int, float, float]]) -> Iterator[dict[str, float]]:
    """Spectra per second of each file, by the wall and by the process's own time."""
    first = windows[0]
    for window in windows[1:]:
        if window[0] % FILE_ROWS == 0:
            n_rows, wall_s, own_s = (late - early for late, early in zip(window, first, strict=True))
            yield {"up_to": window[0], "per_s": n_rows / wall_s, "per_own_s": n_rows / own_s}
            first = window


def _search(material: Material, n_files: int, embedder: Embedder) -> dict[str, Any]:
    """Recall against every vector that was stored, and times, with and without windows of precursor m/z."""
    queries, vectors = material.copies(_QUERIES, np.random.default_rng(2))
    began = time.perf_counter()
    with open_store(material.folder / "store") as store, store.open(LIBRARY) as collection:
        open_s = time.perf_counter() - began
        stored = _Stored(material, n_files)
        true = stored.scores(vectors)
        found = {"no filter": _nearest(collection, stored, true, vectors, None, queries)}
        for share in _WINDOW_SHARES:
            found[f"{share:.2%}"] = _nearest(collection, stored, true, vectors, share, queries)
        del true
        clocked = TimedCollection(collection)
        search = SimilaritySearch([clocked], embedder, SearchSettings())
        whole, engine = seconds_per_query(search, clocked, queries[:_WHOLE_QUERIES])
        info = collection.info()
        memory = psutil.Process().memory_info()
    return {
        "open_s": open_s,
        "n_segments": info.n_segments,
        "nearest": found,
        "fused, whole query": percentiles(whole),
        "fused, engine calls": percentiles(engine),
        "rss_mb": memory.rss / 1e6,
        "own_mb": (memory.rss - memory.shared) / 1e6,
    }


class _Stored:
    """What is stored, in numpy: the other road to the exact answer."""

    def __init__(self, material: Material, n_files: int) -> None:
        self._material, self._n_files = material, n_files
        rows = np.load(material.folder / "precursors.npy")
        self.precursor_mz = rows[: n_files * FILE_ROWS]

    def scores(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines, of shape (n_queries, n_stored)."""
        parts = (
            queries @ _unit(np.load(self._material.vectors(number))).T for number in range(self._n_files)
        )
        return np.concatenate(list(parts), axis=1)


def _nearest(
    collection: Collection,
    stored: _Stored,
    true: NDArray[np.float32],
    vectors: NDArray[np.float32],
    share: float | None,
    queries: Sequence[Any],
) -> dict[str, float]:
    """Recall of the nearest ten and times, in windows of precursor m/z that pass this share."""
    known = np.sort(stored.precursor_mz)
    recalls, seconds = [], []
    for spectrum, vector, scores in zip(queries, vectors, true, strict=True):
        filter, inside = None, np.ones(len(known), bool)
        if share is not None:
            low, high = _window(known, spectrum.precursor_mz, share)
            filter = Filter(precursor_mz=(low, high))
            inside = (stored.precursor_mz >= low) & (stored.precursor_mz <= high)
        best = np.partition(scores[inside], -_TOP)[-_TOP:]
        answers, taken = timed(collection.query, [VectorQuery(VectorName.EMBEDDING, vector, _TOP, filter)])
        rows = [row_of(hit.payload[Key.ACCESSION]) for hit in answers[0]]
        # float16 in the store, float32 here: what is equal to three decimals is equal.
        recalls.append(recall(scores[rows], best, slack=5e-4))
        seconds.append(taken)
    return {"recall@10": float(np.mean(recalls)), **percentiles(seconds)}


def _window(ascending: NDArray[np.float64], precursor_mz: float, share: float) -> tuple[float, float]:
    """The window around a precursor that passes this share of the library (more where m/z repeat)."""
    n_wanted = max(_TOP, round(share * len(ascending)))
    first = int(np.searchsorted(ascending, precursor_mz)) - n_wanted // 2
    first = min(max(first, 0), len(ascending) - n_wanted)
    return float(ascending[first]), float(ascending[first + n_wanted - 1])


if __name__ == "__main__":
    main()
