"""The structure family around a spectrum: neighbours of neighbours, and what their structures share."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from specsearch.search.graph_files import Graph
from specsearch.search.nearest import Rows
from specsearch.search.similar import Answer

N_SEEDS = 10  # hits of a query that a family grows from
_LEAST_SEED = 1e-6


@dataclass(frozen=True)
class FamilySettings:
    """How far a family reaches.

    Parameters
    ----------
    hops : int
        Most edges between a member and where it began; edges between spectra of one molecule do not count.
    least_score : float
        Fused score of an edge below which nobody follows it.
    most_members : int
        The nearest are kept.
    """

    hops: int = 2
    least_score: float = 0.35
    most_members: int = 100


@dataclass(frozen=True, eq=False)
class Family:
    """Members of a family and the edges among them.

    Parameters
    ----------
    rows : numpy.ndarray of shape (n_members,), int64
        Of the graph's nodes; the nearest first.
    hop : numpy.ndarray of shape (n_members,), int64
        Edges to the seed along the best path, those between spectra of one molecule not counted.
    path_score : numpy.ndarray of shape (n_members,), float64
        Product of the scores along the best path; the seed's own score where it has one.
    edges : pyarrow.Table
        Columns of the graph's edges, each pair once, ``source`` and ``target`` being rows.
    """

    rows: Rows
    hop: NDArray[np.int64]
    path_score: NDArray[np.float64]
    edges: pa.Table


def find_family(
    edges: pa.Table, molecules: Sequence[str | None], seeds: Mapping[int, float], settings: FamilySettings
) -> Family:
    """Walk outwards from seeds along the best paths.

    Parameters
    ----------
    edges : pyarrow.Table
        Directed edges of a graph; a pair is joined if either names the other.
    molecules : sequence of str or None
        Key of each node's molecule. A molecule measured fifty times has only itself for neighbours: steps
        among its own spectra are free, else a walk would never leave it.
    seeds : mapping of row to score
        Where the walk begins, with a score above 0 and at most 1.
    settings : FamilySettings
    """
    pairs = undirected(edges, settings.least_score)
    source, target = (pairs[name].to_numpy().astype(np.int64) for name in ("source", "target"))
    score = np.minimum(pairs["score"].to_numpy().astype(np.float64), 1.0)
    links = csr_matrix(
        (np.tile(score, 2), (np.append(source, target), np.append(target, source))),
        shape=(len(molecules), len(molecules)),
    )
    found = _walk(links, molecules, seeds, settings)
    rows = np.array(list(found), dtype=np.int64)
    inside = np.flatnonzero(np.isin(source, rows) & np.isin(target, rows))
    return Family(
        rows,
        np.array([hop for hop, _ in found.values()], dtype=np.int64),
        np.array([path for _, path in found.values()], dtype=np.float64),
        pairs.take(inside),
    )


def seeds_of(graph: Graph, answers: Sequence[Answer]) -> dict[int, float]:
    """Rows of the hits of queries, with the best score of each: where a family around queries begins."""
    seeds: dict[int, float] = {}
    for answer in answers:
        for hit in answer.hits:
            row = graph.row_of(hit.spectrum_id)
            seeds[row] = max(seeds.get(row, 0.0), min(1.0, max(hit.score, _LEAST_SEED)))
    return seeds


def _walk(
    links: csr_matrix, molecules: Sequence[str | None], seeds: Mapping[int, float], settings: FamilySettings
) -> dict[int, tuple[int, float]]:
    """Hop and score of the members, best path first (Dijkstra's algorithm on products); ties by row."""
    queue = [(-score, 0, row) for row, score in sorted(seeds.items())]
    heapq.heapify(queue)
    found: dict[int, tuple[int, float]] = {}
    while queue and len(found) < settings.most_members:
        negative, hop, row = heapq.heappop(queue)
        if row in found:
            continue
        found[row] = (hop, -negative)
        span = slice(links.indptr[row], links.indptr[row + 1])
        for other, score in zip(links.indices[span].tolist(), links.data[span].tolist(), strict=True):
            is_same = bool(molecules[row]) and molecules[row] == molecules[other]
            if other not in found and hop + (not is_same) <= settings.hops:
                heapq.heappush(queue, (negative * score, hop + (not is_same), other))
    return found


def undirected(edges: pa.Table, least_score: float) -> pa.Table:
    """Each pair of spectra once, ``source`` below ``target``, with its better direction's scores."""
    score = edges["score"].to_numpy()
    source, target = edges["source"].to_numpy(), edges["target"].to_numpy()
    low, high = np.minimum(source, target), np.maximum(source, target)
    order = np.lexsort((-score, high, low))
    order = order[score[order] >= least_score]
    is_first = np.append(True, (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0))[: len(order)]
    kept = order[is_first]
    table = edges.take(kept)
    turned = source[kept] > target[kept]
    difference = np.where(turned, -1.0, 1.0) * table["precursor_difference"].to_numpy()
    for name, values in (
        ("source", pa.array(low[kept], pa.int32())),
        ("target", pa.array(high[kept], pa.int32())),
        ("precursor_difference", pa.array(difference, from_pandas=True)),
    ):
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table
