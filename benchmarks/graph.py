"""The neighbour graph: time, memory and recall at several sizes, beside blocked matrix multiplication.

Each size in a process of its own. Above the real library's size its spectra are repeated and perturbed
(SYNTHETIC: peaks dropped and jittered in the sparse rows, noise on embeddings and precursors).
Needs a library: ``specsearch index massbank.parquet --library massbank --store FOLDER``.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.circumstances import write_result
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from specsearch.search.graph import GraphSettings, Kind, edge_table, find_edges
from specsearch.search.nearest import ExactFinder, Rows, dense_finder
from specsearch.search.pair_scores import dense_dots, score_pairs
from specsearch.search.snapshot import Snapshot, read_snapshot
from specsearch.store.store import open_store

_K = 20
_SIZES = (10_000, 30_000, 71_621, 500_000)
_SAMPLE = 500  # spectra whose fused neighbours are also found by scoring everything
_NOISE, _DROPPED, _JITTER, _PPM = 0.1, 0.2, 0.2, 5e-6


def sized(snapshot: Snapshot, size: int) -> Snapshot:
    """A sample of the library, or the library and perturbed copies of it."""
    rng = np.random.default_rng(0)
    if size <= len(snapshot):
        return snapshot.part(np.sort(rng.choice(len(snapshot), size, replace=False)))
    rows = np.arange(size) % len(snapshot)
    is_copy = np.arange(size) >= len(snapshot)
    made = snapshot.part(rows)
    noise = rng.normal(size=made.embeddings.shape).astype(np.float32)
    noise *= is_copy[:, None] * np.float32(_NOISE) / np.linalg.norm(noise, axis=1, keepdims=True)
    embeddings = made.embeddings + noise
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    names = pa.array([f"{name}#{i}" for i, name in enumerate(made.point_ids)])
    return replace(
        made,
        embeddings=embeddings,
        sparse=_perturbed(made.sparse, is_copy, rng),
        precursor_mz=made.precursor_mz * (1 + is_copy * rng.normal(0, _PPM, size)),
        table=made.table.set_column(made.table.schema.get_field_index("point_id"), "point_id", names),
    )


def _perturbed(matrix: csr_matrix, is_copy: NDArray[np.bool_], rng: np.random.Generator) -> csr_matrix:
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    factor = (rng.random(len(row)) > _DROPPED) * rng.lognormal(0, _JITTER, len(row))
    values = matrix.data * np.where(is_copy[row], factor, 1.0).astype(np.float32)
    norm = np.sqrt(np.bincount(row, matrix.data**2) / np.maximum(np.bincount(row, values**2), 1e-12))
    made = csr_matrix(((values * norm[row]).astype(np.float32), matrix.indices, matrix.indptr), matrix.shape)
    made.eliminate_zeros()
    return made


def measure(store: Path, library: str, size: int, exact: bool) -> dict[str, Any]:
    """One size: seconds of each step, peak memory, recall."""
    with open_store(store) as opened, opened.open(library) as collection:
        began = time.perf_counter()
        snapshot = read_snapshot(collection)
        figures: dict[str, Any] = {"spectra": size, "read_s": time.perf_counter() - began}
    if size != len(snapshot):
        snapshot = sized(snapshot, size)
    settings, rows = GraphSettings(_K), np.arange(size)
    find_edges(snapshot, settings, Kind.EVERYWHERE, rows[:100], rows[:2000], lambda n: None)  # compiles
    figures |= _dense(snapshot, exact)
    for kind in Kind:
        began = time.perf_counter()
        edges = find_edges(snapshot, settings, kind, rows, rows, lambda n: None)
        figures[f"{kind.value}_s"] = time.perf_counter() - began
        if kind is Kind.EVERYWHERE:
            figures["fused_recall"] = _fused_recall(snapshot, edges.source, edges.score)
        began = time.perf_counter()
        edge_table(snapshot, kind, edges)
        figures["rescoring_s"] = figures.get("rescoring_s", 0.0) + time.perf_counter() - began
        del edges
    figures["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return figures


def _dense(snapshot: Snapshot, exact: bool) -> dict[str, float]:
    """Neighbours by embedding alone: by hnswlib and exact scores, and by blocked matrix multiplication."""
    seconds = {"dense_s": 0.0, "blocked_s": 0.0}
    n_found = n_asked = 0
    for group in np.unique(snapshot.groups):
        members = np.flatnonzero(snapshot.groups == group)
        began = time.perf_counter()
        source, target = dense_finder(snapshot.embeddings, members, 2 * _K + 10).find(members)
        score = dense_dots(snapshot.embeddings, source, target)
        score[source == target] = -np.inf
        ours = -np.sort(-score.reshape(len(members), -1), axis=1)[:, :_K]
        seconds["dense_s"] += time.perf_counter() - began
        if not exact:
            continue
        began = time.perf_counter()
        source, target = ExactFinder(snapshot.embeddings, members, _K + 1).find(members)
        seconds["blocked_s"] += time.perf_counter() - began
        score = dense_dots(snapshot.embeddings, source, target)
        score[source == target] = -np.inf
        theirs = -np.sort(-score.reshape(len(members), -1), axis=1)[:, :_K]
        n_found += int((ours >= theirs[:, -1:] - 1e-5).sum())
        n_asked += ours.size
    return {**seconds, "recall": n_found / n_asked} if n_asked else {"dense_s": seconds["dense_s"]}


def _fused_recall(snapshot: Snapshot, source: Rows, score: NDArray[np.float32]) -> float:
    """Share of the truly best 20 found, on spectra drawn evenly, by scoring all pairs of theirs."""
    asked = np.linspace(0, len(snapshot) - 1, _SAMPLE).astype(np.int64)
    n_found = n_true = 0
    for row in asked:
        others = np.flatnonzero(snapshot.groups == snapshot.groups[row])
        others = others[others != row]
        true = np.sort(score_pairs(snapshot, np.full(len(others), row), others).score)[::-1][:_K]
        ours = score[source == row]
        n_found += int((ours >= true[-1] - 1e-5).sum())
        n_true += len(true)
    return n_found / n_true


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--store", type=Path, required=True, help="store with the library")
    parser.add_argument("--library", default="massbank")
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES)
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            job = (options.store, options.library, size, size <= 100_000)
            rows.append(pool.apply(measure, job))
        print_table(f"{size:,} spectra", rows[-1:])
    real = [row for row in rows if "recall" in row][-1]
    bounds = {
        "recall by embedding": verdict(real["recall"], 0.98, at_most=False),
        "blocked matmul / ours": verdict(real["blocked_s"] / real["dense_s"], 5.0, at_most=False),
        "peak memory (GB)": verdict(real["peak_gb"], 2.0, at_most=True),
    }
    print_verdicts(bounds)
    write_result("graph", options, {"rows": rows, "bounds": bounds})


if __name__ == "__main__":
    main()
