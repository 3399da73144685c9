"""GeMS and DreaMS files: HDF5 with ``spectrum`` of shape (n_spectra, 2, n_peaks), padded with zeros.

Layout: https://github.com/pluskal-lab/DreaMS (``precursor_mz``, ``charge``, ``RT``, ``name`` and others are
datasets of length n_spectra beside it). Needs h5py, an optional extra.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from specsearch.errors import InputFileError, Skipped
from specsearch.spectra.readers.hdf5_texts import require_readable_texts
from specsearch.spectra.readers.peaks import as_float64
from specsearch.spectra.readers.record import Record, admit
from specsearch.spectra.readers.sources import require_believable
from specsearch.spectra.spectrum import Spectrum

if TYPE_CHECKING:
    import h5py

_BATCH_ROWS = 1024
_BATCH_BYTES = 1 << 26
# as h5py and the conversion meet what is not what it says
_DAMAGED = (OSError, RuntimeError, LookupError, TypeError, ValueError, pa.ArrowException)
_SPECTRUM = "spectrum"
_RENAMED = {"name": "file_name"}  # GeMS calls the raw file "name"


def read_hdf5(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read rows in batches; datasets of one value a spectrum become metadata, others are passed over.

    Raises
    ------
    InputFileError
        If h5py is missing, or the file is damaged or laid out otherwise.
    """
    try:
        import h5py  # noqa: F401  said at the call, not at the first record
    except ImportError:
        raise InputFileError(
            f"{path} is an HDF5 file, and h5py, which reads it, is not installed.",
            "Install it with: pip install 'specsearch[hdf5]'",
        ) from None
    return admit(_records(path), path)


def _records(path: Path) -> Iterator[Record]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            spectra = _require_spectra(file, path)
            columns = _columns(file, len(spectra), path)
            n_rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, spectra.nbytes // max(1, len(spectra)))))
            for first in range(0, len(spectra), n_rows):
                yield from _batch_records(spectra, columns, slice(first, first + n_rows))
    except _DAMAGED as error:
        message = f"{path} is not a readable HDF5 file: {str(error)[:200]}"
        raise InputFileError(message, "Download it again.") from None


def _require_spectra(file: h5py.File, path: Path) -> h5py.Dataset:
    spectra = file.get(_SPECTRUM)
    if (
        not _is_own(spectra, file)
        or spectra.ndim != 3
        or spectra.shape[1] != 2
        or spectra.dtype.kind not in "fiu"
    ):
        raise InputFileError(
            f"{path} has no dataset {_SPECTRUM!r} of shape (n_spectra, 2, n_peaks).",
            "Only the layout of GeMS and DreaMS is understood.",
        )
    require_believable(path, spectra.nbytes)
    return spectra


def _is_own(dataset: object, file: h5py.File) -> bool:
    """Whether it is a dataset whose numbers lie in this file: not in another that the file names."""
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        return False
    return bool(dataset.file.filename == file.filename)


def _columns(file: h5py.File, n_spectra: int, path: Path) -> dict[str, h5py.Dataset]:
    """Datasets with one value a spectrum, by field."""
    found = {
        _RENAMED.get(_text(name), _text(name)): dataset
        for name, dataset in file.items()
        if _is_own(dataset, file) and dataset.shape == (n_spectra,)
    }
    for dataset in found.values():
        require_believable(path, dataset.nbytes)
    require_readable_texts(path, [os.fsdecode(d.name) for d in found.values() if d.dtype.kind == "O"])
    return found


def _batch_records(spectra: h5py.Dataset, columns: dict[str, h5py.Dataset], rows: slice) -> Iterator[Record]:
    peaks = spectra[rows]
    mz, intensity = _as_float64(peaks[:, 0]), _as_float64(peaks[:, 1])
    texts = {name: [_text(value) for value in column[rows]] for name, column in columns.items()}
    for row in range(len(peaks)):
        is_peak = (mz[row] != 0) | (intensity[row] != 0)
        fields = [(name, values[row]) for name, values in texts.items()]
        yield Record(f"row {rows.start + row + 1}", fields, mz[row][is_peak], intensity[row][is_peak])


def _as_float64(numbers: NDArray) -> NDArray[np.float64]:
    native = np.ascontiguousarray(numbers, dtype=numbers.dtype.newbyteorder("="))
    return as_float64(pa.array(native.ravel())).reshape(numbers.shape)


def _text(value: Any) -> str:
    """A value or a name; h5py hands on as bytes what is no UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
