"""The ranker: one number from all scores of a list, by boosted trees fitted on unseen molecules.

The trees (LightGBM) give each candidate the log-odds of being the right one, from its scores, their ranks and
gaps within the list, its mass error, how many of the list share its formula, and the list's length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import lightgbm
import numpy as np
from numpy.typing import NDArray

from specsearch.errors import CheckpointError
from specsearch.search.candidate_scores import CandidateScores
from specsearch.search.list_features import (
    ENCODER_SCORES,
    FRAGMENT_SCORES,
    LIBRARY_SCORES,
    candidate_features,
    feature_names,
)

_ENCODER = "encoder"
_LIBRARY, _FRAGMENTS = "library", "fragments"
_WRITTEN = " + "
EVIDENCE: dict[str, tuple[str, ...]] = {
    _ENCODER: ENCODER_SCORES,
    _WRITTEN.join((_ENCODER, _LIBRARY)): ENCODER_SCORES + LIBRARY_SCORES,
    _WRITTEN.join((_ENCODER, _FRAGMENTS)): ENCODER_SCORES + FRAGMENT_SCORES,
    _WRITTEN.join((_ENCODER, _LIBRARY, _FRAGMENTS)): ENCODER_SCORES + LIBRARY_SCORES + FRAGMENT_SCORES,
}
"""Scores that take part, by what is at hand: each has a ranker of its own."""


def evidence_of(scores: CandidateScores) -> str:
    """What is known of a list beside the encoder's opinion: one of the names in `EVIDENCE`."""
    parts = [_ENCODER]
    parts += [_LIBRARY] if np.isfinite(scores.library_similarity).any() else []
    parts += [_FRAGMENTS] if np.isfinite(scores.fragment_score).any() else []
    return _WRITTEN.join(parts)


@dataclass(frozen=True)
class Ranker:
    """Fitted trees for one kind of evidence; called with a list's scores it gives what to rank by.

    Parameters
    ----------
    evidence : str
        A name in `EVIDENCE`.
    trees : str
        LightGBM's text of the model: plain numbers, nothing in it is executed.

    Raises
    ------
    CheckpointError
        If the text is no model, or one of other features.
    """

    evidence: str
    trees: str

    def __post_init__(self) -> None:
        if self.evidence not in EVIDENCE:
            raise CheckpointError(f"The ranker knows evidence {self.evidence!r}, which does not exist.")
        _ = self._booster  # a damaged text is an error now, not at the first query

    def __call__(self, scores: CandidateScores) -> NDArray[np.float64]:
        """Log-odds of each candidate, shape (n_candidates,)."""
        return self.log_odds(candidate_features(scores, EVIDENCE[self.evidence]))

    def log_odds(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds, shape (n_candidates,), from features of candidates of any lists."""
        if not len(features):
            return np.empty(0)
        return np.asarray(self._booster.predict(features, raw_score=True, num_threads=1), dtype=np.float64)

    def contributions(self, scores: CandidateScores) -> dict[str, NDArray[np.float64]]:
        """What each score, the mass, the formula and the length of the list add to a candidate's log-odds.

        Returns
        -------
        dict of str to numpy.ndarray of shape (n_candidates,)
            Shapley values of the trees (Lundberg et al., Nat. Mach. Intell. 2, 56 (2020)), summed over the
            features made of one score; they add up to the log-odds less what all candidates share.
        """
        names = EVIDENCE[self.evidence]
        features = candidate_features(scores, names)
        shares = np.asarray(self._booster.predict(features, pred_contrib=True, num_threads=1))
        of_feature = np.array(feature_names(names))
        return {name: shares[:, :-1][:, of_feature == name].sum(axis=1) for name in dict.fromkeys(of_feature)}

    @cached_property
    def _booster(self) -> lightgbm.Booster:
        return read_trees(self.trees, len(feature_names(EVIDENCE[self.evidence])))


def read_trees(text: str, n_features: int) -> lightgbm.Booster:
    """Trees from LightGBM's text.

    Raises
    ------
    CheckpointError
        If the text is no model, or one of another number of features.
    """
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise CheckpointError(f"The ranker's trees cannot be read: {error}") from None
    if booster.num_feature() != n_features:
        raise CheckpointError(f"The ranker's trees read {booster.num_feature()} features, not {n_features}.")
    return booster


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponentials scaled to the sum 1; empty for an empty list."""
    if not len(values):
        return values
    powers = np.exp(values - values.max())
    return powers / powers.sum()
