"""A whole library read once, as arrays: what a neighbour graph and clusters are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from specsearch.errors import StoreDamaged
from specsearch.search.fusion import FUSIONS, FusionWeights
from specsearch.spectra.binned import BINNING_RECIPE
from specsearch.spectra.cleaning import RESCORING_RECIPE, Peaks, prepare
from specsearch.spectra.pair_similarity import PeakRows, weighted_by_entropy
from specsearch.store.digest import content_digest
from specsearch.store.points import SparseVector, decode_peaks
from specsearch.store.queries import Record
from specsearch.store.schema import Contract, Key
from specsearch.store.store import Collection

_FLOATS = (Key.PRECURSOR_MZ, Key.EXACT_MASS)
_INTEGERS = (Key.CHARGE, Key.N_PEAKS)
_TEXTS = (
    Key.SPECTRUM_ID,
    Key.ACCESSION,
    Key.COMPOUND_NAME,
    Key.FORMULA,
    Key.SMILES,
    Key.INCHIKEY14,
    Key.ADDUCT,
    Key.ION_MODE,
    Key.INSTRUMENT_TYPE,
    Key.COLLISION_ENERGY,
    Key.SPLASH,
    Key.CONTENT,
)
POINT_ID = "point_id"
NODE_SCHEMA = pa.schema(
    [
        (POINT_ID, pa.string()),
        *((key, pa.string()) for key in _TEXTS),
        *((key, pa.float64()) for key in _FLOATS),
        *((key, pa.int64()) for key in _INTEGERS),
    ]
)
"""Columns kept of every spectrum."""

_N_BINS = int(BINNING_RECIPE.max_mz / BINNING_RECIPE.bin_width_da) + 2
_CHUNK = 5_000


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A library at one moment; rows are in the order of point ids, whatever order they were indexed in.

    Parameters
    ----------
    library : str
    contract : Contract
    table : pyarrow.Table
        With the columns of `NODE_SCHEMA`.
    embeddings : numpy.ndarray of shape (n_spectra, embedding_size), float32
        Unit norm.
    sparse : scipy.sparse.csr_matrix of shape (n_spectra, n_bins), float32
        Peaks and losses side by side, scaled so that the dot product of two rows is the weighted sum of
        their two scores.
    weight : numpy.ndarray of shape (n_spectra,), float64
        Sum of the fusion weights of the vectors that a spectrum has.
    peaks, weighted_peaks : PeakRows
        Prepared for rescoring, and as entropy similarity compares them.
    precursor_mz : numpy.ndarray of shape (n_spectra,), float64
        NaN where unknown.
    fusion : FusionWeights
    """

    library: str
    contract: Contract
    table: pa.Table
    embeddings: NDArray[np.float32]
    sparse: csr_matrix
    weight: NDArray[np.float64]
    peaks: PeakRows
    weighted_peaks: PeakRows
    precursor_mz: NDArray[np.float64]
    fusion: FusionWeights

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def point_ids(self) -> list[str]:
        """Point id of every row, ascending."""
        return list(self.table[POINT_ID].to_pylist())

    def part(self, rows: NDArray[np.int64]) -> Snapshot:
        """Some of the rows, in the order given, as a library of their own."""
        return replace(
            self,
            table=self.table.take(rows),
            embeddings=self.embeddings[rows],
            sparse=self.sparse[rows],
            weight=self.weight[rows],
            peaks=self.peaks.part(rows),
            weighted_peaks=self.weighted_peaks.part(rows),
            precursor_mz=self.precursor_mz[rows],
        )

    def peaks_of(self, row: int) -> Peaks:
        """The peaks of a row, prepared for rescoring."""
        precursor = float(self.precursor_mz[row])
        return Peaks(*self.peaks.row(row), None if np.isnan(precursor) else precursor)

    def texts(self, key: str) -> NDArray[np.object_]:
        """A text column; empty where there is none."""
        return np.array([value or "" for value in self.table[key].to_pylist()], dtype=object)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Number of each spectrum's ion mode, by name; those without one are a group of their own."""
        _, group = np.unique(self.texts(Key.ION_MODE).astype(str), return_inverse=True)
        return np.asarray(group, dtype=np.int64)

    @cached_property
    def digest(self) -> str:
        """What is in the library, in 64 hex digits: equal for equal records, however they got there."""
        return content_digest(
            zip(
                self.point_ids,
                self.table[Key.CONTENT].to_pylist(),
                self.table[Key.SPLASH].to_pylist(),
                strict=True,
            )
        )


