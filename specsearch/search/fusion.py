"""How the scores of the three vectors become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from specsearch.store.schema import VectorName

By = Literal["fused", "embedding", "peaks"]


@dataclass(frozen=True)
class FusionWeights:
    """Weight of each vector's score; the defaults were fitted on val by ``benchmarks/fusion_weights.py``.

    Parameters
    ----------
    embedding, peaks, losses : float
    """

    embedding: float = 0.75
    peaks: float = 1.0
    losses: float = 0.75

    def by_vector(self) -> dict[str, float]:
        """Weight by vector name, the vectors of weight zero left out."""
        weights = {
            VectorName.EMBEDDING: self.embedding,
            VectorName.PEAKS: self.peaks,
            VectorName.LOSSES: self.losses,
        }
        return {name: weight for name, weight in weights.items() if weight}


FUSIONS: dict[str, FusionWeights] = {
    "fused": FusionWeights(),
    "embedding": FusionWeights(peaks=0.0, losses=0.0),
    "peaks": FusionWeights(embedding=0.0),
}


def fuse(
    scores: Mapping[str, NDArray[np.float64]], weights: FusionWeights, asked: frozenset[str]
) -> NDArray[np.float64]:
    """Weighted mean of the scores over the vectors that the query has.

    Parameters
    ----------
    scores : mapping of vector name to numpy.ndarray of shape (n_candidates,)
    weights : FusionWeights
    asked : frozenset of str
        Vectors that the query has: one without a precursor has no losses, and should not pay for that.

    Returns
    -------
    numpy.ndarray of shape (n_candidates,)
        1 for a spectrum equal to the query.
    """
    used = {name: weight for name, weight in weights.by_vector().items() if name in asked}
    total = sum(used.values())
    return np.sum([weight * scores[name] for name, weight in used.items()], axis=0) / total
