"""Arrays that take minutes to compute, kept in a folder between runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.spectra.writers.atomic import replacing


def kept_array(path: Path | None, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array in `path`, made and written there first where it is missing or damaged.

    Parameters
    ----------
    path : Path or None
        A ``.npy`` file, whose name must say all that the array depends on; None keeps nothing.
    make : callable
        Computes the array.

    Raises
    ------
    InputFileError
        If the file cannot be written.
    """
    if path is None:
        return make()
    if (found := _find(path)) is not None:
        return found
    array = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    return array


def _find(path: Path) -> NDArray[Any] | None:
    try:
        found: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found
