"""Folds of molecules for cross-fitting; like molecules stay together: a fold is as new as an unknown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from specsearch.encoder.training.examples import Examples
from specsearch.evaluation.retrieval import tanimoto_matrix

_SAME_CLUSTER = 0.4  # mean Tanimoto similarity; above it Morgan neighbours usually share their scaffold


def cluster_folds(fingerprints: NDArray[np.uint8], n_folds: int) -> NDArray[np.int64]:
    """The fold of each molecule, shape (n_molecules,).

    Clusters by average linkage on Tanimoto similarity; the largest first, each goes to the fold that is
    emptiest so far. Needs memory for all pairs: some ten thousand molecules at most.

    Parameters
    ----------
    fingerprints : numpy.ndarray of shape (n_molecules, n_bits), uint8
    n_folds : int
    """
    if len(fingerprints) < 2:
        return np.zeros(len(fingerprints), dtype=np.int64)
    distance = 1.0 - tanimoto_matrix(fingerprints, fingerprints).astype(np.float64)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    cluster = fcluster(tree, 1.0 - _SAME_CLUSTER, "distance") - 1
    filled = np.zeros(n_folds, dtype=np.int64)
    fold_of = np.zeros(cluster.max() + 1, dtype=np.int64)
    size = np.bincount(cluster)
    for one in np.argsort(-size, kind="stable"):
        fold_of[one] = filled.argmin()
        filled[fold_of[one]] += size[one]
    return fold_of[cluster]


def parted(examples: Examples, is_held: NDArray[np.bool_]) -> tuple[Examples, Examples]:
    """Examples of the molecules that stay, and of those held out; molecules are numbered anew.

    Parameters
    ----------
    examples : Examples
    is_held : numpy.ndarray of shape (n_molecules,), bool
    """
    return _of(examples, ~is_held), _of(examples, is_held)


def _of(examples: Examples, chosen: NDArray[np.bool_]) -> Examples:
    kept = examples.only(np.flatnonzero(chosen[examples.molecule]))
    number = np.cumsum(chosen) - 1
    return Examples(
        kept.inputs,
        number[kept.molecule],
        kept.positive,
        [name for name, is_in in zip(kept.inchikey14, chosen, strict=True) if is_in],
        kept.fingerprints[chosen],
        kept.exact_mass[chosen],
        kept.accession,
    )
