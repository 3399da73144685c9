"""A library on two axes, by UMAP of its embeddings (McInnes et al., J. Open Source Softw. 3, 861 (2018))."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MIN_ROWS = 4  # below, UMAP has no neighbourhoods to lay out
_N_NEIGHBOURS = 15


def lay_out(embeddings: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """Places of spectra on a plane, near where their embeddings are near; the same for the same input.

    Parameters
    ----------
    embeddings : numpy.ndarray of shape (n_spectra, size), float32
        Unit norm.
    seed : int

    Returns
    -------
    numpy.ndarray of shape (n_spectra, 2), float32
        A map keeps neighbourhoods; its distances and empty spaces mean nothing.
    """
    n_rows = len(embeddings)
    if n_rows < _MIN_ROWS:
        return np.column_stack([np.arange(n_rows), np.zeros(n_rows)]).astype(np.float32)
    from umap import UMAP

    reducer = UMAP(
        n_neighbors=min(_N_NEIGHBOURS, n_rows - 1),
        metric="cosine",
        random_state=seed,
        init="pca" if n_rows < 50 else "spectral",
        n_jobs=1,
    )
    places: NDArray[np.float32] = reducer.fit_transform(embeddings).astype(np.float32)
    return places
