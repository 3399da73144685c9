"""How good clusters are, where the compound of each spectrum is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from sklearn.metrics import completeness_score


@dataclass(frozen=True, slots=True)
class ClusterQuality:
    """What is usually compared (Bittremieux et al., J. Proteome Res. 20, 1464 (2021)).

    Parameters
    ----------
    clustered : float
        Share of spectra in a cluster of at least two.
    incorrect : float
        Share of those whose label is not their cluster's most frequent one.
    completeness : float
        Whether spectra of one label share a cluster, over all spectra, 0..1; spectra alone count as clusters.
    """

    clustered: float
    incorrect: float
    completeness: float


def cluster_quality(labels: ArrayLike, clusters: ArrayLike) -> ClusterQuality:
    """Judge a partition.

    Parameters
    ----------
    labels, clusters : array of shape (n_spectra,)
        Compound and cluster of each spectrum.
    """
    if not np.size(labels):
        return ClusterQuality(0.0, 0.0, 1.0)
    _, label = np.unique(labels, return_inverse=True)
    _, cluster, size = np.unique(clusters, return_inverse=True, return_counts=True)
    together = np.flatnonzero(size[cluster] > 1)
    if not len(together):
        return ClusterQuality(0.0, 0.0, float(completeness_score(label, cluster)))
    counts = csr_matrix((np.ones(len(together)), (cluster[together], label[together])))
    n_right = counts.max(axis=1).sum()
    return ClusterQuality(
        clustered=len(together) / len(label),
        incorrect=float(1.0 - n_right / len(together)),
        completeness=float(completeness_score(label, cluster)),
    )
