"""A named rival through its own library: the greedy cosine of matchms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.spectra.cleaning import Peaks

_TOLERANCE_DA = 0.02


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
