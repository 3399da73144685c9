"""Exact similarity of very many pairs among the same spectra, compiled and on all cores.

The same scores as `specsearch.spectra.similarity`, which serves one query and its shortlist: spectral
entropy similarity (Li et al., Nature Methods 18, 1524 (2021)), for which each spectrum is cleaned and
weighted once by `ms_entropy` itself, and modified cosine (Watrous et al., PNAS 109, E1743 (2012)).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
from ms_entropy import apply_weight_to_intensity, clean_spectrum
from numpy.typing import NDArray

from specsearch.spectra.cleaning import Peaks
from specsearch.spectra.similarity import FRAGMENT_TOLERANCE

_TOLERANCE_DA = FRAGMENT_TOLERANCE.value
_NOISE = 0.01  # of the base peak; what entropy similarity is defined on


@dataclass(frozen=True, eq=False)
class PeakRows:
    """The peaks of many spectra as flat arrays; row i is ``offsets[i]:offsets[i + 1]``.

    Parameters
    ----------
    mz, intensity : numpy.ndarray of shape (n_all_peaks,), float32
        m/z ascending within a row.
    offsets : numpy.ndarray of shape (n_rows + 1,), int64
    """

    mz: NDArray[np.float32]
    intensity: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, mz: list[NDArray], intensity: list[NDArray]) -> Self:  # type: ignore[type-arg]
        """Lay peak lists one after another."""
        lengths = np.array([len(row) for row in mz], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        if not len(lengths):
            return cls(np.empty(0, np.float32), np.empty(0, np.float32), offsets)
        return cls(
            np.concatenate(mz).astype(np.float32), np.concatenate(intensity).astype(np.float32), offsets
        )

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """The rows of all parts, in order."""
        parts = list(parts)
        lengths = np.concatenate([np.diff(part.offsets) for part in parts] or [np.empty(0, np.int64)])
        return cls(
            np.concatenate([part.mz for part in parts] or [np.empty(0, np.float32)]),
            np.concatenate([part.intensity for part in parts] or [np.empty(0, np.float32)]),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        )

    def row(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """m/z and intensity of row `i`."""
        span = slice(self.offsets[i], self.offsets[i + 1])
        return self.mz[span].astype(np.float64), self.intensity[span].astype(np.float64)

    def part(self, rows: NDArray[np.int64]) -> Self:
        """Some of the rows, in the order given."""
        spans = [slice(self.offsets[i], self.offsets[i + 1]) for i in rows]
        return type(self).of([self.mz[span] for span in spans], [self.intensity[span] for span in spans])

    def __len__(self) -> int:
        return len(self.offsets) - 1


def weighted_by_entropy(spectra: Iterable[Peaks]) -> PeakRows:
    """Peaks as entropy similarity compares them: merged, weighted, of sum 1."""
    mz, intensity = [], []
    for peaks in spectra:
        cleaned = clean_spectrum(
            np.column_stack([peaks.mz, peaks.intensity]).astype(np.float32),
            noise_threshold=_NOISE,
            min_ms2_difference_in_da=2 * _TOLERANCE_DA,
        )
        mz.append(cleaned[:, 0])
        intensity.append(apply_weight_to_intensity(cleaned)[:, 1])
    return PeakRows.of(mz, intensity)


def entropy_similarities(
    weighted: PeakRows, sources: NDArray[np.int64], targets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Spectral entropy similarity, 0..1, of each pair of rows of `weighted_by_entropy`."""
    out: NDArray[np.float32] = _entropy(
        weighted.mz, weighted.intensity, weighted.offsets, sources, targets, _TOLERANCE_DA
    )
    return out


