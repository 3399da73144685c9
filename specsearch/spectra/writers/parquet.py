"""Parquet: the format of our own that keeps everything, 64-bit peaks, metadata and notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from specsearch.spectra.readers.record import NOTES_FIELD
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.atomic import replacing
from specsearch.spectra.writers.record import writable_fields

_GROUP_ROWS = 4096
SCHEMA = pa.schema(
    [
        ("spectrum_id", pa.string()),
        ("mz", pa.list_(pa.float64())),
        ("intensity", pa.list_(pa.float64())),
        ("precursor_mz", pa.float64()),
        ("charge", pa.int32()),
        ("adduct", pa.string()),
        (NOTES_FIELD, pa.string()),
        ("metadata", pa.map_(pa.string(), pa.string())),
    ]
)


def write_parquet(path: str | Path, spectra: Iterable[Spectrum]) -> int:
    """Write spectra in row groups and return how many; nothing is left behind where one cannot be written.

    Raises
    ------
    InvalidSpectrum
        If a spectrum could not be read back as it is.
    InputFileError
        If the file cannot be written.
    """
    n_spectra = 0
    with (
        replacing(Path(path)) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for group in _groups(spectra):
            writer.write_table(pa.Table.from_pylist([_row(spectrum) for spectrum in group], SCHEMA))
            n_spectra += len(group)
    return n_spectra


def _groups(spectra: Iterable[Spectrum]) -> Iterator[list[Spectrum]]:
    iterator = iter(spectra)
    while group := list(islice(iterator, _GROUP_ROWS)):
        yield group


def _row(spectrum: Spectrum) -> dict[str, object]:
    fields = writable_fields(spectrum)
    return {
        "spectrum_id": fields.get("spectrum_id"),
        "mz": spectrum.mz,
        "intensity": spectrum.intensity,
        "precursor_mz": spectrum.precursor_mz,
        "charge": spectrum.charge,
        "adduct": spectrum.adduct,
        NOTES_FIELD: fields.get(NOTES_FIELD),
        "metadata": list(spectrum.metadata.items()),
    }
