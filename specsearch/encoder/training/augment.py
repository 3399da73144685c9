"""Views of a spectrum: what another measurement of the same molecule might have looked like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specsearch.encoder.tokens import TokenInput
from specsearch.spectra.cleaning import Peaks


@dataclass(frozen=True)
class Augmentation:
    """Strength of the disturbances.

    Parameters
    ----------
    peak_dropout : float
        Chance that a peak is left out; the base peak stays.
    intensity_jitter : float
        Standard deviation of the logarithm of intensities.
    mz_noise_ppm : float
        Standard deviation.
    precursor_dropout : float
        Chance that the precursor is withheld.
    charge_dropout : float
        Chance that the charge sign is withheld.
    max_peaks : int
        Strongest peaks kept in training, for speed.
    """

    peak_dropout: float = 0.2
    intensity_jitter: float = 0.3
    mz_noise_ppm: float = 3.0
    precursor_dropout: float = 0.15
    charge_dropout: float = 0.1
    max_peaks: int = 63


def augment(item: TokenInput, how: Augmentation, generator: np.random.Generator) -> TokenInput:
    """One random view of a prepared spectrum."""
    mz, intensity = item.peaks.mz, item.peaks.intensity
    if len(mz) > how.max_peaks:
        kept = np.sort(np.argsort(-intensity, kind="stable")[: how.max_peaks])
        mz, intensity = mz[kept], intensity[kept]
    keep = generator.random(len(mz)) >= how.peak_dropout
    keep[np.argmax(intensity)] = True
    mz, intensity = mz[keep], intensity[keep]
    mz = mz * (1.0 + generator.normal(0.0, how.mz_noise_ppm * 1e-6, len(mz)))
    intensity = intensity * np.exp(generator.normal(0.0, how.intensity_jitter, len(mz)))
    precursor = None if generator.random() < how.precursor_dropout else item.peaks.precursor_mz
    sign = 0 if generator.random() < how.charge_dropout else item.charge_sign
    return TokenInput(Peaks(mz, intensity / intensity.max(), precursor), sign)