def modified_cosines(
    peaks: PeakRows,
    precursor_mz: NDArray[np.float64],
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Modified cosine and number of matched peaks of each pair of rows.

    Parameters
    ----------
    peaks : PeakRows
        Prepared for rescoring.
    precursor_mz : numpy.ndarray of shape (n_rows,)
        NaN where unknown: then no shift is tried.
    sources, targets : numpy.ndarray of shape (n_pairs,)

    Returns
    -------
    score : numpy.ndarray of shape (n_pairs,), float32
    n_matched : numpy.ndarray of shape (n_pairs,), int16
    """
    score, n_matched = _cosine(
        peaks.mz, np.sqrt(peaks.intensity), peaks.offsets, precursor_mz, sources, targets, _TOLERANCE_DA
    )
    return score, n_matched


@numba.njit(cache=True)
def _xlogx(x):  # type: ignore[no-untyped-def] # pragma: no cover
    return x * np.log2(x) if x > 0.0 else 0.0


@numba.njit(parallel=True, cache=True, nogil=True)
def _entropy(mz, intensity, offsets, sources, targets, tolerance):  # type: ignore[no-untyped-def] # pragma: no cover
    similarity = np.zeros(len(sources), dtype=np.float32)
    for pair in numba.prange(len(sources)):
        a, a_end = offsets[sources[pair]], offsets[sources[pair] + 1]
        b, b_end = offsets[targets[pair]], offsets[targets[pair] + 1]
        total = 0.0
        while a < a_end and b < b_end:
            gap = mz[a] - mz[b]
            if gap < -tolerance:
                a += 1
            elif gap > tolerance:
                b += 1
            else:
                x, y = float(intensity[a]), float(intensity[b])
                total += _xlogx(x + y) - _xlogx(x) - _xlogx(y)
                a += 1
                b += 1
        similarity[pair] = min(1.0, max(0.0, total / 2.0))
    return similarity


@numba.njit(cache=True)
def _matches(mz, weight, ours, theirs, shift, tolerance, product, left, right, n):  # type: ignore[no-untyped-def] # pragma: no cover
    """Append all pairs of peaks within tolerance after `shift` is added to theirs; the new count."""
    first = ours[0]
    for j in range(theirs[0], theirs[1]):
        target = mz[j] + shift
        while first < ours[1] and mz[first] < target - tolerance:
            first += 1
        i = first
        while i < ours[1] and mz[i] <= target + tolerance and n < len(product):
            product[n] = weight[i] * weight[j]
            left[n], right[n] = i - ours[0], j - theirs[0]
            n += 1
            i += 1
    return n


@numba.njit(parallel=True, cache=True, nogil=True)
def _cosine(mz, weight, offsets, precursor, sources, targets, tolerance):  # type: ignore[no-untyped-def] # pragma: no cover
    score = np.zeros(len(sources), dtype=np.float32)
    n_matched = np.zeros(len(sources), dtype=np.int16)
    for pair in numba.prange(len(sources)):
        ours = (offsets[sources[pair]], offsets[sources[pair] + 1])
        theirs = (offsets[targets[pair]], offsets[targets[pair] + 1])
        n_ours, n_theirs = ours[1] - ours[0], theirs[1] - theirs[0]
        room = 8 * (n_ours + n_theirs) + 64
        product = np.empty(room, dtype=np.float64)
        left, right = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
        n = _matches(mz, weight, ours, theirs, 0.0, tolerance, product, left, right, 0)
        shift = precursor[sources[pair]] - precursor[targets[pair]]
        if abs(shift) > tolerance:  # NaN is not
            n = _matches(mz, weight, ours, theirs, shift, tolerance, product, left, right, n)
        used_ours, used_theirs = np.zeros(n_ours, dtype=np.bool_), np.zeros(n_theirs, dtype=np.bool_)
        total, count = 0.0, 0
        for place in np.argsort(-product[:n], kind="mergesort"):
            if used_ours[left[place]] or used_theirs[right[place]]:
                continue
            used_ours[left[place]] = used_theirs[right[place]] = True
            total += product[place]
            count += 1
        square_ours, square_theirs = 0.0, 0.0
        for i in range(ours[0], ours[1]):
            square_ours += weight[i] ** 2
        for j in range(theirs[0], theirs[1]):
            square_theirs += weight[j] ** 2
        score[pair] = total / np.sqrt(square_ours * square_theirs)
        n_matched[pair] = count
    return score, n_matched
