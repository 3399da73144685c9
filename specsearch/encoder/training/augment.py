"""Views of a spectrum: what another measurement of the same molecule might have looked like."""

from __future__ import annotations

import numpy as np

from specsearch.encoder.tokens import TokenInput
from specsearch.encoder.training.recipe import Augmentation
from specsearch.spectra.cleaning import Peaks


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
