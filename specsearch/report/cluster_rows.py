"""Clusters as rows of a table, and their representatives as spectra."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from specsearch.report.rows import Columns, Row
from specsearch.search.clusters import Clusters
from specsearch.search.representatives import Representative, consensus, voters
from specsearch.search.snapshot import Snapshot
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.schema import Key

_METADATA = (Key.COMPOUND_NAME, Key.FORMULA, Key.SMILES, Key.INSTRUMENT_TYPE, Key.COLLISION_ENERGY)
_FROM_NODE = {
    Key.PRECURSOR_MZ: float,
    Key.ADDUCT: str,
    Key.COMPOUND_NAME: str,
    Key.FORMULA: str,
    Key.SMILES: str,
    Key.INCHIKEY14: str,
}

CLUSTER_COLUMNS: Columns = MappingProxyType(
    {
        "spectrum_id": str,
        "cluster": int,
        "cluster_size": int,
        "representative": str,
        "similarity": float,
        **_FROM_NODE,
    }
)
"""One row a spectrum; ``similarity`` is the mean to the other members of its cluster."""


def cluster_rows(snapshot: Snapshot, clusters: Clusters, chosen: NDArray[np.int64]) -> Iterator[Row]:
    """Rows in the order of clusters, the representative of each first.

    Parameters
    ----------
    snapshot : Snapshot
    clusters : Clusters
    chosen : numpy.ndarray of shape (n_spectra,)
        Row of each row's representative.
    """
    names, size = snapshot.texts(Key.SPECTRUM_ID), clusters.size
    columns = {key: snapshot.table[key].to_pylist() for key in _FROM_NODE}
    is_member = chosen != np.arange(len(chosen))
    for row in np.lexsort((np.arange(len(chosen)), is_member, clusters.number)).tolist():
        yield {
            "spectrum_id": names[row],
            "cluster": int(clusters.number[row]),
            "cluster_size": int(size[row]),
            "representative": names[chosen[row]],
            "similarity": round(float(clusters.similarity[row]), 4),
            **{key: values[row] for key, values in columns.items()},
        }


def cluster_notes(
    snapshot: Snapshot, clusters: Clusters, chosen: NDArray[np.int64]
) -> dict[str, dict[str, object]]:
    """What is written into the library of each spectrum's cluster, by point id."""
    names, size = snapshot.texts(Key.SPECTRUM_ID), clusters.size
    return {
        point: {
            "cluster": int(clusters.number[row]),
            "cluster_size": int(size[row]),
            "cluster_representative": str(names[chosen[row]]),
        }
        for row, point in enumerate(snapshot.point_ids)
    }


def representative_spectra(
    snapshot: Snapshot, clusters: Clusters, chosen: NDArray[np.int64], which: Representative
) -> Iterator[Spectrum]:
    """One spectrum a cluster, with number and size of the cluster in its metadata."""
    size = clusters.size
    for rows in clusters.members() if len(snapshot) else ():
        row = int(chosen[rows[0]])
        peaks = snapshot.peaks_of(row)
        if which is Representative.CONSENSUS and len(rows) > 1:
            peaks = consensus([snapshot.peaks_of(int(member)) for member in voters(clusters, rows)])
        node = {key: values[0] for key, values in snapshot.table.slice(row, 1).to_pydict().items()}
        metadata = {key: str(node[key]) for key in _METADATA if node[key]}
        metadata |= {"cluster": str(int(clusters.number[row])), "cluster_size": str(int(size[row]))}
        yield Spectrum.checked(
            peaks.mz,
            peaks.intensity,
            accession=node[Key.ACCESSION],
            precursor_mz=node[Key.PRECURSOR_MZ],
            charge=node[Key.CHARGE],
            adduct=node[Key.ADDUCT],
            metadata=metadata,
        )
