"""A figure: one measure of one score on one stratum of the queries, with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from specsearch.evaluation.intervals import Estimate, estimate
from specsearch.evaluation.strata import Strata


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with everything that names it.

    Parameters
    ----------
    section : str
        The task, e.g. ``"candidate ranking"``.
    score : str
        What was put to the task: a score of the encoder, a rival or a control.
    measure : str
        What is counted, e.g. ``"hit@1"``.
    stratum : str
        Which queries, e.g. ``"all"`` or ``"negative"``.
    value : Estimate
    """

    section: str
    score: str
    measure: str
    stratum: str
    value: Estimate

    def to_dict(self) -> dict[str, Any]:
        """One flat row, ready for JSON."""
        return {
            "section": self.section,
            "score": self.score,
            "measure": self.measure,
            "stratum": self.stratum,
            **self.value.to_dict(),
        }


def by_stratum(
    section: str,
    score: str,
    measure: str,
    values: ArrayLike,
    molecule: NDArray[np.int64],
    strata: Strata,
) -> Iterator[Figure]:
    """The mean over molecules of a value that each query has, for every stratum.

    Parameters
    ----------
    section, score, measure : str
        As in `Figure`.
    values : array-like of shape (n_queries,)
    molecule : numpy.ndarray of shape (n_queries,), int64
    strata : mapping of str to numpy.ndarray of shape (n_queries,), bool
        None of them empty.
    """
    numbers = np.asarray(values, dtype=np.float64)
    for stratum, members in strata.items():
        yield Figure(section, score, measure, stratum, estimate(numbers[members], molecule[members]))
