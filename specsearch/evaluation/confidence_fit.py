"""Confidence fitted on lists that their rankers had not seen: probabilities, bands, shortlists, risks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize

from specsearch.evaluation.abstention import choose_threshold, one_of_each, risk_bound
from specsearch.evaluation.conformal import Beliefs, shortlist_threshold
from specsearch.evaluation.decision_lists import JudgedList, LaidLists
from specsearch.evaluation.intervals import molecule_weights
from specsearch.evaluation.ranker_fit import N_FOLDS, OutOfFold
from specsearch.search.confidence import HIGH, LOW, MEDIUM, Confidence, Logistic, spread
from specsearch.search.list_features import list_features

COVERAGES = (0.8, 0.9, 0.95)
RISKS = (0.05, 0.1, 0.2, 0.3, 0.5)
_HIGH_RISK = 0.07  # below the 10 % that "high" stands for: unknowns are seldom like the lists of a fit
_HIGH_ABSENT = 0.045  # likewise below the 5 % that may be rated "high" where the bank lacks the molecule
_RIGHT_AT = {MEDIUM: 0.5, LOW: 0.2}  # chance that rank 1 is right at the lower edge of a band
_DELTA = 0.05
_RIDGE = 0.001
_N_TREES = 150
_TREES = {
    "objective": "cross_entropy",
    "num_leaves": 7,
    "learning_rate": 0.05,
    "min_data_in_leaf": 80,
    "lambda_l2": 5.0,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


@dataclass(frozen=True, eq=False)
class RatedLists:
    """What a model of confidence is fitted on.

    Parameters
    ----------
    features, absent_features : numpy.ndarray of shape (n_lists, n_list_features)
        With and without the right molecule; lists that it leaves empty are missing among the latter.
    right : numpy.ndarray of shape (n_lists,)
        Chance that the first candidate is right, ties drawn at random.
    molecule, absent_molecule : numpy.ndarray, int64
    """

    features: NDArray[np.float64]
    right: NDArray[np.float64]
    molecule: NDArray[np.int64]
    absent_features: NDArray[np.float64]
    absent_molecule: NDArray[np.int64]


def rated_lists(lists: Sequence[JudgedList], ranked: OutOfFold) -> RatedLists:
    """Gather the features of all lists, with the truth and without."""
    absent = [(one, odds) for one, odds in zip(lists, ranked.absent, strict=True) if len(odds)]
    return RatedLists(
        np.stack([list_features(one.scores, odds) for one, odds in zip(lists, ranked.present, strict=True)]),
        np.array([is_first(odds, one.truth) for one, odds in zip(lists, ranked.present, strict=True)]),
        np.array([one.molecule for one in lists]),
        np.stack([list_features(one.without_truth(), odds) for one, odds in absent]),
        np.array([one.molecule for one, _ in absent]),
    )


def is_first(log_odds: NDArray[np.float64], truth: int) -> float:
    """Chance that the truth stands first, ties drawn at random."""
    best = log_odds == log_odds.max()
    return float(best[truth] / best.sum())


def fit_confidence(lists: Sequence[JudgedList], ranked: OutOfFold) -> Confidence:
    """Fit the model of confidence for one kind of evidence.

    Parameters
    ----------
    lists : sequence of JudgedList
    ranked : OutOfFold
        Of the same lists.
    """
    rated = rated_lists(lists, ranked)
    right = fit_logistic(rated.features, rated.right, molecule_weights(rated.molecule))
    wrong, molecule = 1.0 - rated.right, rated.molecule
    confidence, absent = _confidence_out_of_fold(rated)
    high = max(
        choose_threshold(confidence, wrong, molecule, _HIGH_RISK, delta=_DELTA).threshold,
        _least_rated(absent, rated.absent_molecule, len(np.unique(molecule))),
    )
    bands = {HIGH: high}
    for band, share in _RIGHT_AT.items():
        bands[band] = min(high, _where_right(confidence, rated.right, molecule_weights(molecule), share))
    beliefs = _beliefs(lists, ranked, right(rated.features))
    return Confidence(
        right,
        fit_sure(rated, np.ones(len(rated.right), bool), np.ones(len(rated.absent_features), bool)),
        bands,
        {f"{share:.0%}": shortlist_threshold(beliefs, 1.0 - share) for share in COVERAGES},
        # No confidence is below 0: where everything may be answered, everything is.
        {f"{r:.0%}": max(0.0, choose_threshold(confidence, wrong, molecule, r).threshold) for r in RISKS},
    )


def fit_logistic(
    features: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> Logistic:
    """Logistic regression by maximum likelihood, lightly ridged on standardised features.

    Parameters
    ----------
    features : numpy.ndarray of shape (n_lists, n_list_features)
    target : numpy.ndarray of shape (n_lists,)
        0 to 1.
    weight : numpy.ndarray of shape (n_lists,)
    """
    weight = weight / weight.sum()
    centre = weight @ features
    scale = np.sqrt(weight @ (features - centre) ** 2)
    scale[scale < 1e-9] = 1.0  # a feature that is the same everywhere, such as one without evidence
    inputs = np.column_stack([(features - centre) / scale, np.ones(len(features))])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = inputs @ weights
        value = weight @ (np.logaddexp(0.0, odds) - target * odds) + _RIDGE * weights[:-1] @ weights[:-1]
        gradient = inputs.T @ (weight * (1.0 / (1.0 + np.exp(-odds)) - target))
        gradient[:-1] += 2 * _RIDGE * weights[:-1]
        return float(value), gradient

    found = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B").x
    weights = found[:-1] / scale
    return Logistic(tuple(weights.tolist()), float(found[-1] - weights @ centre))


def fit_sure(rated: RatedLists, is_used: NDArray[np.bool_], is_used_absent: NDArray[np.bool_]) -> str:
    """Trees for how sure to be, as if the bank lacked the molecule of every second query; as text."""
    parts = [
        molecule_weights(names) for names in (rated.molecule[is_used], rated.absent_molecule[is_used_absent])
    ]
    weight = np.concatenate([part / part.sum() for part in parts])
    data = lightgbm.Dataset(
        np.concatenate([rated.features[is_used], rated.absent_features[is_used_absent]]),
        np.concatenate([rated.right[is_used], np.zeros(int(is_used_absent.sum()))]),
        weight=weight / weight.mean(),
    )
    return str(lightgbm.train(_TREES, data, _N_TREES).model_to_string())


def _confidence_out_of_fold(rated: RatedLists) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidence of every list, with the truth and without, by trees that have not seen its molecule."""
    names = np.unique(rated.molecule)
    fold_of = np.random.default_rng(1).permutation(len(names)) % N_FOLDS
    own, absent_own = (
        fold_of[np.searchsorted(names, found)] for found in (rated.molecule, rated.absent_molecule)
    )
    present, absent = np.empty(len(own)), np.empty(len(absent_own))
    for k in np.unique(own).tolist():
        booster = lightgbm.Booster(model_str=fit_sure(rated, own != k, absent_own != k))
        present[own == k] = booster.predict(rated.features[own == k], num_threads=1)
        if (absent_own == k).any():
            absent[absent_own == k] = booster.predict(rated.absent_features[absent_own == k], num_threads=1)
    return present, absent


