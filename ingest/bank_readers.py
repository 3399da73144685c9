"""Files of molecules: which reader a file gets, and those of SMILES and of SDF."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from ingest.bank_records import Columns, MoleculeRecord
from ingest.bank_tables import find_column, read_molecule_parquet, read_molecule_table
from specsearch.errors import InputFileError
from specsearch.spectra.readers.sources import numbered_lines

_Reader = Callable[[Path, Columns], Iterator[MoleculeRecord]]


def read_molecules(path: Path, columns: Columns | None = None) -> Iterator[MoleculeRecord]:
    """Read a file of molecules, one record at a time.

    The name says the format: ``.smi`` (also ``.smiles``, ``.ism``), ``.csv``, ``.tsv``, ``.tab``, ``.txt``,
    ``.sdf`` (also ``.sd``, ``.mol``), ``.parquet``; all but the last also gzipped.

    Raises
    ------
    InputFileError
        If the format or the columns are not understood, or the file breaks off.
    """
    reader = _reader(path)
    try:
        yield from reader(path, columns or Columns())
    except (EOFError, zlib.error, OSError, csv.Error) as error:
        raise InputFileError(f"{path} cannot be read to its end: {error}.", "Download it again.") from None


def is_molecule_file(path: Path) -> bool:
    """Whether the name is that of a format that is read."""
    try:
        _reader(path)
    except InputFileError:
        return False
    return True


def _reader(path: Path) -> _Reader:
    readers: dict[_Reader, tuple[str, ...]] = {
        _read_smiles: (".smi", ".smiles", ".ism"),
        _read_sdf: (".sdf", ".sd", ".mol"),
        read_molecule_table: (".csv", ".tsv", ".tab", ".txt"),
        read_molecule_parquet: (".parquet",),
    }
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    for reader, endings in readers.items():
        if ending in endings:
            return reader
    known = ", ".join(ending for endings in readers.values() for ending in endings)
    raise InputFileError(f"{path} has no ending of a file of molecules.", f"Read are {known}.")


def _read_smiles(path: Path, columns: Columns) -> Iterator[MoleculeRecord]:
    """A SMILES and its name a line; a first line that calls itself a header and comments are left out."""
    for number, line in numbered_lines(path):
        text = line.strip()
        smiles, *rest = text.split(None, 1)[:2] or [""]
        if not text or text.startswith("#") or (number == 1 and smiles.lower() in ("smiles", "smi")):
            continue
        yield MoleculeRecord(f"line {number}", smiles, name=rest[0] if rest else "")


def _read_sdf(path: Path, columns: Columns) -> Iterator[MoleculeRecord]:
    """Records between ``$$$$``; the last may end without."""
    lines: list[str] = []
    number = 0
    for _, line in numbered_lines(path):
        if line.startswith("$$$$"):
            number += 1
            yield _sdf_record(lines, f"record {number}", columns)
            lines = []
        else:
            lines.append(line.rstrip("\r"))
    if any(line.strip() for line in lines):
        yield _sdf_record(lines, f"record {number + 1}", columns)


def _sdf_record(lines: list[str], position: str, columns: Columns) -> MoleculeRecord:
    end = next((i for i, line in enumerate(lines) if line.startswith("M  END")), len(lines) - 1)
    fields = _sdf_fields(lines[end + 1 :])
    name_field = find_column("name", list(fields), columns.name)
    key_field = find_column("inchikey", list(fields), columns.inchikey)
    name, inchikey = fields.get(name_field or "", ""), fields.get(key_field or "", "")
    title = lines[0].strip() if lines else ""
    block = "\n".join(lines[: end + 1])
    return MoleculeRecord(position, block if block.strip() else "", True, name or title, inchikey)


def _sdf_fields(lines: list[str]) -> dict[str, str]:
    """The first line of each data field by its name (``> <NAME>``)."""
    fields: dict[str, str] = {}
    for header, value in pairwise(lines):
        if header.startswith(">") and "<" in header:
            fields.setdefault(header[header.index("<") + 1 :].rpartition(">")[0], value.strip())
    return fields
