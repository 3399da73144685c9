"""Writers: one format a file; what is written is read back as it was."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from specsearch.errors import InputFileError

if TYPE_CHECKING:
    from specsearch.spectra.spectrum import Spectrum

_WRITERS = {".mgf": "mgf.write_mgf", ".msp": "msp.write_msp", ".parquet": "parquet.write_parquet"}


def write_spectra(path: str | Path, spectra: Iterable[Spectrum]) -> int:
    """Write spectra in the format of the name's ending, ``.mgf`` and ``.msp`` also with ``.gz``.

    Returns
    -------
    int
        Number of spectra written.

    Raises
    ------
    InputFileError
        If the ending is not known or the file cannot be written.
    InvalidSpectrum
        If a spectrum could not be read back as it is.
    """
    path = Path(path)
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in _WRITERS or (suffix == ".parquet" and path.name.endswith(".gz")):
        message = f"{path.name} has no ending of a format that can be written."
        raise InputFileError(message, f"Use {', '.join(_WRITERS)}.")
    module, _, function = _WRITERS[suffix].partition(".")
    n_spectra: int = getattr(import_module(f"{__name__}.{module}"), function)(path, spectra)
    return n_spectra
