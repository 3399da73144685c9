"""Retrieval across laboratories: does a spectrum find its molecule as another contributor measured it?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.tolerance import Tolerance


@dataclass(frozen=True, eq=False)
class Pool:
    """What one query is ranked against.

    Parameters
    ----------
    query : int
        Row of the query.
    candidates : numpy.ndarray of shape (n_candidates,), int64
        Rows of the spectra of other contributors in the query's ion mode and precursor window.
    is_partner : numpy.ndarray of shape (n_candidates,), bool
        Whether a candidate is of the query's molecule; true of at least one.
    """

    query: int
    candidates: NDArray[np.int64]
    is_partner: NDArray[np.bool_]

    @property
    def is_contested(self) -> bool:
        """Whether there is a wrong answer to give."""
        return not bool(self.is_partner.all())

    @property
    def random_hit(self) -> float:
        """Chance that a candidate drawn at random is a partner."""
        return float(self.is_partner.mean())


def partner_pools(
    precursor_mz: NDArray[np.float64],
    positive: NDArray[np.bool_],
    contributor: NDArray[np.int64],
    molecule: NDArray[np.int64],
    tolerance: Tolerance,
) -> list[Pool]:
    """The pools of all spectra that have a partner.

    A pool holds every spectrum of another contributor in the same ion mode whose precursor lies within
    `tolerance` of the query's. Same molecule within the window means same adduct, too, but for the
    rare adducts that weigh the same.

    Parameters
    ----------
    precursor_mz, positive, contributor, molecule : numpy.ndarray of shape (n_spectra,)
        Precursor m/z in Da, ion mode, and row of each spectrum's contributor and molecule.
    tolerance : Tolerance
    """
    order = np.argsort(precursor_mz, kind="stable")
    ascending = precursor_mz[order]
    low, high = tolerance.window(precursor_mz)
    first = np.searchsorted(ascending, low, side="left")
    last = np.searchsorted(ascending, high, side="right")
    pools = []
    for query in range(len(precursor_mz)):
        near = order[first[query] : last[query]]
        other = (contributor[near] != contributor[query]) & (positive[near] == positive[query])
        candidates = np.sort(near[other])
        is_partner = molecule[candidates] == molecule[query]
        if is_partner.any():
            pools.append(Pool(query, candidates, is_partner))
    return pools


def partner_first(score: NDArray[np.floating], is_partner: NDArray[np.bool_]) -> float:
    """Chance that a partner stands first, candidates of equal score being drawn at random.

    Parameters
    ----------
    score : numpy.ndarray of shape (n_candidates,)
        Larger is better; at least one.
    is_partner : numpy.ndarray of shape (n_candidates,), bool
    """
    return float(is_partner[score == score.max()].mean())
