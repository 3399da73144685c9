"""Exact similarity of a query's peaks to a shortlist: spectral entropy and modified cosine.

Entropy similarity is `ms_entropy`'s own (Li et al., Nature Methods 18, 1524 (2021)). Modified cosine
(Watrous et al., PNAS 109, E1743 (2012)) is computed here for a whole shortlist at once: peaks match
directly or shifted by the difference of the precursors, each at most once, strongest products first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ms_entropy import calculate_entropy_similarity
from numpy.typing import NDArray

from specsearch.chemistry.tolerance import Tolerance
from specsearch.spectra.cleaning import Peaks

FRAGMENT_TOLERANCE = Tolerance(0.02, "Da")


def entropy_similarity(
    query: Peaks, candidates: Sequence[Peaks], tolerance: Tolerance = FRAGMENT_TOLERANCE
) -> NDArray[np.float64]:
    """Spectral entropy similarity of prepared peaks to each candidate, in 0..1; shape (n_candidates,)."""
    in_da = tolerance.value if tolerance.unit == "Da" else -1
    in_ppm = tolerance.value if tolerance.unit == "ppm" else -1
    own = _as_pairs(query)
    return np.array(
        [
            calculate_entropy_similarity(
                own, _as_pairs(peaks), ms2_tolerance_in_da=in_da, ms2_tolerance_in_ppm=in_ppm
            )
            for peaks in candidates
        ],
        dtype=np.float64,
    )


def modified_cosine(
    query: Peaks, candidates: Sequence[Peaks], tolerance: Tolerance = FRAGMENT_TOLERANCE
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Modified cosine and number of matched peaks of each candidate.

    Intensities enter by their square root. Without both precursors no shift is tried.

    Returns
    -------
    score : numpy.ndarray of shape (n_candidates,)
        In 0..1.
    n_matched : numpy.ndarray of shape (n_candidates,)
    """
    score = np.zeros(len(candidates))
    n_matched = np.zeros(len(candidates), dtype=np.int64)
    if not candidates:
        return score, n_matched
    lengths = [len(peaks.mz) for peaks in candidates]
    owner = np.repeat(np.arange(len(candidates)), lengths)
    mz = np.concatenate([peaks.mz for peaks in candidates])
    weight = np.sqrt(np.concatenate([peaks.intensity for peaks in candidates]))
    shift = np.array([_shift(query, peaks, tolerance) for peaks in candidates])[owner]
    own_weight = np.sqrt(query.intensity)
    for peak, _, product in _matches(query, mz, weight, owner, shift, tolerance):
        score[owner[peak]] += product
        n_matched[owner[peak]] += 1
    norms = np.sqrt(np.bincount(owner, weights=weight**2)) * np.linalg.norm(own_weight)
    return score / norms, n_matched


def match_peaks(
    query: Peaks, candidate: Peaks, tolerance: Tolerance = FRAGMENT_TOLERANCE
) -> list[tuple[int, int, bool]]:
    """The pairs behind the modified cosine of two spectra.

    Returns
    -------
    list of (int, int, bool)
        Peak of the query, peak of the candidate, and whether they match only when shifted by the difference
        of the precursors; the strongest products first.
    """
    owner = np.zeros(len(candidate.mz), dtype=np.int64)
    shift = np.full(len(candidate.mz), _shift(query, candidate, tolerance))
    found = _matches(query, candidate.mz, np.sqrt(candidate.intensity), owner, shift, tolerance)
    return [
        (ours, theirs, not tolerance.contains(query.mz[ours], candidate.mz[theirs]))
        for theirs, ours, _ in found
    ]


def _matches(
    query: Peaks,
    mz: NDArray[np.float64],
    weight: NDArray[np.float64],
    owner: NDArray[np.int64],
    shift: NDArray[np.float64],
    tolerance: Tolerance,
) -> Iterator[tuple[int, int, float]]:
    """Peak of a candidate, peak of the query, and product of weights; each at most once for a candidate."""
    pairs = [_pairs_within(query.mz, mz, tolerance)]
    shifted = np.flatnonzero(shift != 0.0)
    theirs, ours = _pairs_within(query.mz, mz[shifted] + shift[shifted], tolerance)
    pairs.append((shifted[theirs], ours))
    theirs, ours = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    product = weight[theirs] * np.sqrt(query.intensity)[ours]
    used: set[tuple[int, int]] = set()
    taken: set[int] = set()
    candidate = owner[theirs]
    for i in np.argsort(-product, kind="stable").tolist():
        peak, pair = int(theirs[i]), (int(candidate[i]), int(ours[i]))
        if peak in taken or pair in used:
            continue
        taken.add(peak)
        used.add(pair)
        yield peak, pair[1], float(product[i])


def _shift(query: Peaks, candidate: Peaks, tolerance: Tolerance) -> float:
    """What to add to a candidate's m/z so that its precursor meets the query's; 0 where unknown.

    Also 0 within the tolerance: that is measurement error, and would widen the window of every peak.
    """
    if query.precursor_mz is None or candidate.precursor_mz is None:
        return 0.0
    if tolerance.contains(query.precursor_mz, candidate.precursor_mz):
        return 0.0
    return query.precursor_mz - candidate.precursor_mz


def _pairs_within(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], tolerance: Tolerance
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices (theirs, ours) of all pairs within tolerance; `ours` is ascending."""
    width = np.asarray(tolerance.width_da(theirs))
    first = np.searchsorted(ours, theirs - width, side="left")
    last = np.searchsorted(ours, theirs + width, side="right")
    count = last - first
    their_index = np.repeat(np.arange(len(theirs)), count)
    start = np.repeat(np.cumsum(count) - count, count)
    our_index = np.arange(len(their_index)) - start + np.repeat(first, count)
    return their_index, our_index


def _as_pairs(peaks: Peaks) -> NDArray[np.float32]:
    return np.column_stack([peaks.mz, peaks.intensity]).astype(np.float32)