def _least_rated(absent: NDArray[np.float64], molecule: NDArray[np.int64], n_molecules: int) -> float:
    """The lowest confidence that, by its confidence bound, few enough lists without the truth reach."""
    sure = np.sort(absent[one_of_each(molecule)])[::-1]
    # The bound rises with the number rated: the first that is too many by bisection.
    n_allowed = bisect_right(range(len(sure)), _HIGH_ABSENT, key=lambda n: risk_bound(n, n_molecules, _DELTA))
    return float(np.nextafter(sure[max(n_allowed - 1, 0)], np.inf)) if len(sure) else 0.0


def _where_right(
    confidence: NDArray[np.float64], right: NDArray[np.float64], weight: NDArray[np.float64], share: float
) -> float:
    """The confidence at which so many are right, by isotonic regression of what is right on confidence."""
    order = np.argsort(confidence, kind="stable")
    fitted = isotonic_regression(right[order], weights=weight[order]).x
    reached = np.flatnonzero(fitted >= share)
    return float(confidence[order][reached[0]]) if len(reached) else np.inf


def _beliefs(lists: Sequence[JudgedList], ranked: OutOfFold, right: NDArray[np.float64]) -> Beliefs:
    """Probabilities of all candidates, as `Confidence` gives them."""
    laid = LaidLists.of(lists)
    probability = [spread(float(p), odds) for p, odds in zip(right, ranked.present, strict=True)]
    return Beliefs(np.concatenate(probability), laid.start, laid.truth, laid.molecule)
