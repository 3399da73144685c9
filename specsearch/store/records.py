"""From what an engine gives back to a record: the embedded engine and a server's client say it alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from specsearch.store.payload import unpack_payload
from specsearch.store.points import SparseVector
from specsearch.store.queries import Record
from specsearch.store.schema import VectorName


def read_record(found: Any) -> Record:
    """A point as stored.

    Parameters
    ----------
    found : object with ``id``, ``payload`` and ``vector``
        A record of `qdrant_edge` or of `qdrant_client`; vectors by name, where they were asked for.

    Raises
    ------
    StoreDamaged
        If its payload makes no sense.
    """
    vectors = found.vector or {}
    dense = vectors.get(VectorName.EMBEDDING)
    return Record(
        str(found.id),
        unpack_payload(found.payload),
        None if dense is None else np.asarray(dense, dtype=np.float32),
        _read_sparse(vectors.get(VectorName.PEAKS)),
        _read_sparse(vectors.get(VectorName.LOSSES)),
    )


def _read_sparse(vector: Any) -> SparseVector:
    if vector is None:
        return SparseVector()
    return SparseVector(np.asarray(vector.indices, np.uint32), np.asarray(vector.values, np.float32))
