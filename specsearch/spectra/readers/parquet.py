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
from specsearch.spectra.readers.peaks import as_float64
from specsearch.spectra.readers.record import Record, admit
from specsearch.spectra.spectrum import Spectrum

_BATCH_ROWS = 2048
_PEAK_COLUMNS = ("mz", "intensity")


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
            for first_row, batch in _batches(file, start, stop):
                yield from _batch_records(batch, first_row)
    except (pa.ArrowInvalid, OSError) as error:
        message = str(error).splitlines()[0]
        raise InputFileError(f"{path} is not a readable Parquet file: {message}", "Write it again.") from None


def _require_peak_columns(schema: pa.Schema, path: Path) -> None:
    missing = [name for name in _PEAK_COLUMNS if name not in schema.names or not _is_list(schema.field(name).type)]
    if missing:
        raise InputFileError(
            f"{path} has no column {' and '.join(missing)} with lists of numbers.",
            "Name the columns mz and intensity, one list of numbers a row.",
        )


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _batches(
    file: pq.ParquetFile, start: int, stop: int | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
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
    columns = {name: _texts(batch[name]) for name in batch.schema.names if name not in (*_PEAK_COLUMNS, "metadata")}
    names = list(columns)
    extra = batch["metadata"].to_pylist() if "metadata" in batch.schema.names else None
    for row, values in enumerate(zip(*columns.values(), strict=True) if columns else [()] * batch.num_rows):
        fields = [(name, value) for name, value in zip(names, values, strict=True) if value]
        if extra is not None and extra[row]:
            fields += extra[row]
        yield Record(
            f"row {first_row + row + 1}",
            fields,
            mz[mz_bounds[row] : mz_bounds[row + 1]],
            intensity[intensity_bounds[row] : intensity_bounds[row + 1]],
        )


def _flat(lists: pa.Array) -> tuple[NDArray[np.float64], list[int]]:
    """All numbers of a list column, and where each row begins and ends; a null list has none."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return as_float64(lists.flatten()), [0, *np.cumsum(lengths, dtype=np.int64).tolist()]


def _texts(column: pa.Array) -> list[str | None]:
    """A column as texts; what is not a plain value as its Python notation."""
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        return [None if value is None else str(value) for value in column.to_pylist()]
    texts: list[str | None] = column.cast(pa.string()).to_pylist()
    return texts
