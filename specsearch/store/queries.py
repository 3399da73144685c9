"""What is asked of a collection, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from specsearch.store.filters import Filter
from specsearch.store.points import SparseVector

QueryVector = NDArray[np.float32] | SparseVector


@dataclass(frozen=True, slots=True, eq=False)
class VectorQuery:
    """The points nearest to one vector.

    Parameters
    ----------
    vector_name : str
        One of `specsearch.store.schema.VectorName`.
    vector : numpy.ndarray of shape (embedding_size,) or SparseVector
        Dense for the embedding, sparse for the others. An empty sparse vector finds nothing.
    limit : int
        Most hits to return.
    filter : Filter, optional
    exact : bool, optional
        Compare with every matching point, or walk the graph; None lets the planner choose. Sparse
        searches are always exact.
    with_payload : bool
    """

    vector_name: str
    vector: QueryVector
    limit: int
    filter: Filter | None = None
    exact: bool | None = None
    with_payload: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class ScoreRequest:
    """The scores of given points against one vector.

    Parameters
    ----------
    vector_name, vector
        As in `VectorQuery`.
    point_ids : sequence of str
    """

    vector_name: str
    vector: QueryVector
    point_ids: Sequence[str]

    def aligned(self, found: Iterable[tuple[str, float]]) -> NDArray[np.float64]:
        """Scores in the order of `point_ids`; 0 where a sparse vector shares nothing, else NaN."""
        scores = dict(found)
        missing = 0.0 if isinstance(self.vector, SparseVector) else np.nan
        return np.array([scores.get(point_id, missing) for point_id in self.point_ids], dtype=np.float64)


class Hit(NamedTuple):
    """A point that was found; a larger score is better."""

    point_id: str
    score: float
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A point as stored.

    Parameters
    ----------
    point_id : str
    payload : dict
    embedding : numpy.ndarray of shape (embedding_size,), float32, or None
        None where vectors were not asked for. Stored as float16, so good to about three digits.
    peaks, losses : SparseVector
        Empty where missing or not asked for.
    """

    point_id: str
    payload: dict[str, Any]
    embedding: NDArray[np.float32] | None = None
    peaks: SparseVector = field(default_factory=SparseVector)
    losses: SparseVector = field(default_factory=SparseVector)


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """State of a collection.

    Parameters
    ----------
    name : str
    n_points, n_segments, n_indexed_vectors : int
    is_healthy : bool
        Whether the engine reports nothing wrong.
    detail : str
        The engine's own words about its state.
    next_step : str
        What to do about it; empty where nothing is to be done.
    is_settled : bool
        False while the engine works on its indexes, or is about to.
    were_files_compared : bool, optional
        Whether the files were what their last writer had left, when the library was opened; False where that
        writer never closed it, so that there was nothing to compare with, and None where files are not ours.
    """

    name: str
    n_points: int
    n_segments: int
    n_indexed_vectors: int
    is_healthy: bool
    detail: str
    next_step: str = ""
    is_settled: bool = True
    were_files_compared: bool | None = None


def best_first(hits: Iterable[Hit]) -> list[Hit]:
    """Sort by falling score; equal scores by point id, so that an answer repeats exactly."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.point_id))
