"""Open analogue search of clean test queries against the clean train library, beside rivals and controls."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.at_scale import measure_speed
from benchmarks.circumstances import write_result
from benchmarks.libraries import LIBRARY, as_spectrum, build
from benchmarks.massbank import embed, split_examples
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from specsearch.encoder.embedder import Embedder
from specsearch.evaluation.analogues import AnalogueBlock, AnalogueTask, analogue_task
from specsearch.evaluation.controls import (
    best_analogue,
    masked,
    nearest_precursor_analogue,
    random_analogue,
)
from specsearch.evaluation.direct_scores import ALL_VECTORS, DirectScores, Vectors
from specsearch.evaluation.intervals import estimate
from specsearch.evaluation.rivals import EntropyLibrary
from specsearch.search.fusion import FusionWeights, fuse
from specsearch.search.similar import SearchSettings, SimilaritySearch
from specsearch.store.schema import Key
from specsearch.store.store import open_store

_FUSED = "fused"
_WEIGHTS = {
    "sparse peaks": FusionWeights(embedding=0.0, losses=0.0),
    "sparse peaks + losses": FusionWeights(embedding=0.0),
    "embedding alone": FusionWeights(peaks=0.0, losses=0.0),
    _FUSED: FusionWeights(),
}
_LEAST_TANIMOTO = 0.37
_LEAST_SPEEDUP = 10.0
_CHECKED_ON_ENGINE = 50


def main() -> None:
    """Measure and write `analogues.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--cache", type=Path, help="folder outside the repository to keep embeddings in")
    parser.add_argument("--speed", action="store_true", help="also time fused and hybrid search at 200k")
    parser.add_argument("--speed-size", type=int, default=200_000, help="library of the speed comparison")
    asked = parser.parse_args()
    embedder = Embedder.load(asked.model)
    test = split_examples(asked.data, "test", asked.limit)
    task = analogue_task(test, split_examples(asked.data, "train", asked.limit))
    vectors = _vectors(task, embedder, asked.cache)
    found, top = _found(task, embedder, vectors)
    rows: list[dict[str, Any]] = [
        {"score": name, **estimate(f, task.queries.molecule).to_dict()} for name, f in found.items()
    ]
    print_table(f"Analogues: {len(task.queries.inputs)} queries, {len(task.library.inputs)} spectra", rows)
    mean = {row["score"]: row["mean"] for row in rows}
    bounds = {"fused, mean Tanimoto": verdict(mean[_FUSED], _LEAST_TANIMOTO, at_most=False)}
    figures: dict[str, Any] = {
        "queries": len(task.queries.inputs),
        "library": len(task.library.inputs),
        "weights": asdict(FusionWeights()),
        "rows": rows,
        "engine": _engine_agreement(task, embedder, vectors, found[_FUSED], top),
    }
    print_table("The same queries through the engine", [figures["engine"]])
    if asked.speed:
        figures["speed"] = speed = measure_speed(task, embedder, vectors[1].embedding, asked.speed_size)
        print_table("Speed", speed["rows"])
        bounds["hybrid / fused time"] = verdict(speed["hybrid_over_fused"], _LEAST_SPEEDUP, at_most=False)
    print_verdicts(bounds)
    write_result("analogues", asked, {**figures, "bounds": bounds}, embedder.card.digest)


def _vectors(task: AnalogueTask, embedder: Embedder, cache: Path | None) -> tuple[Vectors, Vectors]:
    """Vectors of the queries and of the library."""
    queries, library = (
        Vectors.of(part.inputs, embed(embedder, part.inputs, cache)) for part in (task.queries, task.library)
    )
    return queries, library


def _found(
    task: AnalogueTask, embedder: Embedder, vectors: tuple[Vectors, Vectors]
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """Similarity of each query's hit by every score, and the library rows that fused search put first."""
    queries, library = vectors
    direct, rivals = DirectScores(library), EntropyLibrary([item.peaks for item in task.library.inputs])
    masked_queries = embedder.embed_inputs([masked(item) for item in task.queries.inputs])
    masked_library = embedder.embed_inputs([masked(item) for item in task.library.inputs])
    found: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    top: list[NDArray[np.int64]] = []
    for block in task.blocks():
        for name, values in _controls(task, block).items():
            found[name].append(values)
        peaks = [item.peaks for item in task.queries.inputs[block.rows]]
        scored: dict[str, NDArray[Any]] = {
            "ms_entropy open search": np.stack([rivals.scores(query, "open") for query in peaks]),
            "ms_entropy hybrid search": np.stack([rivals.scores(query, "hybrid") for query in peaks]),
            "embedding, peaks masked in the query": masked_queries[block.rows] @ library.embedding.T,
            "embedding, peaks masked in both": masked_queries[block.rows] @ masked_library.T,
        }
        parts = direct(queries[block.rows])
        scored |= {name: fuse(parts, weights, ALL_VECTORS) for name, weights in _WEIGHTS.items()}
        for name, score in scored.items():
            found[name].append(block.judged(block.top(score)))
        top.append(block.top(scored[_FUSED]))
    return {name: np.concatenate(values) for name, values in found.items()}, np.concatenate(top)


def _controls(task: AnalogueTask, block: AnalogueBlock) -> dict[str, NDArray[np.float64]]:
    query_mz, library_mz = (
        np.array([item.peaks.precursor_mz for item in items], dtype=np.float64)
        for items in (task.queries.inputs[block.rows], task.library.inputs)
    )
    return {
        "random": random_analogue(block.similarity, block.allowed),
        "best possible": best_analogue(block.similarity, block.allowed),
        "nearest precursor": nearest_precursor_analogue(
            block.similarity, block.allowed, query_mz, library_mz
        ),
    }


def _engine_agreement(
    task: AnalogueTask,
    embedder: Embedder,
    vectors: tuple[Vectors, Vectors],
    tanimoto: NDArray[np.float64],
    top: NDArray[np.int64],
) -> dict[str, float]:
    """How often `SimilaritySearch` puts first what the matrix products do, and what that changes."""
    n_queries = len(task.queries.inputs)
    asked = np.unique(np.linspace(0, n_queries - 1, min(_CHECKED_ON_ENGINE, n_queries)).astype(np.int64))
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), embedder.card, task.library.inputs, vectors[1].embedding)
        with open_store(folder) as store, store.open(LIBRARY) as collection:
            search = SimilaritySearch([collection], embedder, SearchSettings(top=1))
            spectra = [as_spectrum(task.queries.inputs[row], str(row)) for row in asked]
            rows = [int(answer.hits[0].payload[Key.ACCESSION]) for answer in search.search(spectra)]
    molecule = task.library.molecule
    checked = AnalogueTask(task.queries.only(asked), task.library)
    similarity = next(checked.blocks(len(asked))).judged(np.array(rows))
    return {
        "queries": len(asked),
        "same_spectrum": float(np.mean(rows == top[asked])),
        "same_molecule": float(np.mean(molecule[rows] == molecule[top[asked]])),
        "mean_tanimoto_engine": float(similarity.mean()),
        "mean_tanimoto_direct": float(tanimoto[asked].mean()),
    }


if __name__ == "__main__":
    main()
