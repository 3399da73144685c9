"""What no instrument gives and no page can show: refused at every door that spectra come in by."""

from __future__ import annotations

from dataclasses import replace

from specsearch.errors import InvalidSpectrum
from specsearch.spectra.spectrum import Spectrum

MOST_MZ = 100_000.0
MOST_CHARGE = 100
MOST_LETTERS = 200
_MOST_INTENSITY = 1e30


def within_bounds(spectrum: Spectrum) -> Spectrum:
    """The spectrum, its names cut to a length that other requests take.

    The encoder's numbers overflow far above these bounds; a query that breaks it would break those of
    others that are answered together with it.

    Raises
    ------
    InvalidSpectrum
        If a number in it is out of bounds.
    """
    if spectrum.mz[-1] > MOST_MZ:
        raise InvalidSpectrum("m/z too large", f"{spectrum.mz[-1]:g}, allowed are {MOST_MZ:g}")
    if spectrum.precursor_mz is not None and spectrum.precursor_mz > MOST_MZ:
        raise InvalidSpectrum("precursor m/z too large", f"{spectrum.precursor_mz:g}")
    if spectrum.intensity.max() > _MOST_INTENSITY:
        raise InvalidSpectrum("intensity too large", f"{spectrum.intensity.max():g}")
    if spectrum.charge is not None and abs(spectrum.charge) > MOST_CHARGE:
        raise InvalidSpectrum("charge too large", f"allowed are {MOST_CHARGE}")
    return replace(
        spectrum,
        accession=_sendable(spectrum.accession),
        adduct=None if spectrum.adduct is None else _sendable(spectrum.adduct),
    )


def _sendable(text: str) -> str:
    """A name without halves of characters, which no answer can carry."""
    return text.encode("utf-8", "replace").decode()[:MOST_LETTERS]
