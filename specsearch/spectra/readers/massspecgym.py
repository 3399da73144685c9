"""MassSpecGym's table: tab-separated, peaks as comma-separated ``mzs`` and ``intensities``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from specsearch.errors import InputFileError, InvalidSpectrum, Skipped
from specsearch.spectra.readers.peaks import parse_numbers
from specsearch.spectra.readers.record import Record, admit
from specsearch.spectra.readers.sources import numbered_lines
from specsearch.spectra.spectrum import Spectrum


def read_massspecgym(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read one row at a time; every other column becomes metadata under its standard name.

    Raises
    ------
    InputFileError
        If the first line does not name the columns.
    """
    return admit(_records(path), path)


def _records(path: Path) -> Iterator[Record]:
    lines = numbered_lines(path)
    columns = next(lines, (0, ""))[1].split("\t")
    if missing := [name for name in ("mzs", "intensities") if name not in columns]:
        raise InputFileError(f"{path} has no column {' and '.join(missing)}.", "Check its first line.")
    for number, line in lines:
        if line.strip():
            yield _record(columns, line.split("\t"), f"line {number}")


def _record(columns: list[str], cells: list[str], position: str) -> Record:
    if len(cells) != len(columns):
        fault = InvalidSpectrum("record truncated", f"{len(cells)} of {len(columns)} columns")
        return Record(position, zip(columns, cells, strict=False), fault=fault)
    row = dict(zip(columns, cells, strict=True))
    mzs, intensities = row.pop("mzs"), row.pop("intensities")
    try:
        return Record(position, row.items(), parse_numbers(mzs, ","), parse_numbers(intensities, ","))
    except InvalidSpectrum as fault:
        return Record(position, row.items(), fault=fault)
