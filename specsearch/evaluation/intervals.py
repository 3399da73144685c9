"""Means over molecules with their bootstrap intervals.

A molecule measured a hundred times says one thing, not a hundred: values are averaged per molecule
first, and the bootstrap draws molecules, not spectra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_RESAMPLES = 2000
_BLOCK = 1 << 18

Statistic = Callable[[NDArray[np.float64]], float]
"""A number that depends on how much each value counts: its argument is a weight for each value."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over molecules.

    Parameters
    ----------
    mean : float
    low, high : float
        Bounds of its 95 % interval (percentile bootstrap over molecules).
    n_molecules, n_values : int
        Molecules behind it, and values behind those.
    """

    mean: float
    low: float
    high: float
    n_molecules: int
    n_values: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f}-{self.high:.3f})"

    def to_dict(self) -> dict[str, float]:
        """The values, ready for JSON."""
        return asdict(self)


def mean_per_molecule(values: ArrayLike, molecule: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of each molecule's values, in rising order of the molecules that have any.

    Parameters
    ----------
    values : array-like of shape (n_values,)
    molecule : numpy.ndarray of shape (n_values,), int64
        Non-negative row of each value's molecule.

    Returns
    -------
    numpy.ndarray of shape (n_molecules,)
    """
    counts = np.bincount(molecule)
    sums = np.bincount(molecule, weights=np.asarray(values, dtype=np.float64))
    return sums[counts > 0] / counts[counts > 0]


def bootstrap_interval(
    means: NDArray[np.float64], *, confidence: float = 0.95, n_resamples: int = _RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean of `means`, drawn with replacement (Efron, Ann. Stat. 7, 1 (1979)).

    Parameters
    ----------
    means : numpy.ndarray of shape (n_molecules,)
        At least one.
    confidence : float
        Share of resampled means between the bounds.
    n_resamples, seed : int

    Returns
    -------
    (float, float)
        Lowest and highest bound.
    """
    drawn = _draws(len(means), n_resamples, seed)
    resampled = np.concatenate([means[rows].mean(axis=1) for rows in drawn])
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    return float(low), float(high)


def estimate_per_value(values: ArrayLike, molecule: NDArray[np.int64], *, seed: int = 0) -> Estimate:
    """Average over values, a molecule counting as often as it was measured; the interval draws molecules.

    Parameters are those of `estimate`.
    """
    numbers = np.asarray(values, dtype=np.float64)
    counts = np.bincount(molecule)
    sums = np.bincount(molecule, weights=numbers)[counts > 0]
    counts = counts[counts > 0]
    drawn = _draws(len(sums), _RESAMPLES, seed)
    resampled = np.concatenate([sums[rows].sum(axis=1) / counts[rows].sum(axis=1) for rows in drawn])
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(numbers.mean()), float(low), float(high), len(sums), len(numbers))


def estimate(values: ArrayLike, molecule: NDArray[np.int64], *, seed: int = 0) -> Estimate:
    """Average per molecule, then over molecules, with the 95 % interval.

    Parameters
    ----------
    values : array-like of shape (n_values,)
        At least one.
    molecule : numpy.ndarray of shape (n_values,), int64
    seed : int
        Of the bootstrap.
    """
    means = mean_per_molecule(values, molecule)
    low, high = bootstrap_interval(means, seed=seed)
    return Estimate(float(means.mean()), low, high, len(means), len(molecule))


def molecule_weights(molecule: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights by which every molecule counts once, however often it was measured.

    Parameters
    ----------
    molecule : numpy.ndarray of shape (n_values,), int64

    Returns
    -------
    numpy.ndarray of shape (n_values,)
        Their sum is the number of molecules.
    """
    _, own, counts = np.unique(molecule, return_inverse=True, return_counts=True)
    return 1.0 / counts[own]


def estimate_statistic(
    statistic: Statistic, molecule: NDArray[np.int64], *, n_resamples: int = _RESAMPLES, seed: int = 0
) -> Estimate:
    """What is no mean of values (an area, a ratio, an error over bins), with its interval over molecules.

    Every molecule counts once; in a resample it counts as often as it is drawn. Resamples in which the
    statistic is not defined (NaN) are left out. Where a statistic leans to one side, as errors over bins
    do, so does its interval; it always holds the value itself.

    Parameters
    ----------
    statistic : callable
        From weights of shape (n_values,) to a number.
    molecule : numpy.ndarray of shape (n_values,), int64
    n_resamples, seed : int
    """
    _, own, counts = np.unique(molecule, return_inverse=True, return_counts=True)
    once = 1.0 / counts[own]
    drawn = (row for rows in _draws(len(counts), n_resamples, seed) for row in rows)
    resampled = [statistic(once * np.bincount(row, minlength=len(counts))[own]) for row in drawn]
    defined = [number for number in resampled if not np.isnan(number)]
    value = float(statistic(once))
    low, high = np.quantile(defined, [0.025, 0.975]) if defined else (value, value)
    return Estimate(value, min(float(low), value), max(float(high), value), len(counts), len(molecule))


def _draws(n_molecules: int, n_resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Molecules drawn with replacement, in blocks (some of the resamples, n_molecules) that fit a cache."""
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // n_molecules)
    for start in range(0, n_resamples, block):
        yield generator.integers(0, n_molecules, (min(block, n_resamples - start), n_molecules))
