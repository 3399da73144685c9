"""Weights of a ranker by maximum likelihood: what makes the right candidates most probable in their lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from specsearch.errors import TrainingError
from specsearch.evaluation.intervals import molecule_weights

_RIDGE = 0.005  # a few hundred molecules: keeps weights of like scores from growing against each other


@dataclass(frozen=True, eq=False)
class RankedList:
    """One query's candidates, as a ranker sees them.

    Parameters
    ----------
    features : numpy.ndarray of shape (n_candidates, n_features)
    truth : int
        Row of the right candidate.
    molecule : int
        Number of the query's molecule: each counts once, however many spectra it has.
    """

    features: NDArray[np.float64]
    truth: int
    molecule: int


def fit_weights(lists: Sequence[RankedList], ridge: float = _RIDGE) -> NDArray[np.float64]:
    """Weights of the features, shape (n_features,).

    Parameters
    ----------
    lists : sequence of RankedList
        Of molecules that the encoder was not trained on.
    ridge : float
        Weight of the squared length of the weights, against the mean log-likelihood of a molecule.

    Raises
    ------
    TrainingError
        If there is no list with more than one candidate.
    """
    used = [one for one in lists if len(one.features) > 1]
    if not used:
        raise TrainingError("There is no list with more than one candidate to fit a ranker on.")
    stacked = np.concatenate([one.features for one in used])
    start = np.cumsum([0, *(len(one.features) for one in used[:-1])])
    sizes = np.array([len(one.features) for one in used])
    truth = start + np.array([one.truth for one in used])
    weight = molecule_weights(np.array([one.molecule for one in used]))
    weight /= weight.sum()

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        score = stacked @ weights
        score -= np.repeat(np.maximum.reduceat(score, start), sizes)
        powers = np.exp(score)
        total = np.add.reduceat(powers, start)
        likelihood = weight @ (score[truth] - np.log(total))
        expected = stacked * (powers * np.repeat(weight / total, sizes))[:, None]
        gradient = expected.sum(axis=0) - weight @ stacked[truth]
        return float(ridge * weights @ weights - likelihood), gradient + 2 * ridge * weights

    found = minimize(loss, np.zeros(stacked.shape[1]), jac=True, method="L-BFGS-B")
    weights: NDArray[np.float64] = found.x
    return weights
