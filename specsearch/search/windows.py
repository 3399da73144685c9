"""Pairs of spectra whose precursors may be the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.tolerance import Tolerance


def window_pairs(
    precursor_mz: NDArray[np.float64],
    tolerance: Tolerance,
    queries: NDArray[np.int64],
    targets: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs (query, target) within the tolerance, the query itself left out.

    Parameters
    ----------
    precursor_mz : numpy.ndarray of shape (n_rows,)
        NaN is near nothing.
    tolerance : Tolerance
        Around the query's precursor.
    queries, targets : numpy.ndarray of rows
    """
    order = targets[np.argsort(precursor_mz[targets], kind="stable")]  # NaN comes last
    sorted_mz = precursor_mz[order]
    asked = queries[~np.isnan(precursor_mz[queries])]
    low, high = tolerance.window(precursor_mz[asked])
    first = np.searchsorted(sorted_mz, low, side="left")
    count = np.searchsorted(sorted_mz, high, side="right") - first
    source = np.repeat(asked, count)
    start = np.repeat(np.cumsum(count) - count, count)
    target = order[np.arange(len(source)) - start + np.repeat(first, count)]
    others = source != target
    return source[others], target[others]
