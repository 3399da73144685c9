"""Fused search against hybrid entropy search on a library as large as wanted, on one core."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.libraries import LIBRARY, as_spectrum, build
from benchmarks.timing import TimedCollection, percentiles, seconds_per_query, timed, use_one_core
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import TokenInput
from specsearch.encoder.training.augment import Augmentation, augment
from specsearch.evaluation.analogues import AnalogueTask
from specsearch.evaluation.rivals import EntropyLibrary
from specsearch.search.similar import SearchSettings, SimilaritySearch
from specsearch.store.store import open_store

_QUERIES = 200
_EMBEDDING_NOISE = 0.1  # length of the random part added to a copy's unit embedding
_COPY = Augmentation(precursor_dropout=0.0, charge_dropout=0.0, max_peaks=255)
_NOTE = (
    "The library is the clean train library and perturbed copies of it: peaks dropped (20 %), m/z and "
    "intensity jittered; a copy's embedding is that of the original with noise, not computed anew."
)


def measure_speed(
    task: AnalogueTask, embedder: Embedder, embeddings: NDArray[np.float32], size: int
) -> dict[str, Any]:
    """Time per query of both searches over `size` spectra; binds the process to one core."""
    library = _repeated(task.library.inputs, embeddings, size)
    n_queries = len(task.queries.inputs)
    rows = np.unique(np.linspace(0, n_queries - 1, min(_QUERIES, n_queries)).astype(np.int64))
    queries = [task.queries.inputs[row] for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), embedder.card, library.inputs, library.embeddings)
        use_one_core()
        fused, engine = _fused(Path(folder), embedder, queries)
    rival = EntropyLibrary([item.peaks for item in library.inputs])
    hybrid = [timed(rival.search, item.peaks, "hybrid")[1] for item in queries]
    table = [
        {"search": "fused, whole query with embedding", **percentiles(fused)},
        {"search": "fused, engine calls", **percentiles(engine)},
        {"search": "ms_entropy hybrid", **percentiles(hybrid)},
    ]
    return {
        "library": len(library.inputs),
        "queries": len(queries),
        "note": _NOTE,
        "rows": table,
        "hybrid_over_fused": float(np.mean(hybrid) / np.mean(fused)),
        "hybrid_over_fused_engine": float(np.mean(hybrid) / np.mean(engine)),
    }


@dataclass(frozen=True, eq=False)
class _Library:
    inputs: list[TokenInput]
    embeddings: NDArray[np.float32]


def _repeated(inputs: list[TokenInput], embeddings: NDArray[np.float32], size: int) -> _Library:
    """The spectra themselves, then perturbed copies, until there are `size`."""
    generator = np.random.default_rng(0)
    source = np.arange(size) % len(inputs)
    items = [
        inputs[row] if number < len(inputs) else augment(inputs[row], _COPY, generator)
        for number, row in enumerate(source)
    ]
    repeated = embeddings[source]
    noise = generator.standard_normal(repeated.shape, dtype=np.float32)
    noise *= _EMBEDDING_NOISE / np.sqrt(repeated.shape[1])
    noise[: len(inputs)] = 0.0
    repeated = repeated + noise
    return _Library(items, repeated / np.linalg.norm(repeated, axis=1, keepdims=True))


def _fused(folder: Path, embedder: Embedder, queries: list[TokenInput]) -> tuple[list[float], list[float]]:
    """Seconds of each whole query, and of the engine calls in it."""
    with open_store(folder) as store, store.open(LIBRARY) as collection:
        clocked = TimedCollection(collection)
        search = SimilaritySearch([clocked], embedder, SearchSettings())
        return seconds_per_query(search, clocked, [as_spectrum(item, "query") for item in queries])
