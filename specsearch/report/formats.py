"""Rows as CSV, TSV, JSON Lines or Parquet, written as they come."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO, get_args

from specsearch.errors import InputFileError
from specsearch.report.rows import Columns, Value
from specsearch.spectra.writers.atomic import replacing, replacing_text

RowFormat = Literal["csv", "tsv", "jsonl", "parquet"]
ROW_FORMATS: tuple[RowFormat, ...] = get_args(RowFormat)
_GROUP_ROWS = 4096

Rows = Iterable[Mapping[str, Value]]


def format_of(path: Path) -> RowFormat:
    """The format that a file's ending names.

    Raises
    ------
    InputFileError
        If it names none.
    """
    for known in ROW_FORMATS:
        if path.suffix.lower() == f".{known}":
            return known
    endings = ", ".join(f".{known}" for known in ROW_FORMATS)
    raise InputFileError(f"{path.name} has no ending of a table that can be written.", f"Use {endings}.")


def write_rows(path: Path, rows: Rows, columns: Columns, row_format: RowFormat) -> int:
    """Write a file, whole or not at all, and return the number of rows.

    Parameters
    ----------
    path : Path
    rows : iterable of mappings
        Each with a value, or None for unknown, under every column.
    columns : mapping of str to type
        ``str``, ``int`` or ``float``.
    row_format : {"csv", "tsv", "jsonl", "parquet"}

    Raises
    ------
    InputFileError
        If the file cannot be written.
    """
    if row_format == "parquet":
        return _write_parquet(path, rows, columns)
    with replacing_text(path) as stream:
        return write_text_rows(stream, rows, columns, row_format)


def write_text_rows(stream: TextIO, rows: Rows, columns: Columns, row_format: RowFormat) -> int:
    """Write rows to an open stream of text, one line each, and return how many."""
    n_rows = 0
    write = None if row_format == "jsonl" else csv.writer(stream, _dialect(row_format), lineterminator="\n")
    if write is not None:
        write.writerow(columns)
    for row in rows:
        if write is None:
            stream.write(json.dumps({name: row[name] for name in columns}, ensure_ascii=False) + "\n")
        else:
            write.writerow(["" if row[name] is None else row[name] for name in columns])
        n_rows += 1
    return n_rows


def _dialect(row_format: RowFormat) -> type[csv.Dialect]:
    return csv.excel_tab if row_format == "tsv" else csv.excel


def _write_parquet(path: Path, rows: Rows, columns: Columns) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    n_rows = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist(group, schema))
            n_rows += len(group)
    return n_rows


def _groups(rows: Rows) -> Iterator[list[Mapping[str, Value]]]:
    iterator = iter(rows)
    while group := list(islice(iterator, _GROUP_ROWS)):
        yield group
