"""Points taken out of a library and kept in a file, so that they can be put back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from specsearch.errors import StoreDamaged, StoreError
from specsearch.spectra.writers.atomic import replacing
from specsearch.store.points import Point, SparseVector
from specsearch.store.queries import Record
from specsearch.store.store import Collection

_BATCH = 1_000
_SPARSE = ("peaks", "losses")
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
    if path.exists():
        raise StoreError(f"{path} is there already.", "Put those spectra back first, or remove the file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer:
        for batch in _batches(point_ids):
            records = collection.fetch(batch, with_vectors=True)
            writer.write_table(pa.Table.from_pylist([_row(r) for r in records.values()], _SCHEMA))
    for batch in _batches(point_ids):
        collection.delete(batch)
    collection.flush()


def put_back(collection: Collection, path: Path) -> int:
    """Put points back and return how many; the file stays. Doing it twice is the same as once.

    Raises
    ------
    StoreDamaged
        If the file is not one of `set_aside`.
    """
    try:
        file = pq.ParquetFile(path)
        if file.schema_arrow != _SCHEMA:
            raise StoreDamaged(
                f"{path} does not hold spectra set aside.", "Index them again from their files."
            )
        for batch in file.iter_batches(_BATCH):
            collection.upsert([_point(row) for row in batch.to_pylist()])
        collection.flush()
        return int(file.metadata.num_rows)
    except (OSError, pa.ArrowException) as error:
        message = f"{path} cannot be read: {error}."
        raise StoreDamaged(message, "Index the spectra again from their files.") from error


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
