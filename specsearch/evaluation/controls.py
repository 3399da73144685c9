"""Controls: what chance, the library's limit, and the precursor alone would score.

A result means something only beside them; ranking by mass alone beats published models on public tracks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.tokens import TokenInput
from specsearch.spectra.cleaning import Peaks


def random_analogue(similarity: NDArray[np.floating], allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Expected similarity of an allowed library spectrum drawn at random, for each query.

    Parameters
    ----------
    similarity : numpy.ndarray of shape (n_queries, n_library)
        Structural similarity to each library spectrum's molecule.
    allowed : numpy.ndarray of shape (n_queries, n_library), bool
        At least one in each row.

    Returns
    -------
    numpy.ndarray of shape (n_queries,)
    """
    return np.asarray(np.mean(similarity, axis=1, where=allowed, dtype=np.float64))


def best_analogue(similarity: NDArray[np.floating], allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The highest similarity that any allowed library spectrum has; shapes as in `random_analogue`."""
    return np.where(allowed, similarity, -np.inf).max(axis=1).astype(np.float64)


def nearest_precursor_analogue(
    similarity: NDArray[np.floating],
    allowed: NDArray[np.bool_],
    query_mz: NDArray[np.float64],
    library_mz: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Expected similarity of the allowed spectrum nearest in precursor m/z, ties drawn at random.

    Parameters
    ----------
    similarity, allowed
        As in `random_analogue`.
    query_mz : numpy.ndarray of shape (n_queries,)
        Precursor m/z.
    library_mz : numpy.ndarray of shape (n_library,)

    Returns
    -------
    numpy.ndarray of shape (n_queries,)
    """
    distance = np.where(allowed, np.abs(query_mz[:, None] - library_mz[None, :]), np.inf)
    nearest = distance == distance.min(axis=1, keepdims=True)
    return random_analogue(similarity, nearest)


def masked(item: TokenInput) -> TokenInput:
    """The spectrum with its peaks withheld: the encoder sees the precursor and the charge alone."""
    return TokenInput(Peaks(np.empty(0), np.empty(0), item.peaks.precursor_mz), item.charge_sign)
