"""How sure a shortlist may be: a calibrated probability, a word for it, and what cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from lightgbm import Booster
from numpy.typing import NDArray

from specsearch.search.candidate_scores import CandidateScores
from specsearch.search.list_features import LIST_FEATURES, list_features
from specsearch.search.ranking import read_trees, softmax

HIGH, MEDIUM, LOW, CANNOT_SAY = BANDS = ("high", "medium", "low", "cannot say")
_FEW = 3
_STEEPEST, _HALVINGS = 50.0, 40


@dataclass(frozen=True)
class Logistic:
    """A logistic model on `specsearch.search.list_features.LIST_FEATURES`.

    Parameters
    ----------
    weights : tuple of float
        One for each feature.
    bias : float
    """

    weights: tuple[float, ...]
    bias: float

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities, shape (...,), from features of shape (..., n_list_features)."""
        return np.asarray(1.0 / (1.0 + np.exp(-(features @ np.array(self.weights) + self.bias))))


@dataclass(frozen=True, eq=False)
class Rating:
    """How sure one list is.

    Parameters
    ----------
    probability : numpy.ndarray of shape (n_candidates,)
        Of each candidate being right, if the bank has the right one; sums to 1.
    confidence : float
        Probability that the bank has the right molecule and that it stands first, where the bank has that
        of every second query: what bands and thresholds are read off.
    band : str
        One of `BANDS`.
    n_near_ties : int
        Candidates whose probability is more than half of the first's, the first included.
    in_shortlist : dict of str to numpy.ndarray of shape (n_candidates,), bool
        By coverage, e.g. ``"90%"``: the shortest list that holds the right one so often, if the bank has it.
    """

    probability: NDArray[np.float64]
    confidence: float
    band: str
    n_near_ties: int
    in_shortlist: dict[str, NDArray[np.bool_]]

    @property
    def ambiguity(self) -> str:
        """``"clear"`` for a first candidate without near ties, ``"few"`` for up to three, else ``"many"``."""
        return "clear" if self.n_near_ties == 1 else "few" if self.n_near_ties <= _FEW else "many"

    def at_most(self, band: str) -> Rating:
        """The same with no better word than this one."""
        return replace(self, band=BANDS[max(BANDS.index(self.band), BANDS.index(band))])


@dataclass(frozen=True)
class Confidence:
    """A fitted model of confidence.

    Parameters
    ----------
    right : Logistic
        Whether the first candidate is right, where the bank has the right one.
    sure : str
        Trees (LightGBM's text) for `Rating.confidence`: how sure to be where the bank may lack the molecule.
    bands : mapping of str to float
        Lowest confidence of each band but the last.
    shortlists : mapping of str to float
        Lowest probability of a member, by coverage.
    risks : mapping of str to float
        By the share of wrong answers allowed: confidence above which to answer; infinity for none.

    Raises
    ------
    CheckpointError
        If the trees cannot be read.
    """

    right: Logistic
    sure: str
    bands: Mapping[str, float]
    shortlists: Mapping[str, float]
    risks: Mapping[str, float]

    def __post_init__(self) -> None:
        _ = self._booster  # a damaged text is an error now, not at the first query

    def __call__(self, scores: CandidateScores, log_odds: NDArray[np.float64]) -> Rating:
        """Rate a list of at least one candidate.

        Parameters
        ----------
        scores : CandidateScores
        log_odds : numpy.ndarray of shape (n_candidates,)
            What it is ranked by.
        """
        features = list_features(scores, log_odds)
        probability = spread(float(self.right(features)), log_odds)
        confidence = float(self.confidence(features[None])[0])
        return Rating(
            probability,
            confidence,
            self.band_of(confidence),
            int((probability > probability.max() / 2).sum()),
            {
                name: (probability >= least) | (probability == probability.max())
                for name, least in self.shortlists.items()
            },
        )

    def confidence(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """`Rating.confidence` of lists, shape (n_lists,), from features (n_lists, n_list_features)."""
        return np.asarray(self._booster.predict(features, num_threads=1), dtype=np.float64)

    @cached_property
    def _booster(self) -> Booster:
        return read_trees(self.sure, len(LIST_FEATURES))

    def band_of(self, confidence: float) -> str:
        """The word for a confidence."""
        return next((band for band in BANDS[:-1] if confidence >= self.bands[band]), CANNOT_SAY)


def spread(first: float, log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of a list whose first has a known one: the log-odds, stretched until they agree.

    Parameters
    ----------
    first : float
        Less than an even share counts as one, more than ties at the top allow as that.
    log_odds : numpy.ndarray of shape (n_candidates,)
    """
    low, high = 0.0, _STEEPEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if softmax(middle * log_odds).max() > first else (middle, high)
    return softmax(low * log_odds)
