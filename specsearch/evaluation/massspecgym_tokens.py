"""MassSpecGym's tokenised spectra, turned into what the encoder reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from specsearch.encoder.tokens import TokenInput
from specsearch.spectra.cleaning import ENCODER_RECIPE, Peaks, prepare


def token_inputs(
    spec: ArrayLike, charge_sign: int = 1, *, has_precursor_token: bool = True
) -> list[TokenInput]:
    """Unpack a batch of ``SpecTokenizer``: rows of m/z and intensity, padded with zeros.

    By default MassSpecGym keeps the 60 strongest peaks between m/z 10 and 1000, divides them by the
    highest, and puts the precursor in front as a peak of intensity 1.1. Its tensors are float32, which moves
    an m/z of 1000 by up to 0.03 ppm.

    Parameters
    ----------
    spec : array-like of shape (n_spectra, n_peaks, 2)
        A tensor or an array.
    charge_sign : int
        +1, -1, or 0 where unknown; all of MassSpecGym is positive.
    has_precursor_token : bool
        Whether the first row of each spectrum is its precursor.

    Raises
    ------
    ValueError
        If the shape is another.
    """
    tokens = np.asarray(spec, dtype=np.float64)
    if tokens.ndim != 3 or tokens.shape[2] != 2:
        raise ValueError(f"tokens of shape {tokens.shape}, expected (n_spectra, n_peaks, 2)")
    n_before = int(has_precursor_token)
    return [
        _token_input(rows[n_before:], float(rows[0, 0]) if has_precursor_token else None, charge_sign)
        for rows in tokens
    ]


def _token_input(rows: np.ndarray, precursor_mz: float | None, charge_sign: int) -> TokenInput:
    peaks = rows[(rows[:, 0] > 0) & (rows[:, 1] > 0)]
    mz, intensity = peaks[np.argsort(peaks[:, 0], kind="stable")].T
    if not len(mz):  # every peak lay outside MassSpecGym's m/z range
        return TokenInput(Peaks(mz, intensity, precursor_mz), charge_sign)
    return TokenInput(prepare(mz, intensity, precursor_mz, ENCODER_RECIPE), charge_sign)
