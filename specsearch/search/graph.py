"""The neighbour graph of a library: each spectrum's best few others, everywhere and near its precursor.

Candidates come from the embedding and from the peaks, are scored as in search, and the best are rescored
exactly. Memory grows with spectra times neighbours; nothing here is of size spectra times spectra.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from specsearch.chemistry.tolerance import Tolerance
from specsearch.search.nearest import GraphFinder, Rows, SparseFinder, dense_finder, sketch
from specsearch.search.pair_scores import PairScores, rescore_pairs, score_pairs
from specsearch.search.snapshot import Snapshot
from specsearch.search.windows import window_pairs

PRECURSOR = Tolerance(20.0, "ppm")
N_NEIGHBOURS = 20
SKETCH_FROM = 150_000  # spectra of one ion mode; see benchmarks/graph.py
_BLOCK = 10_000  # spectra whose candidates are held at a time
_LEAST_SCORE = 0.05  # below, two spectra have nothing in common

EDGE_SCHEMA = pa.schema(
    [
        ("source", pa.int32()),
        ("target", pa.int32()),
        ("kind", pa.string()),
        ("rank", pa.int16()),
        ("score", pa.float32()),
        ("embedding", pa.float32()),
        ("fragments", pa.float32()),
        ("entropy_similarity", pa.float32()),
        ("modified_cosine", pa.float32()),
        ("n_matched", pa.int16()),
        ("precursor_difference", pa.float64()),
    ]
)


class Kind(StrEnum):
    """Among whom an edge's target is one of the best."""

    EVERYWHERE = "everywhere"
    WINDOW = "window"  # within the precursor tolerance


@dataclass(frozen=True)
class GraphSettings:
    """What a graph holds.

    Parameters
    ----------
    n_neighbours : int
        Most edges of each kind from a spectrum.
    precursor : Tolerance
        Of the edges within a precursor window.
    """

    n_neighbours: int = N_NEIGHBOURS
    precursor: Tolerance = PRECURSOR


@dataclass(frozen=True, eq=False)
class Edges:
    """Directed edges between rows of a snapshot, sorted by source and rank; arrays of shape (n_edges,)."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    score: NDArray[np.float32]
    embedding: NDArray[np.float32]
    fragments: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.source)


Advance = Callable[[int], None]
Find = Callable[[Rows], tuple[Rows, Rows]]


def find_edges(
    snapshot: Snapshot, settings: GraphSettings, kind: Kind, sources: Rows, targets: Rows, advance: Advance
) -> Edges:
    """The best neighbours of some rows among some rows, block by block.

    Parameters
    ----------
    snapshot : Snapshot
    settings : GraphSettings
    kind : Kind
    sources, targets : numpy.ndarray of rows
        Rows asked about, and rows that may be found; only those of one ion mode can be neighbours.
    advance : callable
        Told how many rows more are done.
    """
    found: list[Edges] = []
    for group in np.unique(snapshot.groups[sources]):
        asked = sources[snapshot.groups[sources] == group]
        offered = targets[snapshot.groups[targets] == group]
        finders = _finders(snapshot, settings, kind, offered) if len(offered) else []
        for start in range(0, len(asked), _BLOCK):
            block = asked[start : start + _BLOCK]
            pairs = [np.stack(find(block)) for find in finders]
            if pairs:
                found.append(best_edges(snapshot, np.concatenate(pairs, axis=1), settings.n_neighbours))
            advance(len(block))
    return joined(found)


def _finders(snapshot: Snapshot, settings: GraphSettings, kind: Kind, targets: Rows) -> list[Find]:
    """What names candidates among the targets, which are of one ion mode."""
    if kind is Kind.WINDOW:
        return [lambda block: window_pairs(snapshot.precursor_mz, settings.precursor, block, targets)]
    n_wanted = 2 * settings.n_neighbours + 10
    vectors, sparse = snapshot.embeddings, snapshot.sparse
    if len(targets) >= SKETCH_FROM:
        points = sketch(vectors, snapshot.fusion.embedding, sparse)
        return [GraphFinder(points, targets, 2 * n_wanted).find]
    return [
        dense_finder(vectors, targets, n_wanted).find,
        SparseFinder(sparse, targets, n_wanted).find,
    ]


def best_edges(snapshot: Snapshot, pairs: NDArray[np.int64], n_neighbours: int) -> Edges:
    """Score candidate pairs, shape (2, n_pairs), and keep the best of each source; ties by row."""
    n_rows = np.int64(max(1, len(snapshot)))
    keys = np.unique(pairs[0][pairs[0] != pairs[1]] * n_rows + pairs[1][pairs[0] != pairs[1]])
    source, target = np.divmod(keys, n_rows)
    scores = score_pairs(snapshot, source, target)
    return _best(_edges(source, target, scores), n_neighbours)


def _edges(source: Rows, target: Rows, scores: PairScores) -> Edges:
    return Edges(source, target, scores.score, scores.embedding, scores.fragments)


def _best(edges: Edges, n_neighbours: int) -> Edges:
    """The best edges of every source, sorted by source and rank."""
    edges = taken(edges, np.flatnonzero(edges.score >= _LEAST_SCORE))
    order = np.lexsort((edges.target, -edges.score, edges.source))
    edges = taken(edges, order)
    return taken(edges, np.flatnonzero(ranks(edges.source) <= n_neighbours))


def ranks(source: Rows) -> NDArray[np.int64]:
    """Place of each edge among those of its source, from 1; `source` is sorted."""
    first = np.flatnonzero(np.diff(source, prepend=-1))
    lengths = np.diff(np.append(first, len(source)))
    return np.arange(len(source)) - np.repeat(first, lengths) + 1


def merged(parts: list[Edges], n_neighbours: int) -> Edges:
    """The best edges of every source over several lists of the same rows."""
    edges = joined(parts)
    _, once = np.unique(np.stack([edges.source, edges.target]), axis=1, return_index=True)
    return _best(taken(edges, once), n_neighbours)


def joined(parts: list[Edges]) -> Edges:
    """All edges of all parts, sorted by source; each source stands in one part."""
    if not parts:
        return Edges(*(np.empty(0, kind) for kind in ("i8", "i8", "f4", "f4", "f4")))
    names = tuple(Edges.__dataclass_fields__)
    edges = Edges(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    return taken(edges, np.argsort(edges.source, kind="stable"))


def taken(edges: Edges, places: NDArray[np.int64]) -> Edges:
    """The edges at some places, in that order."""
    return replace(edges, **{name: getattr(edges, name)[places] for name in Edges.__dataclass_fields__})


def edge_table(snapshot: Snapshot, kind: Kind, edges: Edges) -> pa.Table:
    """Edges with their exact scores, in the columns of `EDGE_SCHEMA`."""
    exact = rescore_pairs(snapshot, edges.source, edges.target)
    precursor = snapshot.precursor_mz
    columns = {
        "source": edges.source.astype(np.int32),
        "target": edges.target.astype(np.int32),
        "kind": pa.array([kind.value] * len(edges), pa.string()),
        "rank": ranks(edges.source).astype(np.int16),
        "score": edges.score,
        "embedding": edges.embedding,
        "fragments": edges.fragments,
        "entropy_similarity": exact.entropy_similarity,
        "modified_cosine": exact.modified_cosine,
        "n_matched": exact.n_matched,
        "precursor_difference": pa.array(precursor[edges.target] - precursor[edges.source], from_pandas=True),
    }
    return pa.table(columns, schema=EDGE_SCHEMA)
