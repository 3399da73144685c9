"""Ranks of the truth in its list, with honest ties.

A score that says the same of all candidates must not look better than chance, whatever the order of
the list: ties are shared (`expected`), lost (`strict`) or broken by position (`official`, what public
evaluation scripts do, and what flatters whoever writes the truth first).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from specsearch.errors import SpecsearchError
from specsearch.evaluation.figures import Figure, by_stratum
from specsearch.evaluation.strata import ALL, Strata

HITS = (1, 5, 20)
_SLACK = 1e-6  # of a list's range: equal fingerprints and equal formulas tie, whatever order sums took


@dataclass(frozen=True, eq=False)
class Places:
    """Where the truth stands in each list.

    Parameters
    ----------
    above : numpy.ndarray of shape (n_pools,), int64
        Candidates with a better score.
    tied : numpy.ndarray of shape (n_pools,), int64
        Other candidates with the same score.
    tied_before : numpy.ndarray of shape (n_pools,), int64
        Those of them that stand before the truth in the list.
    """

    above: NDArray[np.int64]
    tied: NDArray[np.int64]
    tied_before: NDArray[np.int64]

    def hit(self, k: int) -> NDArray[np.float64]:
        """Chance that the truth is among the first k, candidates of equal score being drawn at random."""
        return np.clip((k - self.above) / (self.tied + 1), 0.0, 1.0)

    def strict_hit(self, k: int) -> NDArray[np.float64]:
        """Whether the truth is among the first k if every tie is lost."""
        return (self.above + self.tied < k).astype(np.float64)

    def official_hit(self, k: int) -> NDArray[np.float64]:
        """Whether the truth is among the first k if ties are broken by the order of the list."""
        return (self.above + self.tied_before < k).astype(np.float64)

    def reciprocal_rank(self) -> NDArray[np.float64]:
        """Expected reciprocal of the rank, candidates of equal score being drawn at random."""
        # Mean of 1 / rank over the ranks above + 1 ... above + tied + 1: a difference of harmonic numbers.
        last = self.above + self.tied + 1
        harmonic = np.concatenate(([0.0], np.cumsum(1.0 / np.arange(1, last.max() + 1))))
        return (harmonic[last] - harmonic[self.above]) / (self.tied + 1)


class LaidOut(Protocol):
    """Lists laid end to end, such as `Pools`."""

    @property
    def start(self) -> NDArray[np.int64]:
        """First candidate of each list, shape (n_lists,)."""

    @property
    def truth(self) -> NDArray[np.int64]:
        """Where the truth of each list stands among all candidates, shape (n_lists,)."""

    @property
    def size(self) -> NDArray[np.int64]:
        """Candidates of each list, shape (n_lists,)."""


def places(pools: LaidOut, score: NDArray[np.floating]) -> Places:
    """Places of the truth by a score; larger is better.

    Parameters
    ----------
    pools : Pools or other lists laid end to end
    score : numpy.ndarray of shape (n_candidates,)
        Two scores of a list that differ by less than a millionth of its range are equal.

    Raises
    ------
    SpecsearchError
        If a score is not a finite number: compared with NaN, every truth would stand first.
    """
    if not np.isfinite(score).all():
        raise SpecsearchError(f"{int((~np.isfinite(score)).sum())} scores of candidates are not finite.")
    score = score.astype(np.float64)
    size, start = pools.size, pools.start
    slack = _SLACK * (np.maximum.reduceat(score, start) - np.minimum.reduceat(score, start))
    ahead = score - np.repeat(score[pools.truth], size)
    is_tied = np.abs(ahead) <= np.repeat(slack, size)
    is_before = np.arange(len(score)) < np.repeat(pools.truth, size)
    return Places(
        np.add.reduceat((ahead > 0) & ~is_tied, start, dtype=np.int64),
        np.add.reduceat(is_tied, start, dtype=np.int64) - 1,
        np.add.reduceat(is_tied & is_before, start, dtype=np.int64),
    )


def ranking_figures(
    section: str,
    pools: LaidOut,
    scores: Mapping[str, NDArray[np.floating]],
    molecule: NDArray[np.int64],
    strata: Strata,
) -> Iterator[Figure]:
    """Hit@k and mean reciprocal rank of each score, averaged per molecule.

    Parameters
    ----------
    section : str
        Name of the task.
    pools : Pools
    scores : mapping of str to numpy.ndarray of shape (n_candidates,)
    molecule : numpy.ndarray of shape (n_pools,), int64
        Of each query.
    strata : Strata
        Of the queries. How ties would count otherwise is said for all of them only.
    """
    everything = {ALL: strata[ALL]}
    for name, score in scores.items():
        placed = places(pools, score)
        yield from by_stratum(section, name, "MRR", placed.reciprocal_rank(), molecule, strata)
        for k in HITS:
            yield from by_stratum(section, name, f"hit@{k}", placed.hit(k), molecule, strata)
            for kind, hit in (("strict", placed.strict_hit), ("official", placed.official_hit)):
                yield from by_stratum(section, name, f"{kind} hit@{k}", hit(k), molecule, everything)
