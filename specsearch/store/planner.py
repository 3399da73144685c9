"""Exact or approximate: count first, then choose.

Measured on 500,000 points with a precursor window: HNSW without help finds 0.62 of the true
neighbours at 10 % selectivity, with ACORN 1.000 in 3 ms; an exact pass over few points takes no longer.
An approximate count costs microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from specsearch.store.filters import Filter
from specsearch.store.points import SparseVector
from specsearch.store.queries import VectorQuery

# On 2 slow cores and 71,621 real embeddings, limit 100: 18,509 points take 9.7 ms exactly and 5.2 ms by the
# graph with ACORN (recall@10 0.998); 2,858 points 3.5 ms either way.
EXACT_BELOW = 10_000
EF = 128
# Among the same: a filter that keeps 74 % of them finds 0.995 of the nearest 10 by the bare graph in half the
# time that ACORN takes (0.998); below, the bare graph loses more.
ACORN_BELOW_SHARE = 0.6


@dataclass(frozen=True)
class IndexSettings:
    """Settings of the search index.

    The defaults found 0.998 to 1.000 of the nearest on 71,621 real embeddings, and build faster than
    `LARGE_INDEX`.

    Parameters
    ----------
    m, ef_construct : int
        Edges per node of the HNSW graph, and candidates looked at when it is built.
    full_scan_threshold_kb : int
        Below this size of matching vectors the engine compares with all of them, whatever it is asked:
        60,000 kB, once the setting here, meant scanning all of a library of 71,621.
    indexing_threshold_kb : int
        `optimize` leaves smaller segments as they are.
    segment_points : int, optional
        Most points that share a graph; beyond, the library has several, and building the next costs nothing
        of the ones before. None is one graph for all.
    """

    m: int = 16
    ef_construct: int = 100
    full_scan_threshold_kb: int = 10_000
    indexing_threshold_kb: int = 1_000
    segment_points: int | None = None


# On 500,000 points m=16 stops at a recall of 0.935 to 0.979, m=32 reaches 1.000.
LARGE_INDEX = IndexSettings(m=32, ef_construct=200, segment_points=600_000)
LARGE_LIBRARY = 150_000
# Until they are indexed, the embedded engine holds peaks, losses and filters of new points in memory, 3.6 kB
# a point where a library grew from 100,000 to 500,000. Two such loads do not fit one graph, so none is
# built a second time; what is left at the end of an ingest is built together with the last.
UNINDEXED_POINTS = 400_000


@dataclass(frozen=True)
class SearchPlan:
    """How one search is run.

    Parameters
    ----------
    exact : bool
        Compare with every matching point.
    ef : int
        Beam width of the graph walk, at least the number of hits wanted.
    acorn : bool
        Also step over filtered-out neighbours.
    """

    exact: bool
    ef: int = EF
    acorn: bool = False


# The engines search sparse vectors exactly, by inverted index; their `exact` would bypass that index.
INVERTED_INDEX = SearchPlan(exact=False)


def plan_searches(queries: Sequence[VectorQuery], count: Callable[[Filter | None], int]) -> list[SearchPlan]:
    """Choose a plan for each query of a batch, counting once per distinct filter.

    Parameters
    ----------
    queries : sequence of VectorQuery
    count : callable
        Approximate number of points a filter leaves.
    """
    counts: dict[Filter | None, int] = {}

    def n_left(filter: Filter | None) -> int:
        if filter not in counts:
            counts[filter] = count(filter)
        return counts[filter]

    return [_plan(query, n_left) for query in queries]


def _plan(query: VectorQuery, n_left: Callable[[Filter | None], int]) -> SearchPlan:
    if isinstance(query.vector, SparseVector):
        return INVERTED_INDEX
    ef = max(EF, 2 * query.limit)
    exact = n_left(query.filter) < EXACT_BELOW if query.exact is None else query.exact
    if exact or query.filter is None:
        return SearchPlan(exact, ef)
    return SearchPlan(False, ef, acorn=n_left(query.filter) < ACORN_BELOW_SHARE * n_left(None))
