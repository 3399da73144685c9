"""Checks that every point and query passes before an engine sees it.

The engines accept NaN, infinity and zero vectors, and apply a batch with one wrong dimension in part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.errors import StoreError
from specsearch.store.points import Point, SparseVector
from specsearch.store.queries import ScoreRequest, VectorQuery
from specsearch.store.schema import SPARSE_VECTORS, Contract, Key, Layout, VectorName

UNIT_NORM_TOLERANCE = 1e-3


def require_valid(points: Sequence[Point], contract: Contract) -> None:
    """Raise unless a batch can be written whole.

    Parameters
    ----------
    points : sequence of Point
        One batch.
    contract : Contract
        Of the collection it goes to.

    Raises
    ------
    StoreError
        Naming the first point at fault and what is wrong with it.
    """
    if not points:
        return
    _require_distinct(points)
    for point in points:
        if point.embedding.shape != (contract.embedding_size,):
            _refuse(point, f"embedding of shape {point.embedding.shape}, not ({contract.embedding_size},)")
    _require_unit_embeddings(points)
    _require_sparse(points, [point.peaks for point in points], VectorName.PEAKS)
    _require_sparse(points, [point.losses for point in points], VectorName.LOSSES)
    _require_payloads(points, contract.layout)


def _require_distinct(points: Sequence[Point]) -> None:
    seen: set[str] = set()
    for point in points:
        if point.point_id in seen:
            _refuse(point, "twice in one batch")
        seen.add(point.point_id)


def _require_unit_embeddings(points: Sequence[Point]) -> None:
    embeddings = np.stack([point.embedding for point in points]).astype(np.float64)
    norm = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
    wrong = np.flatnonzero(~(np.abs(norm - 1.0) <= UNIT_NORM_TOLERANCE))  # NaN counts as wrong
    if len(wrong):
        _refuse(points[wrong[0]], f"embedding of norm {norm[wrong[0]]:g}, not 1")


def _require_sparse(points: Sequence[Point], vectors: Sequence[SparseVector], name: str) -> None:
    """Check the ragged rows as one flat array; `row` says which vector a place belongs to."""
    for point, vector in zip(points, vectors, strict=True):
        if vector.indices.ndim != 1 or vector.indices.shape != vector.values.shape:
            _refuse(point, f"{name} with {vector.indices.shape} indices and {vector.values.shape} values")
        if vector.indices.dtype != np.uint32:
            _refuse(point, f"{name} with indices of type {vector.indices.dtype}, not uint32")
    row = np.repeat(np.arange(len(vectors)), [len(vector) for vector in vectors])
    indices = np.concatenate([vector.indices for vector in vectors]).astype(np.int64)
    values = np.concatenate([vector.values for vector in vectors])
    unsorted = (np.diff(indices) <= 0) & (np.diff(row) == 0)
    if unsorted.any():
        _refuse(points[row[np.argmax(unsorted)]], f"{name} indices not ascending and unique")
    if not np.isfinite(values).all():
        _refuse(points[row[np.argmin(np.isfinite(values))]], f"{name} values not finite")


def _require_payloads(points: Sequence[Point], layout: Layout) -> None:
    for point in points:
        for key in layout.required:
            if not point.payload.get(key):
                _refuse(point, f"no {key} in the payload")
        for key in layout.float_indexes:
            value = point.payload.get(key)
            if value is not None and not (isinstance(value, float) and np.isfinite(value)):
                _refuse(point, f"{key} is {value!r}")


def _refuse(point: Point, reason: str) -> None:
    name = point.payload.get(Key.SPECTRUM_ID) or point.point_id
    raise StoreError(f"The point {name!r} cannot be stored: {reason}. Nothing of its batch was written.")


def require_query(query: VectorQuery | ScoreRequest, contract: Contract) -> None:
    """Raise unless a query's vector fits the collection.

    Raises
    ------
    StoreError
        If the vector is unknown, of another length, not finite or zero, or the limit is below 1.
    """
    if isinstance(query, VectorQuery) and query.limit < 1:
        raise StoreError(f"A query's limit is {query.limit}; it must be at least 1.")
    if isinstance(query.vector, SparseVector):
        _require_sparse_query(query.vector, query.vector_name)
    else:
        _require_dense_query(query.vector, query.vector_name, contract)


def _require_dense_query(vector: NDArray[Any], name: str, contract: Contract) -> None:
    if name != VectorName.EMBEDDING:
        raise StoreError(f"{name!r} is not a dense vector of a library.")
    if vector.shape != (contract.embedding_size,):
        raise StoreError(
            f"A query of shape {vector.shape}; the library holds {contract.embedding_size} values."
        )
    if not (np.isfinite(vector).all() and vector.any()):
        raise StoreError("A query's embedding is zero or not finite.")


def _require_sparse_query(vector: SparseVector, name: str) -> None:
    if name not in SPARSE_VECTORS:
        raise StoreError(f"{name!r} is not a sparse vector of a library.")
    if vector.indices.shape != vector.values.shape or not np.isfinite(vector.values).all():
        raise StoreError(f"A query's {name} vector is not finite or its arrays differ in length.")
    if vector.indices.dtype != np.uint32 or np.any(vector.indices[1:] <= vector.indices[:-1]):
        raise StoreError(f"A query's {name} indices are not ascending and unique uint32.")
