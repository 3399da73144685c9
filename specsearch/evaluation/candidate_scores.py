"""What a model thinks of each candidate, and the controls beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from specsearch.evaluation.candidates import Pools
from specsearch.evaluation.outputs import sigmoid
from specsearch.evaluation.progress import Progress, silent, told

PROJECTION, LOGITS, COSINE = "projection", "logits f·z", "probability cosine"
MASS, BLURRED = "mass", "blurred mass"
BLUR_PPM = 3.0  # standard deviation: about what routine high-resolution instruments do

Scores = dict[str, NDArray[np.float64]]


def random_score(pools: Pools) -> NDArray[np.float64]:
    """The control that knows nothing: all candidates tie, which expected ranks make chance itself."""
    return np.zeros(len(pools.candidate))


def mass_score(pools: Pools, blur_ppm: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    """The control that knows the precursor: the smaller the absolute mass error, the better.

    Any falling function of the error, such as a Gaussian of 0.1, 1 or 10 ppm, ranks the same. Libraries
    often give the precursor that was calculated from the structure, which lets the mass tell formulas
    apart as no instrument could; a blur shows what is left of that.

    Parameters
    ----------
    pools : Pools
    blur_ppm : float
        Standard deviation of an error added to each query's mass.
    seed : int
        Of the blur.
    """
    shift = np.random.default_rng(seed).normal(0.0, blur_ppm, len(pools))
    return -np.abs(pools.mass_error_ppm + np.repeat(shift, pools.size))


def projection_score(
    projection: NDArray[np.float32], target: NDArray[np.float32], pools: Pools
) -> NDArray[np.float64]:
    """Query projection times target projection of each candidate, shape (n_candidates,).

    Parameters
    ----------
    projection : numpy.ndarray of shape (n_pools, size), float32
        Of the queries.
    target : numpy.ndarray of shape (n_molecules, size), float32
        Of the molecules in ``pools.packed``.
    pools : Pools
    """
    found = np.empty(len(pools.candidate))
    for pool, query in enumerate(projection):
        rows = pools.rows(pool)
        found[rows] = target[pools.candidate[rows]] @ query
    return found


def fingerprint_scores(logits: NDArray[np.float32], pools: Pools, progress: Progress = silent) -> Scores:
    """Two readings of predicted fingerprints.

    `LOGITS`, f·z: the log-likelihood of a candidate's bits f under independent bits with log-odds z is
    f·z minus a term that is the same for all candidates. `COSINE`: of f with the bits' probabilities.

    Parameters
    ----------
    logits : numpy.ndarray of shape (n_pools, n_bits), float32
        Log-odds of each query's bits.
    pools : Pools
    progress : Progress

    Returns
    -------
    dict of str to numpy.ndarray of shape (n_candidates,)
    """
    scores = {name: np.empty(len(pools.candidate)) for name in (LOGITS, COSINE)}
    for pool in told(range(len(pools)), "scoring candidates", progress):
        rows, bits, z = pools.rows(pool), pools.bits(pool).astype(np.float32), logits[pool]
        probability = sigmoid(z)
        norms = np.sqrt(bits.sum(axis=1)) * np.linalg.norm(probability)
        scores[LOGITS][rows] = bits @ z
        scores[COSINE][rows] = bits @ probability / np.maximum(norms, np.finfo(np.float32).tiny)
    return scores
