"""Whether a probability means what it says: calibration error, Brier score, reliability curve.

A probability is that of one answer being right, e.g. that rank 1 is the true molecule. Every molecule
counts once, however many spectra it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from specsearch.evaluation.figures import Figure
from specsearch.evaluation.intervals import Estimate, estimate, estimate_statistic, molecule_weights
from specsearch.evaluation.strata import ALL

N_BINS = 10
_CHANCE_DRAWS = 200
_CURVE_RESAMPLES = 500

Binning = Literal["mass", "width"]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One point of a reliability curve.

    Parameters
    ----------
    probability : float
        Mean of what was said.
    right : Estimate
        Share that was right.
    """

    probability: float
    right: Estimate


def bin_numbers(
    probability: ArrayLike, molecule: NDArray[np.int64], binning: Binning = "mass", n_bins: int = N_BINS
) -> NDArray[np.int64]:
    """The bin of each probability.

    Parameters
    ----------
    probability : array-like of shape (n_queries,)
        0 to 1.
    molecule : numpy.ndarray of shape (n_queries,), int64
    binning : {"mass", "width"}
        Bins that hold equal shares of the molecules, or that cover equal parts of 0 to 1. Equal
        probabilities share a bin in either case, so bins of equal mass may be fewer.
    n_bins : int

    Returns
    -------
    numpy.ndarray of shape (n_queries,), int64
    """
    numbers = np.asarray(probability, dtype=np.float64)
    if binning == "width":
        return np.minimum((numbers * n_bins).astype(np.int64), n_bins - 1)
    order = np.argsort(numbers, kind="stable")
    mass = np.cumsum(molecule_weights(molecule)[order])
    last = np.searchsorted(mass, mass[-1] * np.arange(1, n_bins) / n_bins)
    return np.searchsorted(numbers[order][np.minimum(last, len(order) - 1)], numbers, side="left")


def calibration_error(
    probability: ArrayLike, right: ArrayLike, bins: NDArray[np.int64], weight: NDArray[np.float64]
) -> float:
    """Expected calibration error: mean distance, over bins, of what was said from what came true.

    Naeini, Cooper, Hauskrecht, AAAI 2015. It is never negative, and chance alone keeps it above 0:
    compare it with `error_by_chance`.

    Parameters
    ----------
    probability, right : array-like of shape (n_queries,)
    bins : numpy.ndarray of shape (n_queries,), int64
        From `bin_numbers`.
    weight : numpy.ndarray of shape (n_queries,)
    """
    gap = np.asarray(probability, dtype=np.float64) - np.asarray(right, dtype=np.float64)
    return float(np.abs(np.bincount(bins, weights=weight * gap)).sum() / weight.sum())


def error_by_chance(
    probability: ArrayLike, bins: NDArray[np.int64], molecule: NDArray[np.int64], *, seed: int = 0
) -> float:
    """The calibration error that probabilities would show here if they were exactly true.

    Answers are drawn from the probabilities, those of one molecule rising and falling together as they do
    in practice.

    Parameters
    ----------
    probability : array-like of shape (n_queries,)
    bins, molecule : numpy.ndarray of shape (n_queries,), int64
    seed : int
    """
    numbers, weight = np.asarray(probability, dtype=np.float64), molecule_weights(molecule)
    names, own = np.unique(molecule, return_inverse=True)
    generator = np.random.default_rng(seed)
    drawn = (generator.random(len(names))[own] < numbers for _ in range(_CHANCE_DRAWS))
    return float(np.mean([calibration_error(numbers, right, bins, weight) for right in drawn]))


def reliability_curve(
    probability: ArrayLike, right: ArrayLike, molecule: NDArray[np.int64], bins: NDArray[np.int64]
) -> list[ReliabilityBin]:
    """What was said against what came true, bin by bin, without empty bins.

    Parameters are those of the other functions of this module.
    """
    said, true = np.asarray(probability, dtype=np.float64), np.asarray(right, dtype=np.float64)
    weight = molecule_weights(molecule)
    curve = []
    for number in np.unique(bins):
        is_in = bins == number

        def share(weight: NDArray[np.float64], is_in: NDArray[np.bool_] = is_in) -> float:
            total = float(weight[is_in].sum())
            return float((weight * true)[is_in].sum()) / total if total else float("nan")

        found = estimate_statistic(share, molecule, n_resamples=_CURVE_RESAMPLES)
        own = replace(found, n_molecules=len(np.unique(molecule[is_in])), n_values=int(is_in.sum()))
        curve.append(ReliabilityBin(float(np.average(said[is_in], weights=weight[is_in])), own))
    return curve


def calibration_figures(
    section: str, score: str, probability: ArrayLike, right: ArrayLike, molecule: NDArray[np.int64]
) -> Iterator[Figure]:
    """Calibration errors with what chance alone would show, and the Brier score.

    Parameters
    ----------
    section, score : str
        As in `Figure`.
    probability, right : array-like of shape (n_queries,)
    molecule : numpy.ndarray of shape (n_queries,), int64
    """
    said, true = np.asarray(probability, dtype=np.float64), np.asarray(right, dtype=np.float64)
    binnings: tuple[Binning, ...] = ("mass", "width")
    for binning in binnings:
        bins = bin_numbers(said, molecule, binning)

        def error(weight: NDArray[np.float64], bins: NDArray[np.int64] = bins) -> float:
            return calibration_error(said, true, bins, weight)

        name = f"calibration error, bins of equal {binning}"
        yield Figure(section, score, name, ALL, estimate_statistic(error, molecule))
        chance = error_by_chance(said, bins, molecule)
        n_molecules = len(np.unique(molecule))
        value = Estimate(chance, chance, chance, n_molecules, len(molecule))
        yield Figure(section, score, f"{name}, by chance", ALL, value)
    # Brier, Monthly Weather Review 78, 1 (1950), for one event.
    yield Figure(section, score, "Brier score", ALL, estimate((said - true) ** 2, molecule))
