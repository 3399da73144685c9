"""Rankers fitted on judged lists, and what such rankers say of molecules that they were not fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
from numpy.typing import NDArray

from specsearch.errors import TrainingError
from specsearch.evaluation.decision_lists import JudgedList
from specsearch.evaluation.intervals import molecule_weights
from specsearch.search.candidate_scores import CandidateScores
from specsearch.search.list_features import FRAGMENT_SCORES, LIBRARY_SCORES, candidate_features, feature_names
from specsearch.search.ranking import EVIDENCE, Ranker

N_FOLDS = 5
_N_TREES = 150
# Small trees, much shrinkage: a few thousand molecules. Chosen by cross-validation, which hardly cares.
_TREES = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.05,
    "min_data_in_leaf": 100,
    "lambda_l2": 5.0,
    "feature_fraction": 0.5,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # the same trees on every machine
    "verbose": -1,
}


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What rankers say of lists whose molecules they were not fitted on.

    Parameters
    ----------
    present : list of numpy.ndarray of shape (n_candidates,)
        Log-odds of each list.
    absent : list of numpy.ndarray of shape (n_candidates - 1,)
        The same with the right molecule taken out of the bank.
    """

    present: list[NDArray[np.float64]]
    absent: list[NDArray[np.float64]]


def seen_with(evidence: str, scores: CandidateScores) -> CandidateScores:
    """A list as it is where only some evidence is at hand."""
    unknown = np.full(len(scores), np.nan)
    hidden = set(LIBRARY_SCORES + FRAGMENT_SCORES) - set(EVIDENCE[evidence])
    return replace(scores, **dict.fromkeys(hidden, unknown))


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of the candidates of all lists, laid end to end."""

    rows: NDArray[np.float64]
    start: NDArray[np.int64]

    @classmethod
    def of(cls, lists: Iterable[CandidateScores], names: tuple[str, ...], without: str = "") -> FeatureTable:
        """Features of some scores; `without` leaves out those made of one of `feature_names`."""
        kept = [name != without for name in feature_names(names)]
        found = [candidate_features(scores, names)[:, kept] for scores in lists]
        return cls(np.concatenate(found), np.cumsum([0, *map(len, found)]))

    def only(self, lists: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rows of some lists."""
        return np.concatenate([self.rows[self.start[i] : self.start[i + 1]] for i in lists])

    def parted(self, values: NDArray[np.float64], lists: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        """Values of the rows of some lists, list by list."""
        return np.split(values, np.cumsum(np.diff(self.start)[lists])[:-1])


def fit_ranker(lists: Sequence[JudgedList], evidence: str) -> Ranker:
    """Fit the trees for one kind of evidence.

    Parameters
    ----------
    lists : sequence of JudgedList
        Of molecules that the encoder was not trained on; each molecule counts once.
    evidence : str
        A name in `specsearch.search.ranking.EVIDENCE`.

    Raises
    ------
    TrainingError
        If there is no list with more than one candidate.
    """
    table = FeatureTable.of((one.scores for one in lists), EVIDENCE[evidence])
    return Ranker(evidence, fit_trees(table, lists, np.arange(len(lists))).model_to_string())


def out_of_fold(lists: Sequence[JudgedList], evidence: str, *, without: str = "", seed: int = 0) -> OutOfFold:
    """Rank each list by trees fitted without its molecule.

    Parameters
    ----------
    lists, evidence
        As in `fit_ranker`.
    without : str
        What to leave out, a name in `feature_names`; nothing by default.
    seed : int
        Of the folds.
    """
    tables = [
        FeatureTable.of((one.scores for one in lists), EVIDENCE[evidence], without),
        FeatureTable.of((one.without_truth() for one in lists), EVIDENCE[evidence], without),
    ]
    fold = molecule_folds(lists, seed)
    found: list[list[NDArray[np.float64]]] = [[np.empty(0)] * len(lists) for _ in tables]
    for k in np.unique(fold).tolist():
        booster = fit_trees(tables[0], lists, np.flatnonzero(fold != k))
        held = np.flatnonzero(fold == k)
        for table, answers in zip(tables, found, strict=True):
            values = np.asarray(booster.predict(table.only(held), raw_score=True, num_threads=1))
            for row, own in zip(held.tolist(), table.parted(values, held), strict=True):
                answers[row] = own
    return OutOfFold(*found)


def molecule_folds(lists: Sequence[JudgedList], seed: int = 0) -> NDArray[np.int64]:
    """The fold of each list, shape (n_lists,); lists of one molecule share theirs."""
    names, number = np.unique([one.molecule for one in lists], return_inverse=True)
    return np.random.default_rng(seed).permutation(len(names))[number] % N_FOLDS


def fit_trees(
    table: FeatureTable, lists: Sequence[JudgedList], chosen: NDArray[np.int64]
) -> lightgbm.Booster:
    """Trees of some of the lists.

    Raises
    ------
    TrainingError
        If there is no list with more than one candidate.
    """
    used = np.array([row for row in chosen if len(lists[row].scores) > 1], dtype=np.int64)
    if not len(used):
        raise TrainingError("There is no list with more than one candidate to fit a ranker on.")
    weight = molecule_weights(np.array([lists[row].molecule for row in used]))
    truth = [np.arange(len(lists[row].scores)) == lists[row].truth for row in used]
    data = lightgbm.Dataset(
        table.only(used),
        np.concatenate(truth).astype(np.int32),
        weight=np.repeat(weight / weight.mean(), [len(rows) for rows in truth]),
    )
    return lightgbm.train(_TREES, data, _N_TREES)
