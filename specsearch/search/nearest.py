"""Nearest rows: candidates for each row of a block, among all rows, by embedding and by peaks.

Below a measured size by comparing with everything, above it by graphs (hnswlib). Everything here is
repeatable: a graph is filled by one thread in a fixed order, and it is two graphs that fill two cores.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import hnswlib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.random_projection import SparseRandomProjection
from sparse_dot_topn import sp_matmul_topn

Rows = NDArray[np.int64]

# Measured by benchmarks/graph.py: below, building a graph costs more than comparing with everything.
DENSE_EXACT_BELOW = 10_000
_SCORES_BYTES = 2**27  # of one block of the score matrix
_N_SHARDS = 2
# On 71,621 real embeddings lists of 32 by each of two graphs hold 0.984 of the nearest 20 with these, with
# 96 axes 0.969, and with 96 axes, m=12, ef_construction=40 0.959 in three quarters of the time.
_N_AXES = 128
_M, _EF_CONSTRUCTION = 16, 60
_EF_FACTOR = 2
_AXES_SAMPLE = 50_000
_N_SKETCH = 256
_SKETCH_BLOCK = 20_000


class Finder(Protocol):
    """Finds candidates among the rows it was made with; the row itself may be among them."""

    def find(self, queries: Rows) -> tuple[Rows, Rows]:
        """Pairs (query row, candidate row)."""
        ...


class ExactFinder:
    """The `k` largest dot products, by blocked matrix multiplication (on a GPU where there is one).

    Parameters
    ----------
    vectors : numpy.ndarray of shape (n_rows, size), float32
        Of all rows.
    targets : numpy.ndarray of shape (n_targets,)
        Rows that may be found.
    k : int
    """

    def __init__(self, vectors: NDArray[np.float32], targets: Rows, k: int) -> None:
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._vectors = vectors
        self._targets = targets
        self._columns = torch.from_numpy(vectors[targets]).to(self._device).T
        self._k = min(k, len(targets))

    def find(self, queries: Rows) -> tuple[Rows, Rows]:
        block = max(1, _SCORES_BYTES // (4 * max(1, len(self._targets))))
        places = [
            self._nearest(self._vectors[queries[start : start + block]])
            for start in range(0, len(queries), block)
        ]
        found = self._targets[np.concatenate(places)] if places else np.empty((0, self._k), np.int64)
        return np.repeat(queries, self._k), found.ravel()

    def _nearest(self, block: NDArray[np.float32]) -> NDArray[np.int64]:
        scores = torch.from_numpy(block).to(self._device) @ self._columns
        places: NDArray[np.int64] = torch.topk(scores, self._k).indices.cpu().numpy()
        return places


class GraphFinder:
    """About the `k` largest dot products, by hnswlib; the caller scores exactly.

    Parameters
    ----------
    points : numpy.ndarray of shape (n_rows, n_axes), float32
        Of all rows, on few axes: see `principal` and `sketch`.
    targets : numpy.ndarray of shape (n_targets,)
    k : int
    """

    def __init__(self, points: NDArray[np.float32], targets: Rows, k: int) -> None:
        self._points = points
        # A list's best may gather in one graph, so each gives more than its share.
        self._per_graph = k // _N_SHARDS + k // 8 + 1
        with ThreadPoolExecutor(_N_SHARDS) as pool:
            self._graphs = list(pool.map(self._graph, [targets[i::_N_SHARDS] for i in range(_N_SHARDS)]))

    def _graph(self, rows: Rows) -> hnswlib.Index:
        graph = hnswlib.Index("ip", self._points.shape[1])
        graph.init_index(max(1, len(rows)), M=_M, ef_construction=_EF_CONSTRUCTION, random_seed=0)
        graph.add_items(self._points[rows], rows, num_threads=1)
        graph.set_ef(_EF_FACTOR * self._per_graph)
        return graph

    def find(self, queries: Rows) -> tuple[Rows, Rows]:
        n_threads = os.cpu_count() or 1
        lists = []
        for graph in self._graphs:
            k = min(self._per_graph, graph.element_count)
            labels, _ = graph.knn_query(self._points[queries], k=k, num_threads=n_threads)
            lists.append(labels.astype(np.int64))
        found = np.hstack(lists)
        return np.repeat(queries, found.shape[1]), found.ravel()


class SparseFinder:
    """The `k` largest dot products of sparse rows, exactly, by an inverted index on all cores.

    The store has such an index too; its embedded engine asks it on one core, query by query.

    Parameters
    ----------
    matrix : scipy.sparse.csr_matrix of shape (n_rows, n_bins), float32
    targets : numpy.ndarray of shape (n_targets,)
    k : int
    """

    def __init__(self, matrix: csr_matrix, targets: Rows, k: int) -> None:
        self._matrix = matrix
        self._targets = targets
        self._index = matrix[targets].T.tocsr()
        self._k = min(k, len(targets))

    def find(self, queries: Rows) -> tuple[Rows, Rows]:
        n_threads = os.cpu_count() or 1
        found = sp_matmul_topn(
            self._matrix[queries], self._index, top_n=self._k, threshold=0.0, n_threads=n_threads
        )
        return np.repeat(queries, np.diff(found.indptr)), self._targets[found.indices]


def dense_finder(vectors: NDArray[np.float32], targets: Rows, k: int) -> Finder:
    """The finder by embedding that is quicker at this number of targets."""
    if len(targets) < DENSE_EXACT_BELOW:
        return ExactFinder(vectors, targets, k)
    return GraphFinder(principal(vectors), targets, k)


def principal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows on their principal axes, which keep most of the dot products; shape (n_rows, n_axes)."""
    return vectors @ _principal_axes(vectors, min(_N_AXES, vectors.shape[1]))


def sketch(vectors: NDArray[np.float32], weight: float, matrix: csr_matrix) -> NDArray[np.float32]:
    """Embedding and sparse rows as one short vector, whose dot products are about the fused scores.

    Postings grow with the library, so looking every spectrum up in them grows with its square. Here the
    sparse rows are projected at random onto a few axes (Achlioptas, J. Comput. Syst. Sci. 66, 671 (2003)),
    laid beside the embedding's principal axes: lists of 100 hold 0.96 of the fused nearest 20.

    Parameters
    ----------
    vectors : numpy.ndarray of shape (n_rows, size), float32
    weight : float
        Of the embedding beside the sparse rows' own scale.
    matrix : scipy.sparse.csr_matrix of shape (n_rows, n_bins), float32
    """
    axes = SparseRandomProjection(_N_SKETCH, density=1 / 3, random_state=0).fit(matrix[:1]).components_.T
    axes = axes.astype(np.float32).tocsr()
    points = np.empty((len(vectors), _N_SKETCH + min(_N_AXES, vectors.shape[1])), dtype=np.float32)
    points[:, _N_SKETCH:] = np.sqrt(weight) * principal(vectors)
    for start in range(0, len(vectors), _SKETCH_BLOCK):
        span = slice(start, start + _SKETCH_BLOCK)
        points[span, :_N_SKETCH] = (matrix[span] @ axes).toarray()
    return points


def _principal_axes(vectors: NDArray[np.float32], n_axes: int) -> NDArray[np.float32]:
    """Axes that keep most of the dot products, shape (size, n_axes); from evenly drawn rows."""
    step = max(1, len(vectors) // _AXES_SAMPLE)
    sample = vectors[::step]
    _, axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    return np.ascontiguousarray(axes[:, ::-1][:, :n_axes], dtype=np.float32)
