"""Does the similarity of spectra follow that of structures? Correlation and AUC over pairs of molecules.

A molecule takes part in as many pairs as there are others, so pairs are anything but independent: the
bootstrap draws molecules, and a pair counts as often as both of its molecules were drawn together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from specsearch.evaluation.figures import Figure
from specsearch.evaluation.intervals import Estimate
from specsearch.evaluation.progress import Progress, silent, told
from specsearch.evaluation.strata import Strata

SECTION = "similarity"
SIMILAR = (0.4, 0.6)  # Tanimoto from which two molecules count as similar
_RESAMPLES = 200

Values = NDArray[np.floating]
PairWeights = NDArray[np.float64]
Measure = Callable[[PairWeights], float]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Values by their place among all, equal values in one place.

    Parameters
    ----------
    place : numpy.ndarray of shape (n,), int64
        0 for the smallest.
    n_places : int
    """

    place: NDArray[np.int64]
    n_places: int

    @classmethod
    def of(cls, values: Values) -> Ranked:
        """Sort the values once, so that each resample only has to add up weights."""
        unique, place = np.unique(values, return_inverse=True)
        return cls(place, len(unique))

    def below(self, weight: PairWeights) -> PairWeights:
        """Weight of the values below each value, and half of the weight of its equals, shape (n,)."""
        total = np.bincount(self.place, weights=weight, minlength=self.n_places)
        return (np.cumsum(total) - total / 2.0)[self.place]


def spearman(one: Ranked, other: Ranked, weight: PairWeights) -> float:
    """Rank correlation (Spearman, Am. J. Psychol. 15, 72 (1904)) of weighted values, ties by mid-ranks.

    Parameters
    ----------
    one, other : Ranked
        Of equal length n.
    weight : numpy.ndarray of shape (n,)
        How often each pair counts.
    """
    x, y = one.below(weight), other.below(weight)
    total = weight.sum()
    x, y = x - weight @ x / total, y - weight @ y / total
    norm = np.sqrt((weight @ x**2) * (weight @ y**2))
    return float(weight @ (x * y) / norm) if norm > 0 else np.nan


def auc(score: Ranked, is_similar: NDArray[np.bool_], weight: PairWeights) -> float:
    """Chance that a similar pair scores above a dissimilar one, ties counting half (Mann and Whitney).

    NaN where there are no similar or no dissimilar pairs.
    """
    similar = np.where(is_similar, weight, 0.0)
    dissimilar = weight - similar
    n_pairs = similar.sum() * dissimilar.sum()
    return float(similar @ score.below(dissimilar) / n_pairs) if n_pairs > 0 else np.nan


def correlation_figures(
    scores: Mapping[str, Values],
    similarity: Values,
    positive: NDArray[np.bool_],
    strata: Strata,
    progress: Progress = silent,
) -> Iterator[Figure]:
    """Spearman correlation with structural similarity, and AUC of telling similar pairs from others.

    Parameters
    ----------
    scores : mapping of str to numpy.ndarray of shape (n_spectra, n_spectra)
        Similarity of the spectra of different molecules, one spectrum of each.
    similarity : numpy.ndarray of shape (n_spectra, n_spectra)
        Tanimoto of their molecules.
    positive : numpy.ndarray of shape (n_spectra,), bool
        Ion mode; only pairs of one mode are asked about.
    strata : Strata
        Of the spectra; both spectra of a pair belong to the stratum.
    progress : Progress
    """
    tasks = [(stratum, name) for stratum in strata for name in scores]
    for stratum, name in told(tasks, "correlation with structure", progress):
        rows = np.flatnonzero(strata[stratum])
        same_mode = positive[rows][:, None] == positive[rows][None, :]
        left, right = np.nonzero(np.triu(same_mode, k=1))
        if not len(left):
            continue
        score = scores[name][rows[left], rows[right]]
        # In the order of the score, summing over its ranks walks through memory: more than twice as fast.
        order = np.argsort(score, kind="stable")
        left, right, score = left[order], right[order], score[order]
        measures = _measures(Ranked.of(score), similarity[rows[left], rows[right]])
        found = _estimates(measures, left, right, len(rows))
        for measure, value in found.items():
            yield Figure(SECTION, name, measure, stratum, value)


def _measures(score: Ranked, structure: Values) -> dict[str, Measure]:
    """What is computed of weighted pairs, by name."""
    aucs = {f"AUC, Tanimoto >= {bound}": partial(auc, score, structure >= bound) for bound in SIMILAR}
    return {"Spearman": partial(spearman, score, Ranked.of(structure)), **aucs}


def _estimates(
    measures: Mapping[str, Measure],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    n_molecules: int,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Each measure with its 95 % interval, without those that these pairs do not define."""
    whole = np.ones(len(left))
    values = {name: value for name, of in measures.items() if np.isfinite(value := of(whole))}
    generator = np.random.default_rng(seed)
    resampled: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(_RESAMPLES):
        count = np.bincount(generator.integers(0, n_molecules, n_molecules), minlength=n_molecules)
        weight = (count[left] * count[right]).astype(np.float64)
        for name, kept in resampled.items():
            kept.append(measures[name](weight) if weight.any() else np.nan)
    bounds = {name: np.nanquantile(kept, [0.025, 0.975]) for name, kept in resampled.items()}
    return {
        name: Estimate(value, float(bounds[name][0]), float(bounds[name][1]), n_molecules, len(left))
        for name, value in values.items()
    }
