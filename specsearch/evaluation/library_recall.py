"""What dropping spectra costs: structures, and the right answers of a search within the precursor window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import completeness_score

from specsearch.chemistry.tolerance import Tolerance
from specsearch.search.duplicates import DuplicateSettings, find_duplicates
from specsearch.search.nearest import Rows
from specsearch.search.pair_scores import score_pairs
from specsearch.search.snapshot import Snapshot
from specsearch.search.windows import window_pairs
from specsearch.store.schema import Key

_WINDOW = Tolerance(10.0, "ppm")
_N_QUERIES = 2_000


@dataclass(frozen=True)
class Receipt:
    """Before and after.

    Parameters
    ----------
    n_spectra, n_spectra_after, n_structures, n_structures_after : int
    n_merged_labelled, n_merged_wrongly : int
        Dropped spectra with structure and adduct, and those whose kept spectrum has others.
    completeness : float
        Whether spectra of one molecule and adduct share what is kept for them, 0..1.
    n_queries : int
        Held back one a molecule before duplicates were looked for among the others.
    recall, recall_after : float
        Share of queries whose best hit within 10 ppm is their molecule.
    """

    n_spectra: int
    n_spectra_after: int
    n_structures: int
    n_structures_after: int
    n_merged_labelled: int
    n_merged_wrongly: int
    completeness: float
    n_queries: int
    recall: float
    recall_after: float


def make_receipt(snapshot: Snapshot, kept: NDArray[np.int64], settings: DuplicateSettings) -> Receipt:
    """Measure what keeping only ``kept`` costs.

    Parameters
    ----------
    snapshot : Snapshot
    kept : numpy.ndarray of shape (n_spectra,)
        Row kept for each row.
    settings : DuplicateSettings
        By which they were found; used again on the library without the queries.
    """
    stays = kept == np.arange(len(kept))
    structure = snapshot.texts(Key.INCHIKEY14)
    label = structure + "|" + snapshot.texts(Key.ADDUCT)
    labelled = structure != ""
    dropped = np.flatnonzero(~stays & labelled & labelled[kept])
    queries, before, after = _recall(snapshot, structure, settings)
    return Receipt(
        n_spectra=len(kept),
        n_spectra_after=int(stays.sum()),
        n_structures=len(set(structure[labelled])),
        n_structures_after=len(set(structure[labelled & stays])),
        n_merged_labelled=len(dropped),
        n_merged_wrongly=int((label[dropped] != label[kept[dropped]]).sum()),
        completeness=float(completeness_score(label[labelled].astype(str), kept[labelled]))
        if labelled.any()
        else 1.0,
        n_queries=queries,
        recall=before,
        recall_after=after,
    )


def _recall(
    snapshot: Snapshot, structure: NDArray[np.object_], settings: DuplicateSettings
) -> tuple[int, float, float]:
    queries = _held_back(structure, snapshot.precursor_mz)
    rest = np.setdiff1d(np.arange(len(snapshot)), queries)
    stays = rest[find_duplicates(snapshot.part(rest), settings).stays]
    if not len(queries):
        return 0, float("nan"), float("nan")
    hits = [_share_right(snapshot, structure, queries, targets) for targets in (rest, stays)]
    return len(queries), hits[0], hits[1]


def _held_back(structure: NDArray[np.object_], precursor_mz: NDArray[np.float64]) -> Rows:
    """One spectrum of each molecule that has others; the middle one by id, of evenly drawn molecules."""
    rows = np.flatnonzero((structure != "") & ~np.isnan(precursor_mz))
    order = rows[np.argsort(structure[rows].astype(str), kind="stable")]
    if not len(order):
        return order
    parts = np.split(order, np.flatnonzero(structure[order][1:] != structure[order][:-1]) + 1)
    chosen = [part[len(part) // 2] for part in parts if len(part) > 1]
    step = max(1, len(chosen) // _N_QUERIES)
    return np.sort(np.array(chosen[::step], dtype=np.int64))


def _share_right(snapshot: Snapshot, structure: NDArray[np.object_], queries: Rows, targets: Rows) -> float:
    source, target = window_pairs(snapshot.precursor_mz, _WINDOW, queries, targets)
    same_mode = snapshot.groups[source] == snapshot.groups[target]
    source, target = source[same_mode], target[same_mode]
    score = score_pairs(snapshot, source, target).score
    order = np.lexsort((target, -score, source))
    best = order[np.flatnonzero(np.diff(source[order], prepend=-1))]
    return float((structure[source[best]] == structure[target[best]]).sum() / len(queries))
