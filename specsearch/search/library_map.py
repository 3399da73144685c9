"""A library on two axes, by UMAP of its embeddings (McInnes et al., J. Open Source Softw. 3, 861 (2018))."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from specsearch.search.snapshot import POINT_ID, Snapshot
from specsearch.spectra.writers.atomic import replacing
from specsearch.store.schema import Key

_MIN_ROWS = 4  # below, UMAP has no neighbourhoods to lay out
_N_NEIGHBOURS = 15
_MAP = "map.parquet"


def lay_out(embeddings: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """Places of spectra on a plane, near where their embeddings are near; the same for the same input.

    Parameters
    ----------
    embeddings : numpy.ndarray of shape (n_spectra, size), float32
        Unit norm.
    seed : int

    Returns
    -------
    numpy.ndarray of shape (n_spectra, 2), float32
        A map keeps neighbourhoods; its distances and empty spaces mean nothing.
    """
    n_rows = len(embeddings)
    if n_rows < _MIN_ROWS:
        return np.column_stack([np.arange(n_rows), np.zeros(n_rows)]).astype(np.float32)
    from umap import UMAP

    reducer = UMAP(
        n_neighbors=min(_N_NEIGHBOURS, n_rows - 1),
        metric="cosine",
        random_state=seed,
        init="pca" if n_rows < 50 else "spectral",
        n_jobs=1,
    )
    places: NDArray[np.float32] = reducer.fit_transform(embeddings).astype(np.float32)
    return places


def keep_map(folder: Path, snapshot: Snapshot, places: NDArray[np.float32]) -> None:
    """Write a map beside the library: its spectra's columns, with ``x`` and ``y``."""
    table = snapshot.table.drop_columns([POINT_ID])
    for name, values in zip(("x", "y"), places.T, strict=True):
        table = table.append_column(name, pa.array(values))
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / _MAP) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def find_map(folder: Path) -> pa.Table | None:
    """The map that was kept, or None."""
    path = folder / _MAP
    return pq.read_table(path) if path.is_file() else None


def forget_map(folder: Path) -> None:
    """Remove the map that was kept; harmless where there is none."""
    (folder / _MAP).unlink(missing_ok=True)


def one_each(table: pa.Table, most: int) -> NDArray[np.int64]:
    """Rows to show of a map: a spectrum of every molecule, then others, evenly, as far as `most` allows."""
    keys = table[Key.INCHIKEY14].to_pylist()
    first = {key or row: row for row, key in reversed(list(enumerate(keys)))}
    rows = np.sort(np.fromiter(first.values(), np.int64, len(first)))
    if len(rows) >= most:
        return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    others = np.setdiff1d(np.arange(len(keys)), rows)
    n_more = min(most - len(rows), len(others))
    more = others[np.linspace(0, len(others) - 1, n_more).astype(np.int64)] if n_more else others[:0]
    return np.sort(np.concatenate([rows, more]))
