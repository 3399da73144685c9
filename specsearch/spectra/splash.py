"""SPLASH, the spectral hash: an exact-duplicate key for spectra.

Source: Wohlgemuth et al., Nature Biotechnology 34, 1099-1101 (2016), and the reference
implementations of the splash project, version 1 ("splash10").

Plain floats on purpose: half of all spectra have a dozen peaks, too few to pay for array calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_EPSILON = 1e-7  # the reference implementation's guard against representation error
_MZ_FACTOR = 1e6
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"

Peaks = Sequence[tuple[float, float]]


def splash(mz: NDArray[np.float64], intensity: NDArray[np.float64]) -> str:
    """Return ``splash10-xxxx-yyyyyyyyyy-<20 hex>`` of a peak list.

    Parameters
    ----------
    mz, intensity : numpy.ndarray of shape (n_peaks,)
        Peaks, at least one with an intensity above zero.
    """
    heights = intensity.tolist()
    highest = max(heights)
    relative = [height / highest * 100.0 for height in heights]
    peaks = sorted(zip(mz.tolist(), relative, strict=True), key=lambda peak: (peak[0], -peak[1]))
    prefilter = _histogram(_strongest(peaks), bins=10, width=5, base=3)
    similarity = _histogram(peaks, bins=10, width=100, base=10)
    return f"splash10-{_base36(prefilter)}-{similarity}-{_hash_block(peaks)}"


def _strongest(peaks: Peaks) -> Peaks:
    """Peaks of the prefilter block: at least 10 % of the base peak, at most ten of them."""
    strong = [peak for peak in peaks if peak[1] >= 10.0 - _EPSILON]
    return sorted(strong, key=lambda peak: (-peak[1], peak[0]))[:10]


def _hash_block(peaks: Peaks) -> str:
    """First 20 hex digits of SHA-256 over ``mz:intensity`` integers, m/z ascending, intensity descending."""
    text = " ".join([f"{int((m + _EPSILON) * _MZ_FACTOR)}:{int(i + _EPSILON)}" for m, i in peaks])
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:20]


def _histogram(peaks: Peaks, *, bins: int, width: int, base: int) -> str:
    """Intensity summed over m/z bins, wrapped round `bins`, scaled to one digit of `base` each."""
    sums = [0.0] * bins
    for m, i in peaks:
        sums[int(m / width) % bins] += i
    highest = max(sums)
    return "".join([_BASE36[int(total / highest * (base - 1) + _EPSILON)] for total in sums])


def _base36(digits: str) -> str:
    """The prefilter's base-3 number written in base 36, four places."""
    number = int(digits, 3)
    places = []
    for _ in range(4):
        number, remainder = divmod(number, 36)
        places.append(_BASE36[remainder])
    return "".join(reversed(places))
