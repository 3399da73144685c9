"""One spectrum that stands for a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from specsearch.search.clusters import Clusters
from specsearch.search.nearest import Rows
from specsearch.search.snapshot import Snapshot
from specsearch.spectra.cleaning import Peaks
from specsearch.spectra.similarity import FRAGMENT_TOLERANCE

_LEAST_SHARE = 0.5  # of the members that must have a consensus peak
_OUTLIER_MADS = 3.0  # members less similar than the median by this many deviations do not vote


class Representative(StrEnum):
    """Which spectrum stands for a cluster."""

    MEDOID = "medoid"  # the member most similar to all others
    BEST = "best"  # the member with the most peaks; ties to the medoid
    CONSENSUS = "consensus"  # peaks that most members share, written under the medoid's name


def representatives(snapshot: Snapshot, clusters: Clusters, which: Representative) -> NDArray[np.int64]:
    """The row that stands for each row's cluster, shape (n_spectra,)."""
    n_peaks = np.diff(snapshot.peaks.offsets)
    chosen = np.arange(len(snapshot))
    for rows in clusters.members() if len(snapshot) else ():
        if len(rows) > 1:
            medoid_first = (rows, -clusters.similarity[rows])
            order = np.lexsort(
                (*medoid_first, -n_peaks[rows]) if which is Representative.BEST else medoid_first
            )
            chosen[rows] = rows[order[0]]
    return chosen


def voters(clusters: Clusters, rows: Rows) -> Rows:
    """Members that take part in a consensus: those not far less similar to the others than is usual."""
    similarity = clusters.similarity[rows].astype(np.float64)
    median = np.median(similarity)
    deviation = np.median(np.abs(similarity - median))
    return rows[similarity >= median - _OUTLIER_MADS * deviation - 1e-6]


def consensus(members: Sequence[Peaks]) -> Peaks:
    """Peaks that at least half of the members have, at their mean m/z weighted by intensity.

    Parameters
    ----------
    members : sequence of Peaks
        At least one. Peaks are gathered along m/z and parted where the gap exceeds the tolerance.

    Returns
    -------
    Peaks
        Mean intensity over the members (0 where a peak is missing), relative to the base peak.
    """
    mz = np.concatenate([peaks.mz for peaks in members])
    intensity = np.concatenate([peaks.intensity for peaks in members])
    owner = np.repeat(np.arange(len(members)), [len(peaks.mz) for peaks in members])
    order = np.argsort(mz, kind="stable")
    mz, intensity, owner = mz[order], intensity[order], owner[order]
    group = np.cumsum(np.diff(mz, prepend=mz[:1]) > FRAGMENT_TOLERANCE.value / 2)
    n_owners = np.bincount(np.unique(np.stack([group, owner]), axis=1)[0])
    total = np.bincount(group, weights=intensity)
    mean_mz = np.bincount(group, weights=mz * intensity) / total
    keep = n_owners >= _LEAST_SHARE * len(members)
    if not keep.any():
        keep = n_owners == n_owners.max()
    known = [peaks.precursor_mz for peaks in members if peaks.precursor_mz is not None]
    kept = total[keep] / len(members)
    return Peaks(mean_mz[keep], kept / kept.max(), float(np.median(known)) if known else None)
