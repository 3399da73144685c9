"""Texts of an HDF5 file, tried in a process of their own: in a damaged heap its library loops for ever.

Only datasets of variable length lie in that heap. ``python -m specsearch.spectra.readers.hdf5_texts FILE NAME
...`` reads each of them once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from specsearch.errors import InputFileError

_START_S, _BYTES_PER_S = 15.0, 1e6  # generously: a busy machine reads some 50 MB/s
_ROWS = 4096


def require_readable_texts(path: Path, names: Sequence[str]) -> None:
    """Raise unless datasets of variable length can be read to their ends.

    Raises
    ------
    InputFileError
        If reading ends with an error, or does not end.
    """
    if not names:
        return
    paths = {"PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
    command = [sys.executable, "-m", "specsearch.spectra.readers.hdf5_texts", str(path), *names]
    limit_s = _START_S + path.stat().st_size / _BYTES_PER_S
    try:
        told = subprocess.run(
            command, capture_output=True, timeout=limit_s, check=False, env=os.environ | paths
        )
    except subprocess.TimeoutExpired:
        raise InputFileError(
            f"{path} has texts that cannot be read to their end.", "Write it again."
        ) from None
    if told.returncode != 0:
        raise InputFileError(f"{path} has texts that cannot be read.", "Download it again.")


def _read(path: str, names: Sequence[str]) -> None:
    import h5py

    with h5py.File(path, "r") as file:
        for name in names:
            dataset = file[os.fsencode(name)]  # which need not be UTF-8
            for first in range(0, len(dataset), _ROWS):
                dataset[first : first + _ROWS]


if __name__ == "__main__":
    _read(sys.argv[1], sys.argv[2:])
