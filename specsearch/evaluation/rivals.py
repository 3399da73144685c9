"""Rivals without training: Flash entropy search and modified cosine, each against a whole library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from ms_entropy import FlashEntropySearch
from numpy.typing import NDArray

from specsearch.spectra.cleaning import Peaks
from specsearch.spectra.similarity import FRAGMENT_TOLERANCE

_TOLERANCE_DA = FRAGMENT_TOLERANCE.value


class EntropyLibrary:
    """`ms_entropy`'s index with its default settings: entropy weights, own cleaning, 0.02 Da.

    Parameters
    ----------
    library : sequence of Peaks
        With precursors.
    """

    def __init__(self, library: Sequence[Peaks]) -> None:
        self._n_library = len(library)
        self._index = FlashEntropySearch()
        indexed = self._index.build_index(
            [
                {"precursor_mz": peaks.precursor_mz, "peaks": _pairs(peaks), "row": row}
                for row, peaks in enumerate(library)
            ]
        )
        # The index sorts by precursor and leaves out what its cleaning empties.
        self._rows = np.array([entry["row"] for entry in indexed], dtype=np.int64)

    def scores(self, query: Peaks, method: Literal["open", "hybrid"]) -> NDArray[np.float32]:
        """Similarity to every library spectrum, in the library's order; shape (n_library,)."""
        out = np.zeros(self._n_library, dtype=np.float32)
        found = self.search(query, method)
        if found is not None:
            out[self._rows] = found
        return out

    def search(self, query: Peaks, method: Literal["open", "hybrid"]) -> NDArray[np.float32] | None:
        """The search alone, in the index's order; None for a query that its cleaning empties."""
        cleaned = self._index.clean_spectrum_for_search(query.precursor_mz, _pairs(query))
        if not len(cleaned):
            return None
        if method == "open":
            return np.asarray(self._index.open_search(cleaned, _TOLERANCE_DA))
        return np.asarray(self._index.hybrid_search(query.precursor_mz, cleaned, _TOLERANCE_DA))


class ModifiedCosineLibrary:
    """`specsearch.spectra.similarity.modified_cosine` against a library: the same scores, indexed by mass.

    A peak of the query meets those of the library at its own m/z, and those with its own neutral loss,
    which is the same as a shift by the difference of the precursors.

    Parameters
    ----------
    library : sequence of Peaks
        With precursors.
    """

    def __init__(self, library: Sequence[Peaks]) -> None:
        lengths = [len(peaks.mz) for peaks in library]
        self._owner = np.repeat(np.arange(len(library)), lengths)
        mz = np.concatenate([peaks.mz for peaks in library])
        weight = np.sqrt(np.concatenate([peaks.intensity for peaks in library]))
        self._precursor_mz = np.array([peaks.precursor_mz for peaks in library], dtype=np.float64)
        self._weight = weight
        self._norm = np.sqrt(np.bincount(self._owner, weights=weight**2, minlength=len(library)))
        loss = self._precursor_mz[self._owner] - mz
        self._by_mz, self._by_loss = np.argsort(mz, kind="stable"), np.argsort(loss, kind="stable")
        self._mz, self._loss = mz[self._by_mz], loss[self._by_loss]

    def scores(self, query: Peaks) -> NDArray[np.float64]:
        """Modified cosine with every library spectrum, in the library's order; shape (n_library,)."""
        precursor_mz = query.precursor_mz or 0.0
        theirs, ours = _near(self._mz, self._by_mz, query.mz)
        shifted, by = _near(self._loss, self._by_loss, precursor_mz - query.mz)
        # Precursors this close differ by measurement error: no shift.
        is_shifted = np.abs(self._precursor_mz - precursor_mz) > _TOLERANCE_DA
        use = is_shifted[self._owner[shifted]]
        theirs, ours = np.concatenate([theirs, shifted[use]]), np.concatenate([ours, by[use]])
        own_weight = np.sqrt(query.intensity)
        product = self._weight[theirs] * own_weight[ours]
        found = self._matched(theirs, ours, product, len(query.mz))
        return found / (self._norm * np.linalg.norm(own_weight))

    def _matched(
        self, theirs: NDArray[np.int64], ours: NDArray[np.int64], product: NDArray[np.float64], n_own: int
    ) -> NDArray[np.float64]:
        """Sum of products per library spectrum, each peak used once, strongest products first."""
        order = np.argsort(-product, kind="stable")
        theirs, ours, product = theirs[order], ours[order], product[order]
        found = np.zeros(len(self._norm))
        place = self._owner[theirs] * n_own + ours  # a query's peak, once for each library spectrum
        while len(theirs):
            # A pair is taken if it is the strongest left of both its peaks; what shares a peak with it goes.
            rank = np.arange(len(theirs))
            best_theirs, best_place = _first(theirs), _first(place)
            taken = (best_theirs == rank) & (best_place == rank)
            np.add.at(found, self._owner[theirs[taken]], product[taken])
            left = ~(taken[best_theirs] | taken[best_place])
            theirs, place, product = theirs[left], place[left], product[left]
        return found


def _near(
    ascending: NDArray[np.float64], rows: NDArray[np.int64], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (row, index of `wanted`) of values within the tolerance."""
    first = np.searchsorted(ascending, wanted - _TOLERANCE_DA, side="left")
    last = np.searchsorted(ascending, wanted + _TOLERANCE_DA, side="right")
    found = [rows[start:stop] for start, stop in zip(first, last, strict=True)]
    return np.concatenate(found), np.repeat(np.arange(len(wanted)), last - first)


def _first(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each value, where it first stands."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse]


def _pairs(peaks: Peaks) -> NDArray[np.float32]:
    return np.column_stack([peaks.mz, peaks.intensity]).astype(np.float32)
