"""A shortlist that holds the truth with a chosen probability: split-conformal prediction.

A threshold on the probabilities within a list is read off calibration lists (the score is that of Sadinle,
Lei, Wasserman, JASA 114, 223 (2019): the probability of the truth). For lists exchangeable with the
calibration lists the truth is then among the members with a probability of at least 1 - miss, averaged over
lists. Spectra of one molecule are not exchangeable with others: one list of each molecule is drawn.

"The truth is not in the list" is one more answer, with the probability that the candidates leave over.
A model whose probabilities add up to 1 within each list never thinks of it, and misses every list without
the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.evaluation.abstention import one_of_each
from specsearch.evaluation.figures import Figure
from specsearch.evaluation.intervals import estimate
from specsearch.evaluation.strata import ALL

ABSENT = -1


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Probabilities of candidates, lists laid end to end.

    Parameters
    ----------
    probability : numpy.ndarray of shape (n_candidates,)
        That a candidate is the truth; adds up to at most 1 within each list.
    start : numpy.ndarray of shape (n_lists,), int64
        First candidate of each list; none is empty.
    truth : numpy.ndarray of shape (n_lists,), int64
        Where in `probability` the truth stands; `ABSENT` where the list lacks it.
    molecule : numpy.ndarray of shape (n_lists,), int64
    """

    probability: NDArray[np.float64]
    start: NDArray[np.int64]
    truth: NDArray[np.int64]
    molecule: NDArray[np.int64]

    @property
    def size(self) -> NDArray[np.int64]:
        """Candidates of each list."""
        return np.diff(self.start, append=len(self.probability))

    def of_absence(self) -> NDArray[np.float64]:
        """Probability that the truth is not in the list, shape (n_lists,)."""
        return np.maximum(0.0, 1.0 - np.add.reduceat(self.probability, self.start))

    def of_truth(self) -> NDArray[np.float64]:
        """Probability of what is true, be it a candidate or absence, shape (n_lists,)."""
        return np.where(self.truth == ABSENT, self.of_absence(), self.probability[self.truth])


@dataclass(frozen=True, eq=False)
class Members:
    """Shortlists.

    Parameters
    ----------
    candidate : numpy.ndarray of shape (n_candidates,), bool
        Which candidates are in.
    absence : numpy.ndarray of shape (n_lists,), bool
        Whether the truth may as well not be in the list.
    """

    candidate: NDArray[np.bool_]
    absence: NDArray[np.bool_]

    def cover(self, beliefs: Beliefs) -> NDArray[np.bool_]:
        """Whether what is true is a member, shape (n_lists,)."""
        return np.where(beliefs.truth == ABSENT, self.absence, self.candidate[beliefs.truth])

    def n_candidates(self, beliefs: Beliefs) -> NDArray[np.int64]:
        """Length of each shortlist, shape (n_lists,)."""
        return np.add.reduceat(self.candidate, beliefs.start, dtype=np.int64)


def shortlist_threshold(beliefs: Beliefs, miss: float, *, seed: int = 0) -> float:
    """The lowest probability that a member must have.

    Parameters
    ----------
    beliefs : Beliefs
        Of calibration lists, with the share of lists without the truth that is met in use.
    miss : float
        Allowed chance that the truth is not a member.
    seed : int
        Of the list drawn for each molecule.

    Returns
    -------
    float
        0, which lets everything in, where there are too few molecules to exclude anything.
    """
    rows = one_of_each(beliefs.molecule, seed)
    place = math.floor((len(rows) + 1) * miss + 1e-9)  # the slack undoes rounding where the product is whole
    return float(np.sort(beliefs.of_truth()[rows])[place - 1]) if place else 0.0


def shortlist_members(beliefs: Beliefs, threshold: float) -> Members:
    """Every answer of at least the threshold, and the best candidate of each list in any case."""
    best = np.repeat(np.maximum.reduceat(beliefs.probability, beliefs.start), beliefs.size)
    is_in = (beliefs.probability >= threshold) | (beliefs.probability == best)
    return Members(is_in, beliefs.of_absence() >= threshold)


def shortlist_figures(section: str, score: str, beliefs: Beliefs, threshold: float) -> Iterator[Figure]:
    """What a threshold from calibration lists reaches on others: coverage and length.

    Parameters
    ----------
    section, score : str
        As in `Figure`.
    beliefs : Beliefs
    threshold : float
        From `shortlist_threshold`.
    """
    members, molecule = shortlist_members(beliefs, threshold), beliefs.molecule
    covered, length = members.cover(beliefs), members.n_candidates(beliefs)
    for name, rows in (("", slice(None)), (", truth in the list", beliefs.truth != ABSENT)):
        if len(covered[rows]):
            yield Figure(section, score, f"coverage{name}", ALL, estimate(covered[rows], molecule[rows]))
    yield Figure(section, score, "length", ALL, estimate(length, molecule))
    yield Figure(section, score, "length / list", ALL, estimate(length / beliefs.size, molecule))
    yield Figure(section, score, "absence not excluded", ALL, estimate(members.absence, molecule))
