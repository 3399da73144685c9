"""What a decision layer sees of a list: each candidate against the others, and the list as a whole.

No feature depends on the order of the candidates, so that none can tell in which order a bank was written.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from specsearch.search.candidate_scores import CandidateScores, standardised

_MASS_SIGMAS_PPM = (1.0, 3.0)  # finer would learn which libraries give calculated precursors
_SAME_FORMULA_PPM = 0.02  # isomers weigh the same but for rounding; other formulas are rarely that near
_LONGEST_ODDS = 8.0

ENCODER_SCORES = ("projection", "logit", "cosine")
LIBRARY_SCORES = ("library_similarity",)
FRAGMENT_SCORES = ("fragment_score", "explained_intensity")
_LED = (*ENCODER_SCORES, *LIBRARY_SCORES, *FRAGMENT_SCORES)
_LOGIT_SCALE = 0.1  # brings sums over some fifty bits to the size of the other leads
MASS, FORMULA, LENGTH = "mass", "formula", "length"
LIST_FEATURES = (
    "log-odds of the first among its list",
    "log-odds of the first",
    "log-odds of the second",
    "log of the list's length",
    "cosine of the first",
    "projection of the first",
    "library similarity of the first",
    "highest library similarity",
    "fragment score of the first",
    "explained intensity of the first",
    "highest explained intensity",
    "mass of the first within 3 ppm",
    *(f"{name} of the first beyond that of the others" for name in _LED),
    "log of the peaks explained by the first",
    "peaks that another explains beyond",
    "log of the candidates with the first one's formula",
    "log-odds of the first among other formulas",
)


def candidate_features(scores: CandidateScores, names: tuple[str, ...]) -> NDArray[np.float64]:
    """One row a candidate: scores, masses, formula and length of the list; NaN where nothing is known.

    Parameters
    ----------
    scores : CandidateScores
    names : tuple of str
        Which of its scores take part.

    Returns
    -------
    numpy.ndarray of shape (n_candidates, n_features)
        For each score: standardised, centred and as distance to the list's best, its rank (ties share the
        mean of theirs) and, but for the logits, whose size depends on the query, the score itself.
    """
    columns = [column for name in names for column in _compared(getattr(scores, name), name != "logit")]
    error = scores.mass_error_ppm
    for sigma in _MASS_SIGMAS_PPM:
        near = np.nan_to_num(np.exp(-0.5 * (error / sigma) ** 2))
        columns += [near, standardised(near)]
    columns += [_share_of_formula(error), np.full(len(scores), np.log(max(1, len(scores))))]
    return np.stack(columns, axis=1)


def feature_names(names: tuple[str, ...]) -> list[str]:
    """What each column of `candidate_features` was made of: a score, the mass, the formula or the length."""
    of_scores = [name for name in names for _ in range(4 + (name != "logit"))]
    return [*of_scores, *[MASS] * (2 * len(_MASS_SIGMAS_PPM)), FORMULA, LENGTH]


def list_features(scores: CandidateScores, log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """What says how sure a list is of its first candidate, shape (n_list_features,), as `LIST_FEATURES`.

    Parameters
    ----------
    scores : CandidateScores
        Of at least one candidate.
    log_odds : numpy.ndarray of shape (n_candidates,)
        What the list is ranked by.
    """
    first = int(log_odds.argmax())
    others = np.delete(log_odds, first)
    rest = float(np.logaddexp.reduce(others)) if len(others) else -np.inf
    near = np.exp(-0.5 * (scores.mass_error_ppm[first] / _MASS_SIGMAS_PPM[-1]) ** 2)
    found = (
        log_odds[first] - rest,
        log_odds[first],
        others.max() if len(others) else -np.inf,
        np.log(len(scores)),
        scores.cosine[first],
        scores.projection[first],
        scores.library_similarity[first],
        _highest(scores.library_similarity),
        scores.fragment_score[first],
        scores.explained_intensity[first],
        _highest(scores.explained_intensity),
        near,
    )
    leads = [_lead(getattr(scores, name), first) for name in _LED]
    leads[_LED.index("logit")] *= _LOGIT_SCALE
    n_explained = np.nan_to_num(scores.n_explained)
    is_other = ~same_formula(scores.mass_error_ppm, scores.mass_error_ppm[first])
    more = (
        *leads,
        np.log1p(n_explained[first]),
        n_explained.max() - n_explained[first],
        np.log((~is_other).sum()),
        log_odds[first] - np.logaddexp.reduce(log_odds[is_other], initial=-np.inf),
    )
    values = np.nan_to_num(
        np.array([*found, *more], dtype=np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf
    )
    return np.clip(values, -_LONGEST_ODDS, _LONGEST_ODDS)


def _compared(score: NDArray[np.float64], with_itself: bool) -> list[NDArray[np.float64]]:
    """A score against those of the other candidates."""
    known = np.isfinite(score)
    values = score[known]
    found = [
        standardised(values),
        values - values.mean() if len(values) else values,
        values - values.max(initial=-np.inf),
        _ranks(np.round(values, 9)),
        *([values] if with_itself else []),
    ]
    return [_spread(column, known) for column in found]


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 for the highest; equal values share the mean of theirs."""
    _, which, counts = np.unique(-values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


def _spread(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    column = np.full(len(known), np.nan)
    column[known] = values
    return column


def _share_of_formula(error_ppm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the list that weighs the same; 1 where masses are not known."""
    ascending = np.sort(error_ppm)
    n_same = np.searchsorted(ascending, error_ppm + _SAME_FORMULA_PPM, "right") - np.searchsorted(
        ascending, error_ppm - _SAME_FORMULA_PPM, "left"
    )
    return np.where(np.isfinite(error_ppm), n_same / max(1, len(error_ppm)), 1.0)


def same_formula(error_ppm: NDArray[np.float64], own: float) -> NDArray[np.bool_]:
    """Which candidates weigh what this one does; all of them where masses are not known."""
    return ~(np.abs(error_ppm - own) > _SAME_FORMULA_PPM)


def _lead(values: NDArray[np.float64], first: int) -> float:
    """How far the first candidate's score is above the best of the others; 1 without any other."""
    known = np.nan_to_num(values)
    others = np.delete(known, first)
    return float(known[first] - others.max()) if len(others) else 1.0


def _highest(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else 0.0
