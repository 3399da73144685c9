"""What is said twice in a library: which spectra could go, and which one is kept for each.

Three levels, each wider than the one before. Spectra whose structures are known and differ are never merged,
whatever their peaks say, so no structure can be lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from specsearch.chemistry.tolerance import Tolerance
from specsearch.search.nearest import Rows
from specsearch.search.pair_scores import rescore_pairs
from specsearch.search.snapshot import Snapshot
from specsearch.search.windows import window_pairs
from specsearch.store.schema import Key

_BLOCK = 5_000
PRECURSOR = Tolerance(10.0, "ppm")


class Level(StrEnum):
    """How alike two spectra must be to say the same."""

    IDENTICAL = "identical"  # the same SPLASH: the very same peaks
    MEASUREMENT = "measurement"  # nearly the same peaks, and the same precursor, adduct and energy
    CONDITION = "condition"  # the same molecule, adduct, energy and kind of instrument, whatever the peaks


@dataclass(frozen=True)
class DuplicateSettings:
    """What counts as said twice.

    Parameters
    ----------
    level : Level
        Each level includes those above it in `Level`.
    least_entropy : float
        Spectral entropy similarity from which two measurements are the same.
    precursor : Tolerance
    """

    level: Level = Level.MEASUREMENT
    least_entropy: float = 0.90
    precursor: Tolerance = PRECURSOR


@dataclass(frozen=True, eq=False)
class Duplicates:
    """What is kept for what.

    Parameters
    ----------
    kept : numpy.ndarray of shape (n_spectra,), int64
        Row kept for each row; its own where it stays.
    why : numpy.ndarray of shape (n_spectra,), object
        Level by which a row goes; empty where it stays.
    """

    kept: NDArray[np.int64]
    why: NDArray[np.object_]

    @property
    def stays(self) -> NDArray[np.bool_]:
        """Whether each row stays."""
        return np.asarray(self.kept == np.arange(len(self.kept)))


def find_duplicates(snapshot: Snapshot, settings: DuplicateSettings) -> Duplicates:
    """Find what is said twice.

    Rows that hang together by one level's pairs are one group; it is parted by structure, and the best of
    each part is kept: with a structure before without, more peaks before fewer, then by id.
    """
    levels = list(Level)[: list(Level).index(settings.level) + 1]
    kept = np.arange(len(snapshot))
    why = np.full(len(snapshot), "", dtype=object)
    best_first = _best_first(snapshot)
    pairs = np.empty((2, 0), dtype=np.int64)
    for level in levels:
        pairs = np.concatenate([pairs, _pairs(snapshot, settings, level)], axis=1)
        now = _merge(snapshot, pairs, best_first)
        why[(now != np.arange(len(now))) & (why == "")] = level.value
        kept = now
    return Duplicates(kept, why)


def _pairs(snapshot: Snapshot, settings: DuplicateSettings, level: Level) -> NDArray[np.int64]:
    """Pairs of rows that say the same at a level, shape (2, n_pairs); enough to connect each group."""
    if level is Level.IDENTICAL:
        return _chained(_joined_texts(snapshot, (Key.SPLASH, Key.ION_MODE), required=(Key.SPLASH,)))
    if level is Level.CONDITION:
        keys = (Key.INCHIKEY14, Key.ADDUCT, Key.COLLISION_ENERGY, Key.INSTRUMENT_TYPE)
        return _chained(_joined_texts(snapshot, keys, required=keys))
    found = list(_same_measurement(snapshot, settings))
    return np.concatenate(found, axis=1) if found else np.empty((2, 0), dtype=np.int64)


def _same_measurement(snapshot: Snapshot, settings: DuplicateSettings) -> Iterator[NDArray[np.int64]]:
    condition = _joined_texts(snapshot, (Key.ADDUCT, Key.COLLISION_ENERGY, Key.ION_MODE), required=())
    code = np.unique(condition.astype(str), return_inverse=True)[1]
    rows = np.arange(len(snapshot))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        i, j = window_pairs(snapshot.precursor_mz, settings.precursor, block, rows)
        same = (i < j) & (code[i] == code[j])
        i, j = i[same], j[same]
        alike = rescore_pairs(snapshot, i, j).entropy_similarity >= settings.least_entropy
        yield np.stack([i[alike], j[alike]])


def _merge(snapshot: Snapshot, pairs: NDArray[np.int64], best_first: Rows) -> NDArray[np.int64]:
    """The row kept for each row. A spectrum without a structure joins the best one that has any."""
    n_rows = len(snapshot)
    links = csr_matrix((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(n_rows, n_rows))
    _, group = connected_components(links, directed=False)
    structure = snapshot.texts(Key.INCHIKEY14)
    kept = np.arange(n_rows)
    first: dict[tuple[int, str], int] = {}
    any_first: dict[int, int] = {}
    for row in best_first.tolist():
        number = int(group[row])
        best = any_first.setdefault(number, row)
        key = (number, str(structure[row]))
        kept[row] = first.setdefault(key, row if structure[row] else best)
    return kept


def _best_first(snapshot: Snapshot) -> Rows:
    has_structure = snapshot.texts(Key.INCHIKEY14) != ""
    n_peaks = np.diff(snapshot.peaks.offsets)
    return np.lexsort((np.arange(len(snapshot)), -n_peaks, ~has_structure))


def _joined_texts(
    snapshot: Snapshot, keys: tuple[str, ...], required: tuple[str, ...]
) -> NDArray[np.object_]:
    """Values of some columns as one text a row; empty where a required one is missing."""
    columns = {key: snapshot.texts(key) for key in keys}
    complete = (
        np.all([columns[key] != "" for key in required], axis=0) if required else np.ones(len(snapshot), bool)
    )
    texts = ["\t".join(values) for values in zip(*columns.values(), strict=True)]
    return np.where(complete, np.array(texts, dtype=object), "")


def _chained(names: NDArray[np.object_]) -> NDArray[np.int64]:
    """Each row with the next of the same name; rows without a name have none."""
    rows = np.flatnonzero(names != "")
    order = rows[np.argsort(names[rows].astype(str), kind="stable")]
    same = names[order[1:]] == names[order[:-1]]
    return np.stack([order[:-1][same], order[1:][same]])
