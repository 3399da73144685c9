"""SPLASH, the spectral hash: an exact-duplicate key for spectra.

Source: Wohlgemuth et al., Nature Biotechnology 34, 1099-1101 (2016), and the reference
implementations of the splash project, version 1 ("splash10").
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_EPSILON = 1e-7  # the reference implementation's guard against representation error
_MZ_FACTOR = 1e6
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def splash(mz: NDArray[np.float64], intensity: NDArray[np.float64]) -> str:
    """Return ``splash10-xxxx-yyyyyyyyyy-<20 hex>`` of a peak list.

    Parameters
    ----------
    mz, intensity : numpy.ndarray of shape (n_peaks,)
        Peaks, at least one with an intensity above zero.
    """
    relative = intensity / intensity.max() * 100.0
    prefilter = _histogram(*_strongest(mz, relative), bins=10, width=5, base=3)
    similarity = _histogram(mz, relative, bins=10, width=100, base=10)
    return f"splash10-{_base36(prefilter)}-{similarity}-{_hash_block(mz, relative)}"


def _strongest(
    mz: NDArray[np.float64], relative: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Peaks of the prefilter block: at least 10 % of the base peak, at most ten of them."""
    keep = relative >= 10.0 - _EPSILON
    mz, relative = mz[keep], relative[keep]
    order = np.lexsort((mz, -relative))[:10]
    return mz[order], relative[order]


def _hash_block(mz: NDArray[np.float64], relative: NDArray[np.float64]) -> str:
    """First 20 hex digits of SHA-256 over ``mz:intensity`` integers, m/z ascending, intensity descending."""
    order = np.lexsort((-relative, mz))
    mz_integers = ((mz[order] + _EPSILON) * _MZ_FACTOR).astype(np.int64)
    intensity_integers = (relative[order] + _EPSILON).astype(np.int64)
    text = " ".join(f"{m}:{i}" for m, i in zip(mz_integers.tolist(), intensity_integers.tolist(), strict=True))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:20]


def _histogram(
    mz: NDArray[np.float64], relative: NDArray[np.float64], *, bins: int, width: int, base: int
) -> str:
    """Intensity summed over m/z bins, wrapped round `bins`, scaled to one digit of `base` each."""
    sums = np.bincount((mz / width).astype(np.int64) % bins, weights=relative, minlength=bins)
    scaled = sums / sums.max() * (base - 1) + _EPSILON
    return "".join(_BASE36[int(digit)] for digit in scaled)


def _base36(digits: str) -> str:
    """The prefilter's base-3 number written in base 36, four places."""
    number = int(digits, 3)
    places = []
    for _ in range(4):
        number, remainder = divmod(number, 36)
        places.append(_BASE36[remainder])
    return "".join(reversed(places))
