"""Judged lists as one array, so that they are kept between runs as other arrays are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from specsearch.evaluation.cache import kept_array
from specsearch.evaluation.decision_lists import JudgedList
from specsearch.search.candidate_scores import CandidateScores

_KINDS = {"row": "i8", "hypothesis": "i8", "library_hit": "i8", "adduct_fits": "?"}
_SCORES = [field.name for field in fields(CandidateScores)]
_ROW = np.dtype(
    [("list", "i8"), ("molecule", "i8"), ("is_true", "?"), *((n, _KINDS.get(n, "f8")) for n in _SCORES)]
)


def kept_lists(
    folder: Path | None, depends_on: Sequence[object], make: Callable[[], list[JudgedList]]
) -> list[JudgedList]:
    """The lists kept in a folder, made first where they are missing.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    depends_on : sequence
        All that the lists depend on; what is printed of it names the file.
    make : callable
        Computes the lists.
    """
    name = hashlib.sha256("|".join(map(str, depends_on)).encode()).hexdigest()[:32]
    path = None if folder is None else folder / f"lists-{name}.npy"
    return from_rows(kept_array(path, lambda: to_rows(make())))


def to_rows(lists: Sequence[JudgedList]) -> NDArray[np.void]:
    """One row for each candidate."""
    rows = np.zeros(sum(len(one.scores) for one in lists), dtype=_ROW)
    start = 0
    for number, one in enumerate(lists):
        own = rows[start : start + len(one.scores)]
        own["list"], own["molecule"] = number, one.molecule
        own["is_true"][one.truth] = True
        for name in _SCORES:
            own[name] = getattr(one.scores, name)
        start += len(own)
    return rows


def from_rows(rows: NDArray[np.void]) -> list[JudgedList]:
    """The lists of `to_rows`."""
    starts = np.flatnonzero(np.diff(rows["list"], prepend=-1))
    return [
        JudgedList(
            CandidateScores(**{name: np.ascontiguousarray(own[name]) for name in _SCORES}),
            int(own["is_true"].argmax()),
            int(own["molecule"][0]),
        )
        for own in np.split(rows, starts[1:])
    ]
