"""The three vectors' scores by plain matrix products: what the engine should say, without the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from specsearch.encoder.tokens import TokenInput
from specsearch.spectra.binned import SparseRows, bin_spectra
from specsearch.store.schema import VectorName

# A query without losses scores 0 there against everything, which leaves the ranks as they are.
ALL_VECTORS = frozenset({VectorName.EMBEDDING, VectorName.PEAKS, VectorName.LOSSES})


@dataclass(frozen=True, eq=False)
class Vectors:
    """The vectors of some spectra.

    Parameters
    ----------
    embedding : numpy.ndarray of shape (n_spectra, size), float32
    peaks, losses : scipy.sparse.csr_matrix of shape (n_spectra, n_bins)
    """

    embedding: NDArray[np.float32]
    peaks: Any
    losses: Any

    @classmethod
    def of(cls, inputs: Sequence[TokenInput], embedding: NDArray[np.float32]) -> Vectors:
        """Bin prepared spectra and put the result beside their embeddings."""
        peaks, losses = bin_spectra([item.peaks for item in inputs])
        return cls(embedding, _matrix(peaks), _matrix(losses))

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Vectors:
        return Vectors(self.embedding[rows], self.peaks[rows], self.losses[rows])


class DirectScores:
    """Scores of any queries against one library.

    Parameters
    ----------
    library : Vectors
    """

    def __init__(self, library: Vectors) -> None:
        self._embedding = library.embedding.T
        # Transposed once: scipy would do so again at every product.
        self._peaks, self._losses = library.peaks.T.tocsr(), library.losses.T.tocsr()

    def __call__(self, queries: Vectors) -> dict[str, NDArray[Any]]:
        """Scores by vector name, each of shape (n_queries, n_library)."""
        return {
            VectorName.EMBEDDING: queries.embedding @ self._embedding,
            VectorName.PEAKS: (queries.peaks @ self._peaks).toarray(),
            VectorName.LOSSES: (queries.losses @ self._losses).toarray(),
        }


def _matrix(rows: SparseRows) -> Any:
    n_bins = 1 << 19  # above the highest bin: 5000 Da in steps of 0.02
    return csr_matrix((rows.values, rows.indices.astype(np.int32), rows.offsets), shape=(len(rows), n_bins))
