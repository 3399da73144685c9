"""A threshold of confidence with a guarantee: how often an answer above it may be wrong.

Learn-then-test (Angelopoulos et al., arXiv 2110.01052): twenty thresholds, fixed by the coverage they give
on the calibration queries, are each tested with the exact binomial (Clopper and Pearson, Biometrika 26, 404
(1934)). Each may err with a twentieth of the allowed chance, and one that passes hands its share on to the
next (the fallback procedure: Wiens, Pharmaceutical Statistics 2, 211 (2003)), so the chance that any passes
wrongly stays below delta. The one with the largest coverage that passes is taken. Then, with a probability
of at least 1 - delta over the calibration molecules, an answer given for a random query of a new molecule
from the same source is wrong with a probability of at most the chosen risk.

Spectra of one molecule are not independent: one query of each molecule is drawn, so the guarantee holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_N_THRESHOLDS = 20
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Abstention:
    """When to answer: where the confidence is above the threshold.

    Parameters
    ----------
    threshold : float
        Infinity where no threshold can be guaranteed: then nothing is answered.
    risk, delta : float
        What is guaranteed, and the chance that it does not hold.
    n_molecules, n_answered, n_wrong : int
        Calibration queries, one a molecule.
    bound : float
        Upper confidence bound of the risk at this threshold, at the chance it was tested with; 1 where
        nothing is answered.
    """

    threshold: float
    risk: float
    delta: float
    n_molecules: int
    n_answered: int
    n_wrong: int
    bound: float

    @property
    def coverage(self) -> float:
        """Share of the calibration queries that is answered."""
        return self.n_answered / self.n_molecules


def choose_threshold(
    confidence: ArrayLike,
    wrong: ArrayLike,
    molecule: NDArray[np.int64],
    risk: float,
    *,
    delta: float = 0.05,
    seed: int = 0,
) -> Abstention:
    """The threshold with the largest coverage whose risk is guaranteed.

    Parameters
    ----------
    confidence : array-like of shape (n_queries,)
        Of calibration queries; larger is surer.
    wrong : array-like of shape (n_queries,)
        1 where the answer is wrong, 0 where it is right.
    molecule : numpy.ndarray of shape (n_queries,), int64
    risk : float
        Allowed share of wrong answers, above 0.
    delta : float
        Allowed chance that the guarantee does not hold.
    seed : int
        Of the query drawn for each molecule.
    """
    rows = one_of_each(molecule, seed)
    sure = np.asarray(confidence, dtype=np.float64)[rows]
    lost = np.asarray(wrong, dtype=np.float64)[rows] > 0
    ordered = np.append(np.sort(sure)[::-1], -math.inf)
    chosen = Abstention(math.inf, risk, delta, len(sure), 0, 0, 1.0)
    handed_on = 0.0
    for share in range(1, _N_THRESHOLDS + 1):
        # Given the k-th highest value, those above it are an independent sample of what lies above it.
        threshold = float(ordered[len(sure) * share // _N_THRESHOLDS])
        answered = sure > threshold
        n_answered, n_wrong = int(answered.sum()), int((answered & lost).sum())
        allowed = delta / _N_THRESHOLDS + handed_on
        passes = n_answered > 0 and _at_most(n_wrong, n_answered, risk) <= allowed
        handed_on = allowed if passes else 0.0
        if passes:
            bound = risk_bound(n_wrong, n_answered, allowed)
            chosen = Abstention(threshold, risk, delta, len(sure), n_answered, n_wrong, bound)
    return chosen


def risk_bound(n_wrong: int, n_answered: int, delta: float) -> float:
    """Clopper-Pearson: the largest risk at which so few wrong answers have a chance of `delta` or more."""
    if n_wrong >= n_answered:
        return 1.0
    low, high = n_wrong / n_answered, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(n_wrong, n_answered, middle) > delta else (low, middle)
    return high


def one_of_each(molecule: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """One row of each molecule, drawn at random, shape (n_molecules,)."""
    shuffled = np.random.default_rng(seed).permutation(len(molecule))
    return shuffled[np.unique(molecule[shuffled], return_index=True)[1]]


def _at_most(k: int, n: int, p: float) -> float:
    """Chance of at most k successes in n trials."""
    if p in (0.0, 1.0):
        return 1.0 - p
    logs = [
        math.lgamma(n + 1)
        - math.lgamma(i + 1)
        - math.lgamma(n - i + 1)
        + i * math.log(p)
        + (n - i) * math.log1p(-p)
        for i in range(k + 1)
    ]
    return math.fsum(map(math.exp, logs))
