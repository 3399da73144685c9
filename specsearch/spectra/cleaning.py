"""The two recipes by which peaks are prepared: one for the encoder, one for exact rescoring.

Pure functions of a spectrum. A recipe is a value with a name; the name is part of a collection's
contract, so vectors made by one recipe are never compared with those of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.spectra.spectrum import Spectrum


@dataclass(frozen=True)
class Recipe:
    """How peaks are prepared.

    Parameters
    ----------
    name : str
        Written into collections; changes whenever a value below does.
    relative_floor : float
        Peaks below this share of the base peak are dropped.
    max_peaks : int
        The strongest that are kept (ties: the lower m/z).
    """

    name: str
    relative_floor: float
    max_peaks: int


# 255 peaks and the precursor's own token fill the network's 256 places.
ENCODER_RECIPE = Recipe("encoder-1", relative_floor=0.01, max_peaks=255)
# Entropy similarity is defined on peaks of at least 1 % (Li et al., Nature Methods 18, 1524 (2021)).
RESCORING_RECIPE = Recipe("rescoring-1", relative_floor=0.01, max_peaks=512)


@dataclass(frozen=True, eq=False)
class Peaks:
    """Prepared peaks.

    Parameters
    ----------
    mz : numpy.ndarray of shape (n_peaks,), float64
        Ascending.
    intensity : numpy.ndarray of shape (n_peaks,), float64
        Relative to the base peak, in (0, 1].
    precursor_mz : float or None
    """

    mz: NDArray[np.float64]
    intensity: NDArray[np.float64]
    precursor_mz: float | None


def clean(spectrum: Spectrum, recipe: Recipe) -> Peaks:
    """Prepare the peaks of a spectrum by a recipe; the base peak always stays, so there is at least one."""
    return prepare(spectrum.mz, spectrum.intensity, spectrum.precursor_mz, recipe)


def prepare(
    mz: NDArray[np.float64], intensity: NDArray[np.float64], precursor_mz: float | None, recipe: Recipe
) -> Peaks:
    """Prepare a peak list (m/z ascending) by a recipe."""
    relative = intensity / intensity.max()
    keep = np.flatnonzero(relative >= recipe.relative_floor)
    if len(keep) > recipe.max_peaks:
        strongest = np.argsort(-relative[keep], kind="stable")[: recipe.max_peaks]
        keep = keep[np.sort(strongest)]
    return Peaks(mz[keep], relative[keep], precursor_mz)
