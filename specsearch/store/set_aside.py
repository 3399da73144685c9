"""Points taken out of a library and kept in a file, so that they can be put back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from specsearch.errors import ContractMismatch, StoreDamaged, StoreError
from specsearch.spectra.writers.atomic import replacing
from specsearch.store.points import Point, SparseVector
from specsearch.store.queries import Record
from specsearch.store.schema import Contract
from specsearch.store.space import require_free_space
from specsearch.store.store import Collection

_BATCH = 1_000
_BYTES_PER_POINT = 8_192  # generously: vectors and payload
_BEGUN = ".begun.parquet"
_FROM_FILES = "Index the spectra again from their files."
_SPARSE = ("peaks", "losses")
_CONTRACT = b"specsearch_contract"  # absent in files of earlier versions
_SCHEMA = pa.schema(
    [
        ("point_id", pa.string()),
        ("payload", pa.string()),
        ("embedding", pa.list_(pa.float32())),
        *((f"{name}_indices", pa.list_(pa.uint32())) for name in _SPARSE),
        *((f"{name}_values", pa.list_(pa.float32())) for name in _SPARSE),
    ]
)


def set_aside(collection: Collection, point_ids: Sequence[str], path: Path) -> None:
    """Take points out of a library; the file is complete before the first point goes.

    Until the last one has gone it has a name of its own, by which `finish_setting_aside` knows it.

    Parameters
    ----------
    collection : Collection
        Open for writing.
    point_ids : sequence of str
    path : Path
        Parquet file with all that is stored of them.

    Raises
    ------
    StoreError
        If the file is there already, or the library cannot be written.
    """
    begun = path.with_suffix(_BEGUN)
    if path.exists() or begun.exists():
        raise StoreError(f"{path} is there already.", "Put those spectra back first, or remove the file.")
    require_free_space(path.parent, _BYTES_PER_POINT * len(point_ids))
    path.parent.mkdir(parents=True, exist_ok=True)
    contract = json.dumps(collection.contract.to_dict()).encode()
    schema = _SCHEMA.with_metadata({_CONTRACT: contract})
    with replacing(begun) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for batch in _batches(point_ids):
            records = collection.fetch(batch, with_vectors=True)
            writer.write_table(pa.Table.from_pylist([_row(r) for r in records.values()], schema))
    _take_out(collection, point_ids, begun)


def finish_setting_aside(collection: Collection, folder: Path) -> int:
    """Take out what a killed `set_aside` has not yet taken out; how many points it was about.

    Without this, what is left of a group of duplicates would be looked at without those that are gone.

    Raises
    ------
    StoreError
        If a file cannot be read, or the library cannot be written.
    """
    n_points = 0
    for begun in sorted(folder.glob(f"*{_BEGUN}")):
        try:
            point_ids = pq.read_table(begun, columns=["point_id"])["point_id"].to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise StoreDamaged(f"{begun} cannot be read: {error}.", _FROM_FILES) from error
        _take_out(collection, point_ids, begun)
        n_points += len(point_ids)
    return n_points


def _take_out(collection: Collection, point_ids: Sequence[str], begun: Path) -> None:
    for batch in _batches(point_ids):
        collection.delete(batch)
    collection.flush()
    os.replace(begun, begun.with_name(begun.name.removesuffix(_BEGUN) + ".parquet"))


def count_set_aside(folder: Path) -> int:
    """How many points lie in a folder's files.

    Raises
    ------
    StoreDamaged
        If one of them cannot be read.
    """
    try:
        return sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))
    except (OSError, pa.ArrowException) as error:
        raise StoreDamaged(f"A file in {folder} cannot be read: {error}.", _FROM_FILES) from error


def put_back(collection: Collection, path: Path) -> int:
    """Put points back and return how many; the file stays. Doing it twice is the same as once.

    Raises
    ------
    StoreDamaged
        If the file is not one of `set_aside`.
    ContractMismatch
        If they have vectors of another model than the library has now.
    """
    try:
        file = pq.ParquetFile(path)
        if file.schema_arrow != _SCHEMA:
            raise StoreDamaged(
                f"{path} does not hold spectra set aside.", "Index them again from their files."
            )
        _require_same_model(collection, file, path)
        for batch in file.iter_batches(_BATCH):
            collection.upsert([_point(row) for row in batch.to_pylist()])
        collection.flush()
        return int(file.metadata.num_rows)
    except (OSError, pa.ArrowException) as error:
        message = f"{path} cannot be read: {error}."
        raise StoreDamaged(message, _FROM_FILES) from error


def _require_same_model(collection: Collection, file: pq.ParquetFile, path: Path) -> None:
    told = (file.schema_arrow.metadata or {}).get(_CONTRACT)
    if told is not None and not collection.contract.is_same(Contract.from_dict(json.loads(told))):
        raise ContractMismatch(
            f"The spectra in {path} have vectors of another model than the library {collection.name!r} now.",
            "Index them again from their files, and remove that file.",
        )


def _batches(point_ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(point_ids), _BATCH):
        yield list(point_ids[start : start + _BATCH])


def _row(record: Record) -> dict[str, object]:
    vectors = {"peaks": record.peaks, "losses": record.losses}
    return {
        "point_id": record.point_id,
        "payload": json.dumps(record.payload, ensure_ascii=False),
        "embedding": record.embedding,
        **{f"{name}_indices": vectors[name].indices for name in _SPARSE},
        **{f"{name}_values": vectors[name].values for name in _SPARSE},
    }


def _point(row: dict[str, object]) -> Point:
    embedding = np.array(row["embedding"], dtype=np.float32)
    peaks, losses = (
        SparseVector(
            np.array(row[f"{name}_indices"], dtype=np.uint32),
            np.array(row[f"{name}_values"], dtype=np.float32),
        )
        for name in _SPARSE
    )
    return Point(
        point_id=str(row["point_id"]),
        embedding=embedding / np.linalg.norm(embedding),
        peaks=peaks,
        losses=losses,
        payload=json.loads(str(row["payload"])),
    )
