"""What a spectrum must be to come back from a file as it went in."""

from __future__ import annotations

from specsearch.errors import InvalidSpectrum
from specsearch.spectra.readers.fields import cleaned, standard_name
from specsearch.spectra.readers.ionization import ionization
from specsearch.spectra.readers.record import NOTES_FIELD, joined_notes
from specsearch.spectra.spectrum import Spectrum

_RESERVED = frozenset({"spectrum_id", "precursor_mz", "charge", "adduct", "num_peaks", NOTES_FIELD})


def writable_fields(spectrum: Spectrum) -> dict[str, str]:
    """Everything but the peaks as text under standard names, numbers in their shortest exact notation.

    Raises
    ------
    InvalidSpectrum
        If a reader could not give the same back: a text with line breaks or blanks around it, a key
        that is not in its standard form or belongs to another field, an adduct against the charge.
    """
    fields = {
        "spectrum_id": spectrum.accession,
        "precursor_mz": "" if spectrum.precursor_mz is None else repr(float(spectrum.precursor_mz)),
        "charge": _charge_text(spectrum.charge),
        "adduct": spectrum.adduct or "",
        NOTES_FIELD: joined_notes(spectrum.notes),
        **_checked_metadata(spectrum),
    }
    for name, value in fields.items():
        if cleaned(value) != value:
            raise InvalidSpectrum("text cannot be written", f"{name} of {spectrum.accession}: {value[:60]!r}")
    ion = ionization(fields["charge"], fields["adduct"], fields.get("ionmode", ""))
    if spectrum.charge is not None and ion.charge != spectrum.charge:
        raise InvalidSpectrum("charge contradicts adduct or ion mode", spectrum.accession)
    return {name: value for name, value in fields.items() if value}


def _charge_text(charge: int | None) -> str:
    """``2+``, ``1-``, or nothing where it is unknown."""
    return "" if charge is None else f"{abs(charge)}{'+' if charge > 0 else '-'}"


def _checked_metadata(spectrum: Spectrum) -> dict[str, str]:
    for key, value in spectrum.metadata.items():
        if key in _RESERVED or standard_name(key) != key or not value:
            detail = f"{key!r} of {spectrum.accession}: {value[:60]!r}"
            raise InvalidSpectrum("metadata cannot be written", detail)
    return dict(spectrum.metadata)
