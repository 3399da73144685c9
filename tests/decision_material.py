"""SYNTHETIC candidate lists whose truth is known, and a decision layer fitted on them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from specsearch.evaluation.decision_fit import fit_decision
from specsearch.evaluation.decision_lists import JudgedList
from specsearch.search.candidate_scores import CandidateScores
from specsearch.search.decision import DecisionLayer


def made_scores(rng: np.random.Generator, n: int, truth: int, help_of_truth: float) -> CandidateScores:
    """Scores of n candidates; those of the truth are raised by so many deviations."""
    lift = np.zeros(n)
    lift[truth] = help_of_truth
    columns = [rng.normal(size=n) + lift for _ in range(6)]
    projection, logit, cosine, library, fragment, explained = columns
    return CandidateScores(
        np.arange(n),
        np.zeros(n, dtype=np.int64),
        np.ones(n, dtype=bool),
        np.round(rng.normal(0, 3, n) * (np.arange(n) != truth), 3),
        projection / 5,
        10 * logit,
        cosine / 10 + 0.4,
        np.zeros(n),
        library / 10 + 0.3,
        np.zeros(n, dtype=np.int64),
        np.full(n, 3.0),
        np.clip(explained / 10 + 0.5, 0, 1),
        fragment / 10 + 0.4,
    )


def made_lists(n_molecules: int, seed: int = 0) -> list[JudgedList]:
    """Two lists a molecule, of one to twelve candidates."""
    rng = np.random.default_rng(seed)
    lists = []
    for number in range(2 * n_molecules):
        n = int(rng.integers(1, 13))
        truth = int(rng.integers(n))
        lists.append(JudgedList(made_scores(rng, n, truth, rng.uniform(0, 3)), truth, number // 2))
    return lists


@lru_cache
def fitted_layer(encoder: str) -> DecisionLayer:
    """A layer fitted on 300 synthetic molecules."""
    return fit_decision(made_lists(300), encoder, {"data": "synthetic"})
