"""From files to windows: deterministic pieces of Parquet that can be read, done and ticked off alone.

A Parquet file is cut as it stands. Any other format is read once into a Parquet file beside the ledger
(staging), so that a piece can be read again without reading the whole source again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from specsearch.errors import InputFileError, Skipped
from specsearch.spectra.readers import read_spectra
from specsearch.spectra.readers.detect import Format, detect_format
from specsearch.spectra.readers.parquet import count_rows
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.parquet import write_parquet

WINDOW_SIZE = 2048
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Source:
    """An input file, known by its content.

    Parameters
    ----------
    path : Path
        As the user named it.
    sha256 : str
        Of its bytes: a renamed file is the same source, a changed one is another.
    table : Path
        The Parquet file with its spectra: itself, or the staged copy.
    n_rows : int
    skipped : tuple of Skipped
        Records that staging left out (those of a Parquet source are met when its windows are read).
    """

    path: Path
    sha256: str
    table: Path
    n_rows: int
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Window:
    """Rows ``start`` to ``stop`` of a source's table."""

    source: Source
    start: int
    stop: int

    @property
    def key(self) -> str:
        """Name in the ledger: content hash and rows, so that windows of another size are other windows."""
        return f"{self.source.sha256}:{self.start}-{self.stop}"


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises
    ------
    InputFileError
        If it cannot be read.
    """
    state = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                state.update(block)
    except OSError as error:
        raise InputFileError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return state.hexdigest()


def prepare_source(path: Path, staging: Path) -> Source:
    """Make a file's records addressable by row, staging them where the format does not allow that.

    Raises
    ------
    InputFileError
        If the file cannot be read or is in no known format.
    """
    sha256 = content_hash(path)
    if detect_format(path) is Format.PARQUET:
        return Source(path, sha256, path, count_rows(path))
    table, complaints = staging / f"{sha256}.parquet", staging / f"{sha256}.skipped.json"
    if not complaints.exists():
        _stage(path, table, complaints)
    skipped = tuple(Skipped(**item) for item in json.loads(complaints.read_text(encoding="utf-8")))
    n_rows = count_rows(table) if table.exists() else 0
    return Source(path, sha256, table, n_rows, skipped)


def _stage(path: Path, table: Path, complaints: Path) -> None:
    """Write a source's spectra to `table` and its complaints beside it; the complaints mark it complete."""
    table.parent.mkdir(parents=True, exist_ok=True)
    skipped: list[Skipped] = []

    def spectra() -> Iterator[Spectrum]:
        for record in read_spectra(path):
            if isinstance(record, Skipped):
                skipped.append(record)
            else:
                yield record

    write_parquet(table, spectra())
    partial = complaints.with_name(complaints.name + ".partial")
    partial.write_text(json.dumps([asdict(item) for item in skipped]), encoding="utf-8")
    os.replace(partial, complaints)


def windows(source: Source, size: int = WINDOW_SIZE) -> list[Window]:
    """Cut a source into windows of `size` rows."""
    return [
        Window(source, start, min(start + size, source.n_rows)) for start in range(0, source.n_rows, size)
    ]
