"""The named rivals, through their own libraries: Flash entropy search and the greedy cosine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from ms_entropy import FlashEntropySearch
from numpy.typing import NDArray

from specsearch.spectra.cleaning import Peaks

_TOLERANCE_DA = 0.02


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


class GreedyCosine:
    """matchms' greedy cosine of square roots of intensity, 0.02 Da.

    Parameters
    ----------
    spectra : sequence of Peaks
        Between which it will be asked.
    """

    def __init__(self, spectra: Sequence[Peaks]) -> None:
        from matchms import Spectrum
        from matchms.similarity import CosineGreedy

        self._spectra: list[Any] = [
            Spectrum(peaks.mz, peaks.intensity, {"precursor_mz": peaks.precursor_mz}) for peaks in spectra
        ]
        self._cosine = CosineGreedy(tolerance=_TOLERANCE_DA, intensity_power=0.5)

    def scores(self, query: int, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cosine of one spectrum with others, all by row; shape (n_candidates,)."""
        own = self._spectra[query]
        return np.array([float(self._cosine.pair(self._spectra[row], own)["score"]) for row in candidates])


def _pairs(peaks: Peaks) -> NDArray[np.float32]:
    return np.column_stack([peaks.mz, peaks.intensity]).astype(np.float32)
