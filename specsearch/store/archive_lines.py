"""A point as one line of JSON, to the last bit, and back.

Numbers of vectors are base64 of their little-endian bytes: the embedding as float16, which is how it is
stored, a sparse vector as all indices (uint32), then all values (float32).
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.errors import StoreDamaged
from specsearch.store.digest import sparse_bytes
from specsearch.store.points import SparseVector
from specsearch.store.queries import Record
from specsearch.store.schema import VectorName

_SPARSE_BYTES = 8  # of a value and its index
_ENCODER = json.JSONEncoder(separators=(",", ":"))


def write_line(record: Record) -> bytes:
    """The line of a point that was read with its vectors.

    Raises
    ------
    StoreDamaged
        If it has no embedding.
    """
    if record.embedding is None:
        raise StoreDamaged(f"The point {record.point_id} has no embedding.", "Index the library again.")
    values = {
        "id": record.point_id,
        "payload": record.payload,
        VectorName.EMBEDDING: _text(record.embedding.astype("<f2").tobytes()),
        VectorName.PEAKS: _text(sparse_bytes(record.peaks)),
        VectorName.LOSSES: _text(sparse_bytes(record.losses)),
    }
    return _ENCODER.encode(values).encode("ascii") + b"\n"


def read_line(line: bytes) -> Record:
    """Undo `write_line`; whether the vectors make sense is the store's to check.

    Raises
    ------
    StoreDamaged
        If it is not such a line.
    """
    try:
        values = json.loads(line)
        payload = dict(values["payload"])
        json.dumps(payload, ensure_ascii=False).encode()  # half a surrogate pair is no text
        return Record(
            str(uuid.UUID(values["id"])),
            payload,
            _numbers(values[VectorName.EMBEDDING], "<f2").astype(np.float32),
            _sparse(values[VectorName.PEAKS]),
            _sparse(values[VectorName.LOSSES]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreDamaged("A line of the archive is not a point.") from error


def _text(values: bytes) -> str:
    return base64.b64encode(values).decode("ascii")


def _numbers(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(_bytes(text), dtype=kind)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _sparse(text: str) -> SparseVector:
    raw = _bytes(text)
    if len(raw) % _SPARSE_BYTES:
        raise ValueError("half a sparse vector")
    half = len(raw) // 2
    return SparseVector(
        np.frombuffer(raw[:half], dtype="<u4").astype(np.uint32),
        np.frombuffer(raw[half:], dtype="<f4").astype(np.float32),
    )
