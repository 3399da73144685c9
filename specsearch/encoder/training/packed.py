"""Many prepared spectra in flat arrays: some 12 bytes a peak instead of Python objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.tokens import TokenInput
from specsearch.spectra.cleaning import Peaks


@dataclass(frozen=True, eq=False)
class PackedInputs:
    """Prepared spectra; ``inputs[row]`` is one of them.

    Parameters
    ----------
    mz : numpy.ndarray of shape (n_peaks,), float64
        Of all spectra end to end.
    intensity : numpy.ndarray of shape (n_peaks,), float32
        Relative to each base peak.
    bounds : numpy.ndarray of shape (n_spectra + 1,), int64
        Where each spectrum begins and ends.
    precursor_mz : numpy.ndarray of shape (n_spectra,), float64
        NaN where unknown.
    charge_sign : numpy.ndarray of shape (n_spectra,), int8
    accession : list of str
    """

    mz: NDArray[np.float64]
    intensity: NDArray[np.float32]
    bounds: NDArray[np.int64]
    precursor_mz: NDArray[np.float64]
    charge_sign: NDArray[np.int8]
    accession: list[str]

    @classmethod
    def of(cls, named: Iterable[tuple[str, TokenInput]]) -> PackedInputs:
        """Pack prepared spectra, each under its accession."""
        mz, intensity, precursor, sign, accession = [], [], [], [], []
        for name, item in named:
            mz.append(item.peaks.mz)
            intensity.append(item.peaks.intensity.astype(np.float32))
            precursor.append(np.nan if item.peaks.precursor_mz is None else item.peaks.precursor_mz)
            sign.append(item.charge_sign)
            accession.append(name)
        return cls(
            np.concatenate([np.empty(0), *mz]),
            np.concatenate([np.empty(0, dtype=np.float32), *intensity]),
            np.cumsum([0, *map(len, mz)]),
            np.array(precursor, dtype=np.float64),
            np.array(sign, dtype=np.int8),
            accession,
        )

    def __len__(self) -> int:
        return len(self.accession)

    def __getitem__(self, row: int) -> TokenInput:
        own = slice(self.bounds[row], self.bounds[row + 1])
        precursor = float(self.precursor_mz[row])
        peaks = Peaks(
            self.mz[own],
            self.intensity[own].astype(np.float64),
            None if np.isnan(precursor) else precursor,
        )
        return TokenInput(peaks, int(self.charge_sign[row]))
