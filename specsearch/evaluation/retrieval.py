"""Judging what was retrieved: the best row, its structure, and what was missed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_allowed(score: NDArray[np.floating], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Row of the best allowed library spectrum for each query; the first among equals.

    Parameters
    ----------
    score : numpy.ndarray of shape (n_queries, n_library)
    allowed : numpy.ndarray of shape (n_queries, n_library), bool
        At least one in each row.

    Returns
    -------
    numpy.ndarray of shape (n_queries,), int64
    """
    return np.where(allowed, score, -np.inf).argmax(axis=1)


def tanimoto_matrix(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Tanimoto similarity of every pair of fingerprints: bits shared over bits set in either.

    Parameters
    ----------
    one : numpy.ndarray of shape (n, n_bits), uint8
        Zeros and ones.
    other : numpy.ndarray of shape (m, n_bits), uint8

    Returns
    -------
    numpy.ndarray of shape (n, m), float32
        0 where neither has a bit set.
    """
    # Counts up to 2**24 are exact in float32, whose product runs at the speed of the machine.
    left, right = one.astype(np.float32), other.astype(np.float32)
    shared = left @ right.T
    either = left.sum(axis=1)[:, None] + right.sum(axis=1)[None, :] - shared
    return shared / np.maximum(either, 1.0)


def recall(found: NDArray[np.floating], best: NDArray[np.floating], *, slack: float = 1e-6) -> float:
    """Share of the places of an exact answer that an approximate one fills as well.

    Counted by score, not by name: libraries repeat spectra, and either of two equals is right.

    Parameters
    ----------
    found : numpy.ndarray of shape (n_found,)
        True scores of the distinct points that were found.
    best : numpy.ndarray of shape (k,)
        The k best true scores; k at least one.
    slack : float
        Two scores this close are equal.
    """
    good = int(np.sum(np.asarray(found) >= np.min(best) - slack))
    return min(good, len(best)) / len(best)
