"""Structures of the spectra that look like the query, and what they say of its candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import DEFAULT_MORGAN, morgan_bits, pack_bits, tanimoto
from specsearch.errors import ParseError
from specsearch.search.similar import SimilarHit
from specsearch.store.schema import Key

N_NEIGHBOURS = 20


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The library hits of a query that have a structure.

    Parameters
    ----------
    hits : list of SimilarHit
        Best first.
    packed : numpy.ndarray of shape (n_hits, n_bytes), uint8
        Fingerprints of their molecules.
    """

    hits: list[SimilarHit]
    packed: NDArray[np.uint8]

    @property
    def likeness(self) -> NDArray[np.float64]:
        """Score of each hit, shape (n_hits,)."""
        return np.array([hit.score for hit in self.hits], dtype=np.float64)


def find_neighbours(hits: Sequence[SimilarHit]) -> Neighbours:
    """The hits whose structure can be read."""
    found = [(hit, bits) for hit in hits if (bits := _bits(hit.payload.get(Key.SMILES) or "")) is not None]
    n_bytes = DEFAULT_MORGAN.n_bits // 8
    packed = np.array([bits for _, bits in found], dtype=np.uint8).reshape(-1, n_bytes)
    return Neighbours([hit for hit, _ in found], packed)


def propagate(
    likeness: NDArray[np.float64], known: NDArray[np.uint8], packed: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Carry the hits' similarity over to candidates.

    A candidate gets the highest product of a hit's score (likeness of the spectra) and the Tanimoto
    similarity of the structures: 1 for the very molecule of a spectrum equal to the query.

    Parameters
    ----------
    likeness : numpy.ndarray of shape (n_hits,), float64
        Of the hits' spectra to the query's, 0 to 1.
    known : numpy.ndarray of shape (n_hits, n_bytes), uint8
        Fingerprints of the hits' molecules.
    packed : numpy.ndarray of shape (n_candidates, n_bytes), uint8

    Returns
    -------
    similarity : numpy.ndarray of shape (n_candidates,), float64
        NaN without any hit.
    hit : numpy.ndarray of shape (n_candidates,), int64
        Which hit gave it; -1 without any.
    """
    if not len(likeness):
        return np.full(len(packed), np.nan), np.full(len(packed), -1, dtype=np.int64)
    every = np.array([score * tanimoto(bits, packed) for score, bits in zip(likeness, known, strict=True)])
    return every.max(axis=0), every.argmax(axis=0)


@lru_cache(maxsize=16_384)
def _bits(smiles: str) -> NDArray[np.uint8] | None:
    """Packed fingerprint of a library's structure; None where it has none that can be read."""
    try:
        return pack_bits(morgan_bits([smiles]))[0]
    except ParseError:
        return None
