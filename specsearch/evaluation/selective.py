"""Answering only when sure: risk against coverage, and what happens when the truth is not in the bank.

Risk is the share of wrong answers among those given, coverage the share of queries that get one. Every
molecule counts once. Queries of equal confidence cannot be told apart: they are answered together, or in
an order drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from specsearch.evaluation.figures import Figure
from specsearch.evaluation.intervals import estimate, estimate_statistic, molecule_weights
from specsearch.evaluation.strata import ALL

_ABSENT_POINTS = 200


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """A risk-coverage curve; each point answers the queries of at least its threshold.

    Parameters
    ----------
    threshold, coverage, risk : numpy.ndarray of shape (n_points,)
        Coverage ascending.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AbsentCurve:
    """What a threshold of confidence does where the true molecule is in the bank, and where it is not.

    Parameters
    ----------
    threshold, coverage, risk, rated_absent : numpy.ndarray of shape (n_points,)
        Of queries whose truth is in the bank: the share answered, and the share of these that is wrong
        (NaN where none is answered). Of queries whose truth was removed: the share answered all the same.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    rated_absent: NDArray[np.float64]


def risk_coverage(confidence: ArrayLike, wrong: ArrayLike, molecule: NDArray[np.int64]) -> RiskCoverage:
    """The curve over all distinct confidences (El-Yaniv and Wiener, JMLR 11, 1605 (2010)).

    Parameters
    ----------
    confidence : array-like of shape (n_queries,)
        Larger is surer.
    wrong : array-like of shape (n_queries,)
        Loss of the answer: 1 where it is wrong, 0 where it is right.
    molecule : numpy.ndarray of shape (n_queries,), int64
    """
    sure, loss, block = _sorted(confidence, wrong)
    weight = molecule_weights(molecule)[_order(confidence)]
    answered, lost = np.cumsum(weight), np.cumsum(weight * loss)
    last = np.flatnonzero(np.diff(block, append=block[-1] + 1))
    return RiskCoverage(sure[last], answered[last] / answered[-1], lost[last] / answered[last])


def area_under_risk(confidence: ArrayLike, wrong: ArrayLike, weight: NDArray[np.float64]) -> float:
    """AURC: the mean risk over all coverages (Geifman, Uziel, El-Yaniv, ICLR 2019).

    Parameters
    ----------
    confidence, wrong : array-like of shape (n_queries,)
    weight : numpy.ndarray of shape (n_queries,)
    """
    order = _order(confidence)
    _, loss, block = _sorted(confidence, wrong)
    return _area(loss, block, weight[order])


def selective_figures(
    section: str, score: str, confidence: ArrayLike, wrong: ArrayLike, molecule: NDArray[np.int64]
) -> Iterator[Figure]:
    """AURC, and how much of it a perfect order of the same answers would save (excess AURC).

    Parameters
    ----------
    section, score : str
        As in `Figure`.
    confidence, wrong : array-like of shape (n_queries,)
    molecule : numpy.ndarray of shape (n_queries,), int64
    """
    order, best = _order(confidence), _order(-np.asarray(wrong, dtype=np.float64))
    _, loss, block = _sorted(confidence, wrong)
    _, best_loss, best_block = _sorted(-np.asarray(wrong, dtype=np.float64), wrong)

    def area(weight: NDArray[np.float64]) -> float:
        return _area(loss, block, weight[order])

    def excess(weight: NDArray[np.float64]) -> float:
        return area(weight) - _area(best_loss, best_block, weight[best])

    yield Figure(section, score, "AURC", ALL, estimate_statistic(area, molecule))
    yield Figure(section, score, "excess AURC", ALL, estimate_statistic(excess, molecule))


def rated_figures(
    section: str,
    score: str,
    is_rated: NDArray[np.bool_],
    wrong: ArrayLike,
    molecule: NDArray[np.int64],
    rated_absent: tuple[NDArray[np.bool_], NDArray[np.int64]] | None = None,
) -> Iterator[Figure]:
    """What a rating such as "high" is worth: its share of the queries, and its precision.

    Parameters
    ----------
    section, score : str
        As in `Figure`; the score names the rating.
    is_rated : numpy.ndarray of shape (n_queries,), bool
    wrong : array-like of shape (n_queries,)
    molecule : numpy.ndarray of shape (n_queries,), int64
    rated_absent : (numpy.ndarray of bool, numpy.ndarray of int64), optional
        The rating of the queries, and their molecules, with the truth removed from the bank.
    """
    right = 1.0 - np.asarray(wrong, dtype=np.float64)
    yield Figure(section, score, "share of queries", ALL, estimate(is_rated, molecule))

    def precision(weight: NDArray[np.float64]) -> float:
        answered = float((weight * is_rated).sum())
        return float((weight * is_rated * right).sum()) / answered if answered else float("nan")

    if is_rated.any():
        yield Figure(section, score, "precision", ALL, estimate_statistic(precision, molecule))
    if rated_absent is not None:
        name = "share of queries, truth removed"
        yield Figure(section, score, name, ALL, estimate(*rated_absent))


def absent_curve(
    confidence: ArrayLike,
    wrong: ArrayLike,
    molecule: NDArray[np.int64],
    confidence_absent: ArrayLike,
    molecule_absent: NDArray[np.int64],
) -> AbsentCurve:
    """How far each threshold of confidence protects from a truth that is not in the bank.

    Parameters
    ----------
    confidence, wrong : array-like of shape (n_queries,)
        With the truth in the bank.
    molecule : numpy.ndarray of shape (n_queries,), int64
    confidence_absent : array-like of shape (n_absent,)
        Of queries whose truth was removed.
    molecule_absent : numpy.ndarray of shape (n_absent,), int64

    Returns
    -------
    AbsentCurve
        At up to 200 thresholds, from the surest to the least sure.
    """
    present, absent = np.asarray(confidence, dtype=float), np.asarray(confidence_absent, dtype=float)
    levels = np.unique(np.concatenate([present, absent]))[::-1]
    chosen = np.unique(np.linspace(0, len(levels) - 1, min(len(levels), _ABSENT_POINTS)).astype(int))
    threshold, weight = levels[chosen], molecule_weights(molecule)
    answered = _at_least(present, weight, threshold)
    lost = _at_least(present, weight * np.asarray(wrong, dtype=float), threshold)
    weight_absent = molecule_weights(molecule_absent)
    return AbsentCurve(
        threshold,
        answered / weight.sum(),
        np.divide(lost, answered, out=np.full(len(lost), np.nan), where=answered > 0),
        _at_least(absent, weight_absent, threshold) / weight_absent.sum(),
    )


def _at_least(
    values: NDArray[np.float64], weight: NDArray[np.float64], threshold: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weight of the values at or above each threshold."""
    order = np.argsort(values, kind="stable")
    total = np.concatenate([np.cumsum(weight[order][::-1])[::-1], [0.0]])
    return total[np.searchsorted(values[order], threshold, side="left")]


def _order(confidence: ArrayLike) -> NDArray[np.int64]:
    return np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")


def _sorted(
    confidence: ArrayLike, wrong: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Confidence descending, the loss in that order, and the number of each block of equals."""
    order = _order(confidence)
    sure = np.asarray(confidence, dtype=np.float64)[order]
    block = np.cumsum(np.diff(sure, prepend=sure[:1]) != 0)
    return sure, np.asarray(wrong, dtype=np.float64)[order], block


def _area(loss: NDArray[np.float64], block: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    """Mean risk over coverages; within a block of equals every answer has the block's mean loss."""
    total = np.bincount(block, weights=weight)
    lost = np.bincount(block, weights=weight * loss)
    mean = np.divide(lost, total, out=np.zeros(len(total)), where=total > 0)
    counted = weight > 0
    weight, mean_loss = weight[counted], mean[block[counted]]
    risk = np.cumsum(weight * mean_loss) / np.cumsum(weight)
    return float((weight * risk).sum() / weight.sum())