def read_snapshot(
    collection: Collection,
    fusion: FusionWeights = FUSIONS["fused"],
    advance: Callable[[int], None] = lambda n: None,
) -> Snapshot:
    """Read a library whole, streamed by scrolling.

    Parameters
    ----------
    collection : Collection
        Embedded or on a server.
    fusion : FusionWeights
        Laid into the sparse rows.
    advance : callable
        Told how many spectra more were read.

    Raises
    ------
    StoreDamaged
        If a stored record cannot be read.
    """
    reader = _Reader(fusion)
    for record in collection.scroll(batch=1000, with_vectors=True):
        reader.add(record)
        if len(reader.rows) == _CHUNK:
            reader.close_chunk()
            advance(_CHUNK)
    advance(len(reader.rows))
    reader.close_chunk()
    return reader.snapshot(collection)


class _Reader:
    """Gathers records into arrays; rows of text become Arrow columns chunk by chunk, far smaller."""

    def __init__(self, fusion: FusionWeights) -> None:
        self.rows: list[dict[str, object]] = []
        self._fusion = fusion
        self._tables: list[pa.Table] = []
        self._embeddings: list[NDArray[np.float32]] = []
        self._vectors: list[NDArray[np.float32]] = []
        self._indices: list[NDArray[np.int32]] = []
        self._values: list[NDArray[np.float32]] = []
        self._lengths: list[int] = []
        self._weights: list[float] = []
        self._peaks: list[Peaks] = []
        self._chunks: list[tuple[PeakRows, PeakRows]] = []

    def add(self, record: Record) -> None:
        if record.embedding is None:
            raise StoreDamaged(f"The point {record.point_id} has no embedding.", "Index the library again.")
        row = {key: record.payload.get(key) for key in NODE_SCHEMA.names}
        self.rows.append({**row, POINT_ID: record.point_id})
        self._vectors.append(record.embedding)
        scaled = [
            _scaled(vector, weight, first)
            for vector, weight, first in (
                (record.peaks, self._fusion.peaks, 0),
                (record.losses, self._fusion.losses, _N_BINS),
            )
        ]
        self._indices += [indices for indices, _ in scaled]
        self._values += [values for _, values in scaled]
        self._lengths.append(len(record.peaks) + len(record.losses))
        self._weights.append(
            self._fusion.embedding
            + self._fusion.peaks * bool(len(record.peaks))
            + self._fusion.losses * bool(len(record.losses))
        )
        mz, intensity = decode_peaks(str(record.payload[Key.PEAKS]))
        self._peaks.append(prepare(mz, intensity, None, RESCORING_RECIPE))

    def close_chunk(self) -> None:
        if not self.rows:
            return
        self._tables.append(pa.Table.from_pylist(self.rows, schema=NODE_SCHEMA))
        vectors = np.stack(self._vectors)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # stored as float16
        self._embeddings.append(vectors)
        self._indices, self._values = [np.concatenate(self._indices)], [np.concatenate(self._values)]
        self._chunks.append(
            (
                PeakRows.of([peaks.mz for peaks in self._peaks], [peaks.intensity for peaks in self._peaks]),
                weighted_by_entropy(self._peaks),
            )
        )
        self.rows, self._vectors, self._peaks = [], [], []

    def snapshot(self, collection: Collection) -> Snapshot:
        n_rows = len(self._lengths)
        table = pa.concat_tables(self._tables) if self._tables else NODE_SCHEMA.empty_table()
        size = collection.contract.embedding_size
        sparse = csr_matrix(
            (_joined(self._values, np.float32), _joined(self._indices, np.int32), _offsets(self._lengths)),
            shape=(n_rows, 2 * _N_BINS),
        )
        return Snapshot(
            library=collection.name,
            contract=collection.contract,
            table=table.combine_chunks(),
            embeddings=np.concatenate(self._embeddings) if n_rows else np.empty((0, size), np.float32),
            sparse=sparse,
            weight=np.array(self._weights, dtype=np.float64),
            peaks=PeakRows.joined(plain for plain, _ in self._chunks),
            weighted_peaks=PeakRows.joined(weighted for _, weighted in self._chunks),
            precursor_mz=table[Key.PRECURSOR_MZ].to_numpy(zero_copy_only=False).astype(np.float64),
            fusion=self._fusion,
        )


def _scaled(vector: SparseVector, weight: float, first: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    return (
        vector.indices.astype(np.int32) + np.int32(first),
        vector.values.astype(np.float32) * np.float32(np.sqrt(weight)),
    )


def _joined(parts: list[NDArray[np.generic]] | list, kind: type) -> NDArray:  # type: ignore[type-arg]
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)


def _offsets(lengths: Iterable[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.fromiter(lengths, dtype=np.int64))]).astype(np.int64)
