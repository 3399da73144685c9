"""Readers: one format a file, each a generator of `Spectrum` or `Skipped`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specsearch.errors import Skipped
    from specsearch.spectra.readers.files import FoundFiles
    from specsearch.spectra.spectrum import Spectrum

_READERS = {
    "MGF": "mgf.read_mgf",
    "MSP": "msp.read_msp",
    "MZML": "mzml.read_mzml",
    "MZXML": "mzxml.read_mzxml",
    "MASSBANK": "massbank.read_massbank",
    "JSON": "gnps_json.read_json",
    "MASSSPECGYM": "massspecgym.read_massspecgym",
    "PARQUET": "parquet.read_parquet",
    "HDF5": "hdf5.read_hdf5",
}


def read_spectra(path: str | Path) -> Iterator[Spectrum | Skipped]:
    """Read a file in any format that is understood, one record at a time.

    Raises
    ------
    InputFileError
        At the call if the file cannot be opened or is in no such format; while reading if it turns out
        to be damaged as a whole.
    """
    from specsearch.spectra.readers.detect import detect_format

    module, _, function = _READERS[detect_format(path).name].partition(".")
    reader = getattr(import_module(f"{__name__}.{module}"), function)
    records: Iterator[Spectrum | Skipped] = reader(Path(path))
    return records


def find_files(paths: Iterable[str | Path]) -> FoundFiles:
    """Files behind files, folders and patterns: see `specsearch.spectra.readers.files.find_files`."""
    from specsearch.spectra.readers import files

    return files.find_files(paths)
