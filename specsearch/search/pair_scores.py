"""Scores of given pairs of a library's spectra: fused as in search, and exact."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from specsearch.search.nearest import Rows
from specsearch.search.snapshot import Snapshot
from specsearch.spectra.pair_similarity import entropy_similarities, modified_cosines

_DENSE_BLOCK = 100_000  # pairs whose embeddings are gathered at a time


@dataclass(frozen=True, eq=False)
class PairScores:
    """Scores that decide who is a neighbour; arrays of shape (n_pairs,).

    Parameters
    ----------
    score : float32
        Fused as in search: divided by the weights of the vectors that the source has.
    embedding : float32
        Cosine of the embeddings.
    fragments : float32
        Weighted sum of the scores of peaks and losses, of at most 1.
    """

    score: NDArray[np.float32]
    embedding: NDArray[np.float32]
    fragments: NDArray[np.float32]


def score_pairs(snapshot: Snapshot, sources: Rows, targets: Rows) -> PairScores:
    """Fused scores of pairs of rows."""
    embedding = dense_dots(snapshot.embeddings, sources, targets)
    fragments = fragment_scores(snapshot, sources, targets)
    fusion = snapshot.fusion
    together = fusion.embedding * embedding + (fusion.peaks + fusion.losses) * fragments
    fused = together / snapshot.weight[sources]
    return PairScores(fused.astype(np.float32), embedding, fragments)


def fragment_scores(snapshot: Snapshot, sources: Rows, targets: Rows) -> NDArray[np.float32]:
    """Weighted mean of the scores of peaks and losses of pairs of rows; shape (n_pairs,)."""
    matrix, fusion = snapshot.sparse, snapshot.fusion
    dots = _sparse_dots(matrix.indptr, matrix.indices, matrix.data, sources, targets)
    mean: NDArray[np.float32] = (dots / (fusion.peaks + fusion.losses)).astype(np.float32)
    return mean


def dense_dots(vectors: NDArray[np.float32], sources: Rows, targets: Rows) -> NDArray[np.float32]:
    """Dot product of each pair of rows, in blocks."""
    dots = np.empty(len(sources), dtype=np.float32)
    for start in range(0, len(sources), _DENSE_BLOCK):
        span = slice(start, start + _DENSE_BLOCK)
        dots[span] = np.einsum("ij,ij->i", vectors[sources[span]], vectors[targets[span]])
    return dots


@numba.njit(parallel=True, cache=True, nogil=True)
def _sparse_dots(indptr, indices, values, sources, targets):  # type: ignore[no-untyped-def] # pragma: no cover
    """Dot product of each pair of rows whose indices are ascending."""
    dots = np.zeros(len(sources), dtype=np.float64)
    for i in numba.prange(len(sources)):
        a, a_end = indptr[sources[i]], indptr[sources[i] + 1]
        b, b_end = indptr[targets[i]], indptr[targets[i] + 1]
        total = 0.0
        while a < a_end and b < b_end:
            if indices[a] == indices[b]:
                total += values[a] * values[b]
                a += 1
                b += 1
            elif indices[a] < indices[b]:
                a += 1
            else:
                b += 1
        dots[i] = total
    return dots


@dataclass(frozen=True, eq=False)
class ExactScores:
    """Rescoring by the peaks themselves; arrays of shape (n_pairs,).

    Parameters
    ----------
    entropy_similarity, modified_cosine : float32
        0..1.
    n_matched : int16
        Pairs of peaks behind the modified cosine.
    """

    entropy_similarity: NDArray[np.float32]
    modified_cosine: NDArray[np.float32]
    n_matched: NDArray[np.int16]


def rescore_pairs(snapshot: Snapshot, sources: Rows, targets: Rows) -> ExactScores:
    """Exact scores of pairs of rows."""
    cosine, n_matched = modified_cosines(snapshot.peaks, snapshot.precursor_mz, sources, targets)
    return ExactScores(entropy_similarities(snapshot.weighted_peaks, sources, targets), cosine, n_matched)
