"""Clusters of spectra of one compound: complete linkage within a precursor window.

Alike are their peaks and losses. The embedding takes no part: on three folds of train molecules that their
encoder had not seen, peaks and losses clustered most at 1 % incorrect, with any share of the embedding less.
On test that turned out otherwise (benchmarks/results/clustering_test.json).

Candidates for one cluster hang together by window edges of a graph; within such a component all pairs are
compared, so that a cluster does not depend on how many neighbours the graph keeps. Rows are in the order of
point ids, so neither does it depend on the order of input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform

from specsearch.chemistry.tolerance import Tolerance
from specsearch.search.graph import PRECURSOR
from specsearch.search.nearest import Rows
from specsearch.search.pair_scores import fragment_scores
from specsearch.search.snapshot import Snapshot
from specsearch.store.schema import Key

_LARGEST = 3_000  # rows of one component whose pairs are all held at a time: 72 MB
_APART = 10.0  # distance of two spectra that must not share a cluster


@dataclass(frozen=True)
class ClusterSettings:
    """What makes a cluster; the defaults were chosen by `benchmarks/clustering.py`.

    Parameters
    ----------
    least_similarity : float
        No two spectra of a cluster are less alike.
    precursor : Tolerance
        No two spectra of a cluster are further apart.
    """

    least_similarity: float = 0.78
    precursor: Tolerance = PRECURSOR


@dataclass(frozen=True, eq=False)
class Clusters:
    """A partition of a snapshot's rows.

    Parameters
    ----------
    number : numpy.ndarray of shape (n_spectra,), int64
        Of each row's cluster, from 1 in the order of first rows; a spectrum alone is a cluster of one.
    similarity : numpy.ndarray of shape (n_spectra,), float32
        Mean similarity to the other members; 1 where alone.
    settings : ClusterSettings
    """

    number: NDArray[np.int64]
    similarity: NDArray[np.float32]
    settings: ClusterSettings

    @property
    def size(self) -> NDArray[np.int64]:
        """Number of members of each row's cluster."""
        sizes = np.bincount(self.number, minlength=1)
        return np.asarray(sizes[self.number], dtype=np.int64)

    def members(self) -> Iterator[Rows]:
        """Rows of each cluster, in the order of numbers."""
        order = np.argsort(self.number, kind="stable")
        yield from np.split(order, np.flatnonzero(np.diff(self.number[order])) + 1)


def find_clusters(
    snapshot: Snapshot,
    sources: Rows,
    targets: Rows,
    settings: ClusterSettings,
    advance: Callable[[int], None] = lambda n: None,
) -> Clusters:
    """Cluster a library.

    Parameters
    ----------
    snapshot : Snapshot
    sources, targets : numpy.ndarray of shape (n_edges,)
        Window edges of its graph.
    settings : ClusterSettings
    advance : callable
        Told how many spectra more are done.
    """
    cluster = _Clustering(snapshot, settings)
    first = np.arange(len(snapshot))
    similarity = np.ones(len(snapshot), dtype=np.float32)
    for members in _components(len(snapshot), *cluster.links(sources, targets)):
        if len(members) > 1:
            first[members], similarity[members] = cluster.split(members)
        advance(len(members))
    _, number = np.unique(first, return_inverse=True)
    return Clusters(number.astype(np.int64) + 1, similarity, settings)


class _Clustering:
    """Similarity of rows, and who must stay apart."""

    def __init__(self, snapshot: Snapshot, settings: ClusterSettings) -> None:
        self._snapshot = snapshot
        self._settings = settings
        charge = [0 if value is None else value for value in snapshot.table[Key.CHARGE].to_pylist()]
        self._charge = np.array(charge, dtype=np.int64)

    def pairs(self, left: Rows, right: Rows) -> NDArray[np.float32]:
        """Similarity of pairs of rows, 0..1."""
        return fragment_scores(self._snapshot, left, right)

    def may_join(self, left: Rows, right: Rows) -> NDArray[np.bool_]:
        """Whether precursor, charge and ion mode allow one cluster."""
        snapshot = self._snapshot
        low = np.minimum(snapshot.precursor_mz[left], snapshot.precursor_mz[right])
        apart = np.abs(snapshot.precursor_mz[left] - snapshot.precursor_mz[right])
        near = apart <= self._settings.precursor.width_da(low)
        same_charge = (self._charge[left] == self._charge[right]) | (
            self._charge[left] * self._charge[right] == 0
        )
        return np.asarray(near & same_charge & (snapshot.groups[left] == snapshot.groups[right]))

    def links(self, sources: Rows, targets: Rows) -> tuple[Rows, Rows]:
        """The edges by which two spectra could share a cluster."""
        allowed = self.may_join(sources, targets)
        sources, targets = sources[allowed], targets[allowed]
        alike = self.pairs(sources, targets) >= self._settings.least_similarity
        return sources[alike], targets[alike]

    def split(self, members: Rows) -> tuple[Rows, NDArray[np.float32]]:
        """First row of each member's cluster, and its mean similarity to the others of it."""
        if len(members) > _LARGEST:
            return self._split_large(members)
        i, j = np.triu_indices(len(members), k=1)
        similarity = self.pairs(members[i], members[j])
        distance = np.where(self.may_join(members[i], members[j]), 1.0 - similarity, _APART)
        tree = linkage(np.maximum(distance, 0.0), "complete")
        label = fcluster(tree, 1.0 - self._settings.least_similarity, "distance")
        square = squareform(similarity, checks=False)
        together = (label[:, None] == label[None, :]).astype(np.float32)
        n_others = together.sum(axis=1) - 1
        mean = np.where(n_others > 0, (square * together).sum(axis=1) / np.maximum(n_others, 1), 1.0)
        return members[_first_of(label)], mean.astype(np.float32)

    def _split_large(self, members: Rows) -> tuple[Rows, NDArray[np.float32]]:
        """Too many to compare all: runs along the precursor axis, which are clustered each for itself.

        A library of thousands of spectra with one precursor is a library of repetitions; a run's border can
        only divide a cluster, never join two.
        """
        order = members[np.lexsort((members, self._snapshot.precursor_mz[members]))]
        first, similarity = np.empty_like(members), np.empty(len(members), dtype=np.float32)
        place = {int(row): i for i, row in enumerate(members)}
        for start in range(0, len(order), _LARGEST):
            run = np.sort(order[start : start + _LARGEST])
            there = [place[int(row)] for row in run]
            first[there], similarity[there] = self.split(run)
        return first, similarity


def _components(n_rows: int, left: Rows, right: Rows) -> Iterator[Rows]:
    """Rows that hang together by links, in the order of first rows."""
    links = csr_matrix((np.ones(len(left)), (left, right)), shape=(n_rows, n_rows))
    _, component = connected_components(links, directed=False)
    order = np.argsort(component, kind="stable")
    if n_rows:
        yield from np.split(order, np.flatnonzero(np.diff(component[order])) + 1)


def _first_of(label: NDArray[np.int64]) -> Rows:
    """Place of the first that has each one's label."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], dtype=np.int64)
