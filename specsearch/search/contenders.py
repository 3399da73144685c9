"""Which candidates can still be among the best, before paying for all of their scores.

Each vector's list gives the scores of its own candidates. A candidate that a list does not name scores
there at most what the last of the list scores. Whoever cannot reach the best `top` even so is out; the
answer is the same as with every score computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.store.queries import Hit
from specsearch.store.schema import SPARSE_VECTORS


@dataclass(frozen=True, eq=False)
class Contenders:
    """Candidates still in the race.

    Parameters
    ----------
    point_ids : list of str
        Sorted.
    scores : dict of str to numpy.ndarray of shape (n_contenders,)
        What the lists told, by vector; NaN where a list does not name the candidate.
    """

    point_ids: list[str]
    scores: dict[str, NDArray[np.float64]]


def find_contenders(
    lists: Mapping[str, Sequence[Hit]], weights: Mapping[str, float], limit: int, top: int
) -> Contenders:
    """Merge the lists and drop whoever cannot be among the `top` best.

    Parameters
    ----------
    lists : mapping of vector name to hits, best first
    weights : mapping of vector name to weight
        Positive; one for each list.
    limit : int
        Hits asked for: a shorter list names everyone whose score is above the lowest possible.
    top : int
    """
    point_ids = sorted({hit.point_id for hits in lists.values() for hit in hits})
    row = {point_id: i for i, point_id in enumerate(point_ids)}
    lowest, highest = np.zeros(len(point_ids)), np.zeros(len(point_ids))
    scores: dict[str, NDArray[np.float64]] = {}
    for name, hits in lists.items():
        known = np.full(len(point_ids), np.nan)
        known[[row[hit.point_id] for hit in hits]] = [hit.score for hit in hits]
        floor = 0.0 if name in SPARSE_VECTORS else -1.0
        ceiling = hits[-1].score if len(hits) == limit else floor
        unknown = np.isnan(known)
        lowest += weights[name] * np.where(unknown, floor, known)
        highest += weights[name] * np.where(unknown, ceiling, known)
        scores[name] = known
    if len(point_ids) > top:
        stay = np.flatnonzero(highest >= np.partition(lowest, -top)[-top])
        point_ids = [point_ids[i] for i in stay]
        scores = {name: known[stay] for name, known in scores.items()}
    return Contenders(point_ids, scores)
