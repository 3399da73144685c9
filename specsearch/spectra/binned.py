"""Peaks and neutral losses as sparse vectors, so that an inverted index can search them.

Each spectrum becomes two unit vectors over m/z bins: `peaks` (m/z) and `losses` (precursor minus
m/z). Their dot products are an open search by fragments and by neutral losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.spectra.cleaning import Peaks


@dataclass(frozen=True)
class BinningRecipe:
    """How peaks are spread over bins.

    Parameters
    ----------
    name : str
        Written into collections; changes whenever a value below does.
    bin_width_da : float
        Width of a bin in Da.
    intensity_power : float
        Weight of a peak is its relative intensity to this power; 0.25 found more analogues than 0.5.
    precursor_margin_da : float
        Peaks this close to the precursor say nothing about fragments and are left out.
    max_mz : float
        Peaks and losses above are left out.
    """

    name: str = "binned-1"
    bin_width_da: float = 0.02
    intensity_power: float = 0.25
    precursor_margin_da: float = 1.6
    max_mz: float = 5000.0


BINNING_RECIPE = BinningRecipe()


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Ragged sparse vectors: row i holds ``indices[offsets[i]:offsets[i + 1]]``, ascending and unique.

    Parameters
    ----------
    indices : numpy.ndarray of shape (n_values,), uint32
    values : numpy.ndarray of shape (n_values,), float32
        Each non-empty row has unit L2 norm.
    offsets : numpy.ndarray of shape (n_rows + 1,), int64
    """

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def row(self, i: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Indices and values of row `i`."""
        span = slice(self.offsets[i], self.offsets[i + 1])
        return self.indices[span], self.values[span]

    def __len__(self) -> int:
        return len(self.offsets) - 1


def bin_spectra(
    batch: Sequence[Peaks], recipe: BinningRecipe = BINNING_RECIPE
) -> tuple[SparseRows, SparseRows]:
    """Return the `peaks` and the `losses` vectors of a batch of prepared spectra.

    A spectrum without a precursor has an empty `losses` row and keeps all of its `peaks`.
    """
    counts = np.array([len(p.mz) for p in batch], dtype=np.int64)
    rows = np.repeat(np.arange(len(batch)), counts)
    mz = np.concatenate([p.mz for p in batch]) if batch else np.empty(0)
    weight = np.concatenate([p.intensity for p in batch]) if batch else np.empty(0)
    weight = weight**recipe.intensity_power
    precursor = np.array([np.nan if p.precursor_mz is None else p.precursor_mz for p in batch])
    loss = precursor[rows] - mz
    # Comparisons with NaN (no precursor) are False: such peaks are kept, such losses are not.
    is_fragment = ~(np.abs(loss) <= recipe.precursor_margin_da)
    is_loss = loss > recipe.precursor_margin_da
    return (
        _sparse_rows(rows[is_fragment], mz[is_fragment], weight[is_fragment], len(batch), recipe),
        _sparse_rows(rows[is_loss], loss[is_loss], weight[is_loss], len(batch), recipe),
    )


def _sparse_rows(
    rows: NDArray[np.int64],
    position_da: NDArray[np.float64],
    weight: NDArray[np.float64],
    n_rows: int,
    recipe: BinningRecipe,
) -> SparseRows:
    """Spread each value over its bin and the nearer neighbour, sum per bin, scale rows to unit norm."""
    inside = position_da < recipe.max_mz
    rows, position_da, weight = rows[inside], position_da[inside], weight[inside]
    place = position_da / recipe.bin_width_da
    bin_index = np.floor(place).astype(np.int64)
    off_centre = place - bin_index - 0.5
    neighbour = np.maximum(bin_index + np.where(off_centre >= 0, 1, -1), 0)
    share = np.abs(off_centre)
    n_bins = int(recipe.max_mz / recipe.bin_width_da) + 2
    keys = np.concatenate([rows * n_bins + bin_index, rows * n_bins + neighbour])
    values = np.concatenate([weight * (1.0 - share), weight * share])
    unique, inverse = np.unique(keys, return_inverse=True)
    summed = np.bincount(inverse, weights=values, minlength=len(unique))
    row_of = unique // n_bins
    norm = np.sqrt(np.bincount(row_of, weights=summed**2, minlength=n_rows))
    offsets = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(row_of, minlength=n_rows), out=offsets[1:])
    return SparseRows(
        (unique % n_bins).astype(np.uint32), (summed / norm[row_of]).astype(np.float32), offsets
    )
