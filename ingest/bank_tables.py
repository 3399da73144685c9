"""Tables of molecules: delimited text and Parquet, the columns guessed or named."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.bank_records import Columns, MoleculeRecord
from specsearch.errors import InputFileError
from specsearch.spectra.readers.sources import open_binary

Kind = Literal["smiles", "name", "inchikey"]

# Names as databases give them, without case, blanks and underscores; the first that is there is taken.
_KNOWN: dict[Kind, tuple[str, ...]] = {
    "smiles": (
        *("smiles", "isomericsmiles", "canonicalsmiles", "canosmiles", "openeyeisosmiles", "pubchemsmiles"),
        *("parentsmiles", "structuresmiles", "qsarreadysmiles", "smi", "structure"),
    ),
    "name": (
        *("name", "compoundname", "preferredname", "prefname", "genericname", "commonname", "title"),
        *("chemicalname", "moleculename", "compound", "recordtitle", "pubchemiupacname", "iupacname"),
        *("preferrediupacname", "iupac", "identifier", "id"),
    ),
    "inchikey": ("inchikey", "standardinchikey", "stdinchikey", "pubcheminchikey"),
}
_DELIMITERS = "\t,;|"
_BATCH = 4096


def find_column(kind: Kind, columns: Sequence[str], named: str | None = None) -> str | None:
    """The column that holds the kind of thing: the one named, else the best known name; None without."""
    if named is not None:
        return named if named in columns else None
    plain = {_plain(column): column for column in reversed(columns)}
    return next((plain[known] for known in _KNOWN[kind] if known in plain), None)


def read_molecule_table(path: Path, columns: Columns) -> Iterator[MoleculeRecord]:
    """Read delimited text with a header; the delimiter is the one the header holds most of."""
    with open_binary(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
        header_line = text.readline()
        delimiter = max(_DELIMITERS, key=header_line.count)
        header = [cell.strip() for cell in next(csv.reader([header_line], delimiter=delimiter), [])]
        wanted = _chosen(path, header, columns)
        places = [header.index(column) if column else None for column in wanted]
        lines = csv.reader((line.replace("\0", "") for line in text), delimiter=delimiter)
        for cells in lines:
            if cells:
                values = [_cell(cells, place) for place in places]
                yield _record(f"line {lines.line_num + 1}", values)


def read_molecule_parquet(path: Path, columns: Columns) -> Iterator[MoleculeRecord]:
    """Read a Parquet table, only the columns that are needed."""
    try:
        table = pq.ParquetFile(path)
        wanted = _chosen(path, table.schema_arrow.names, columns)
        row = 0
        for batch in table.iter_batches(_BATCH, columns=[column for column in wanted if column]):
            values = [batch[column].to_pylist() if column else [""] * len(batch) for column in wanted]
            for cells in zip(*values, strict=True):
                row += 1
                yield _record(f"row {row}", [str(cell or "").strip() for cell in cells])
    except pa.ArrowException as error:
        told = str(error).splitlines()[0]
        raise InputFileError(
            f"{path} is not a Parquet file of molecules ({told}).", "Make it again."
        ) from None


def _chosen(path: Path, header: Sequence[str], columns: Columns) -> tuple[str, str | None, str | None]:
    """The columns of structures, names and keys.

    Raises
    ------
    InputFileError
        If there are no structures, or a column that was named is not there.
    """
    there = f"Its columns are {', '.join(header)[:300] or 'none'}."
    for named in (columns.smiles, columns.name, columns.inchikey):
        if named is not None and named not in header:
            raise InputFileError(f"{path} has no column {named!r}.", there)
    smiles = find_column("smiles", header, columns.smiles)
    if smiles is None:
        raise InputFileError(
            f"{path} has no column that is known to hold SMILES.", f"{there} Name it with --smiles-column."
        )
    name, inchikey = (
        find_column("name", header, columns.name),
        find_column("inchikey", header, columns.inchikey),
    )
    return smiles, name, inchikey


def _plain(column: str) -> str:
    return "".join(character for character in column.lower() if character.isalnum())


def _cell(cells: Sequence[str], place: int | None) -> str:
    return cells[place].strip() if place is not None and place < len(cells) else ""


def _record(position: str, values: Sequence[str]) -> MoleculeRecord:
    smiles, name, inchikey = values
    return MoleculeRecord(position, smiles, name=name, inchikey=inchikey)
