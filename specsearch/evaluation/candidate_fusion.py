"""How several opinions of the candidates become one: weights fitted on val, lists brought to one scale."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from specsearch.evaluation.candidate_scores import Scores
from specsearch.evaluation.candidates import Pools
from specsearch.evaluation.intervals import mean_per_molecule
from specsearch.evaluation.ranking import places

GRID = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)

Weights = dict[str, float]


def fused(parts: Scores, weights: Weights, pools: Pools) -> NDArray[np.float64]:
    """Weighted sum of scores, each brought to mean 0 and deviation 1 within its list.

    A score that says the same of all candidates of a list adds nothing there.

    Parameters
    ----------
    parts : dict of str to numpy.ndarray of shape (n_candidates,)
    weights : dict of str to float
        By the name of the part; parts without a weight stay out.
    pools : Pools
    """
    return sum(
        (weight * standardised(parts[name], pools) for name, weight in weights.items() if weight),
        start=np.zeros(len(pools.candidate)),
    )


def standardised(score: NDArray[np.float64], pools: Pools) -> NDArray[np.float64]:
    """A score with mean 0 and standard deviation 1 within each list; 0 throughout where all are equal."""
    size = pools.size
    centred = score - np.repeat(np.add.reduceat(score, pools.start) / size, size)
    deviation = np.repeat(np.sqrt(np.add.reduceat(centred**2, pools.start) / size), size)
    is_flat = deviation <= 1e-9 * np.maximum(1.0, np.abs(score))
    return np.where(is_flat, 0.0, centred / np.where(is_flat, 1.0, deviation))


def fit_weights(
    parts: Scores, pools: Pools, molecule: NDArray[np.int64], grid: tuple[float, ...] = GRID
) -> tuple[Weights, float]:
    """The weights with the best mean reciprocal rank, averaged per molecule.

    The first part has weight 1, the others are tried on a grid; the first of equals is taken.

    Parameters
    ----------
    parts : dict of str to numpy.ndarray of shape (n_candidates,)
    pools : Pools
        Of the validation split: what is fitted here decides what is reported elsewhere.
    molecule : numpy.ndarray of shape (n_pools,), int64
    grid : tuple of float

    Returns
    -------
    weights : dict of str to float
    mrr : float
        What they reach on these pools.
    """
    first, *others = parts
    ready = {name: standardised(score, pools) for name, score in parts.items()}
    tried = []
    for chosen in product(grid, repeat=len(others)):
        weights: Weights = {first: 1.0, **dict(zip(others, chosen, strict=True))}
        score = sum((weights[name] * ready[name] for name in parts), start=np.zeros(len(pools.candidate)))
        reciprocal = places(pools, score).reciprocal_rank()
        tried.append((weights, float(mean_per_molecule(reciprocal, molecule).mean())))
    return max(tried, key=lambda entry: entry[1])
