"""What a library holds, in a few digits: equal for equal points, in whatever store they lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import numpy as np

from specsearch.store.points import SparseVector
from specsearch.store.queries import Record
from specsearch.store.schema import Key

_OF_THE_NAME = frozenset({Key.LIBRARY, Key.SPECTRUM_ID})
_MODULUS = 2**256


def content_digest(rows: Iterable[tuple[str, str | None, str | None]]) -> str:
    """SHA-256 over point id, digest of the record, and SPLASH of each spectrum, in the order of ids."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(_content_line(*row))
    return digest.hexdigest()


class LibraryDigest:
    """Digests of a library whose points are added one by one, as they are scrolled."""

    def __init__(self) -> None:
        self.n_points = 0
        self._content = hashlib.sha256()
        self._sum = 0

    def add(self, record: Record) -> None:
        """Take in a point with its vectors."""
        self.n_points += 1
        payload = record.payload
        line = _content_line(record.point_id, payload.get(Key.CONTENT), payload.get(Key.SPLASH))
        self._content.update(line)
        self._sum = (self._sum + int.from_bytes(_point_hash(record))) % _MODULUS

    @property
    def content(self) -> str:
        """`content_digest` of the points; they must have come in the order of their ids."""
        return self._content.hexdigest()

    @property
    def points(self) -> str:
        """Sum of the SHA-256 of all points, vectors included, in 64 hex digits.

        It leaves out the library's name and what is made of it, and a sum knows no order: so a library
        under another name, whose points have other ids, has the same.
        """
        return f"{self._sum:064x}"


def _content_line(point_id: str, content: str | None, splash: str | None) -> bytes:
    return f"{point_id}\t{content or ''}\t{splash or ''}\n".encode()


def _point_hash(record: Record) -> bytes:
    payload = {key: value for key, value in record.payload.items() if key not in _OF_THE_NAME}
    hashed = hashlib.sha256(json.dumps(payload, sort_keys=True).encode())
    if record.embedding is not None:
        hashed.update(record.embedding.astype("<f2").tobytes())  # as stored
    for vector in (record.peaks, record.losses):
        hashed.update(len(vector).to_bytes(8))
        hashed.update(sparse_bytes(vector))
    return hashed.digest()


def sparse_bytes(vector: SparseVector) -> bytes:
    """All indices, then all values, little-endian."""
    return vector.indices.astype("<u4").tobytes() + np.asarray(vector.values, dtype="<f4").tobytes()
