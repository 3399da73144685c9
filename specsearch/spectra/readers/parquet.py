"""Parquet: one row a spectrum, ``mz`` and ``intensity`` as lists of numbers.

Reads what `specsearch.spectra.writers.parquet` writes, and any table with those two columns, such as
exports of MassBank: every other column becomes metadata under its standard name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from specsearch.errors import InputFileError, Skipped
from specsearch.spectra.readers.fields import standard_fields, standard_name
from specsearch.spectra.readers.peaks import as_float64
from specsearch.spectra.readers.record import Record, admit
from specsearch.spectra.readers.sources import require_believable
from specsearch.spectra.spectrum import Spectrum

_BATCH_ROWS = 2048
_NUMBER_BYTES = 8
_DAMAGED = (pa.ArrowException, OSError, UnicodeDecodeError)
_PEAK_COLUMNS = ("mz", "intensity")
_METADATA = "metadata"


def read_parquet(path: Path, start: int = 0, stop: int | None = None) -> Iterator[Spectrum | Skipped]:
    """Read the rows from `start` up to, not including, `stop`; row groups outside are not touched.

    Raises
    ------
    InputFileError
        If the file is damaged or lacks the peak columns.
    """
    return admit(_records(path, start, stop), path, first_number=start + 1)


def _records(path: Path, start: int, stop: int | None) -> Iterator[Record]:
    try:
        with pq.ParquetFile(path) as file:
            _require_peak_columns(file.schema_arrow, path)
            _require_believable(file.metadata, path)
            for first_row, batch in _batches(file, start, stop):
                yield from _batch_records(batch, first_row)
    except _DAMAGED as error:
        raise _unreadable(path, error) from None


def count_rows(path: Path) -> int:
    """How many rows a Parquet file has, by its own word.

    Raises
    ------
    InputFileError
        If it is damaged, or speaks of more than it can hold.
    """
    try:
        with pq.ParquetFile(path) as file:
            _require_believable(file.metadata, path)
            return int(file.metadata.num_rows)
    except _DAMAGED as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputFileError:
    message = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return InputFileError(f"{path} is not a readable Parquet file: {message}", "Write it again.")


def _require_believable(metadata: pq.FileMetaData, path: Path) -> None:
    """Raise if the footer declares more rows than the file can hold.

    The numbers of each column are not asked for: pyarrow ends the process where their statistics are damaged.
    """
    require_believable(path, _NUMBER_BYTES * metadata.num_rows)


def _require_peak_columns(schema: pa.Schema, path: Path) -> None:
    missing = [name for name in _PEAK_COLUMNS if name not in schema.names or not _is_list(schema, name)]
    if missing:
        raise InputFileError(
            f"{path} has no column {' and '.join(missing)} with lists of numbers.",
            "Name the columns mz and intensity, one list of numbers a row.",
        )


def _is_list(schema: pa.Schema, name: str) -> bool:
    kind = schema.field(name).type
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _batches(file: pq.ParquetFile, start: int, stop: int | None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches within the window, each with the number of its first row."""
    end = file.metadata.num_rows if stop is None else min(stop, file.metadata.num_rows)
    group_start = 0
    for group in range(file.num_row_groups):
        group_end = group_start + file.metadata.row_group(group).num_rows
        if group_end > start and group_start < end:
            row = group_start
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group]):
                first, last = max(start, row), min(end, row + batch.num_rows)
                if first < last:
                    yield first, batch.slice(first - row, last - first)
                row += batch.num_rows
        group_start = group_end


def _batch_records(batch: pa.RecordBatch, first_row: int) -> Iterator[Record]:
    """Records of a batch: columns are converted as a whole, rows only cut out of them."""
    mz, mz_bounds = _flat(batch["mz"])
    intensity, intensity_bounds = _flat(batch["intensity"])
    for row, fields in enumerate(_fields(batch)):
        yield Record(
            f"row {first_row + row + 1}",
            fields,
            mz[mz_bounds[row] : mz_bounds[row + 1]],
            intensity[intensity_bounds[row] : intensity_bounds[row + 1]],
        )


def _fields(batch: pa.RecordBatch) -> Iterator[dict[str, str]]:
    """Fields of each row under their standard names; a column counts before the ``metadata`` map."""
    columns: dict[str, list[str]] = {}
    for name in batch.schema.names:
        if name not in (*_PEAK_COLUMNS, _METADATA):
            columns.setdefault(standard_name(name), _values(name, batch[name]))
    names = list(columns)
    rows = zip(*columns.values(), strict=True) if columns else [()] * batch.num_rows
    extras = batch[_METADATA].to_pylist() if _METADATA in batch.schema.names else [None] * batch.num_rows
    for values, extra in zip(rows, extras, strict=True):
        fields = {name: value for name, value in zip(names, values, strict=True) if value}
        yield standard_fields(extra) | fields if extra else fields


def _values(key: str, column: pa.Array) -> list[str]:
    """A column's values as `standard_fields` leaves them, ``""`` where missing.

    Most columns repeat a few values: each distinct one is cleaned once.
    """
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        column = pa.array(texts, pa.string())
    encoded = column.cast(pa.string()).dictionary_encode()
    name = standard_name(key)
    meanings = [standard_fields([(key, text)]).get(name, "") for text in encoded.dictionary.to_pylist()]
    meanings.append("")
    return [meanings[index] for index in encoded.indices.fill_null(len(meanings) - 1).to_pylist()]


def _flat(lists: pa.Array) -> tuple[NDArray[np.float64], list[int]]:
    """All numbers of a list column, and where each row begins and ends; a null list has none."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return as_float64(lists.flatten()), [0, *np.cumsum(lengths, dtype=np.int64).tolist()]
