"""Spectra from and to matchms, whose names for metadata are ours."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import TYPE_CHECKING, Any

from specsearch.errors import SpecsearchError
from specsearch.spectra.readers.record import NOTES_FIELD, Record, joined_notes, require_spectrum
from specsearch.spectra.spectrum import Spectrum

if TYPE_CHECKING:
    import matchms

_PARENT, _OWN_PARENT = "parent_mass", "exact_mass"  # the neutral mass; matchms renames ours to its own


def from_matchms(spectrum: matchms.Spectrum) -> Spectrum:
    """A spectrum of matchms, read as a record of a file would be.

    So the adduct is believed before the sign of the charge, and contradictions stand in the notes. Peak
    comments and other values that are neither text nor number are left behind.

    Parameters
    ----------
    spectrum : matchms.Spectrum

    Raises
    ------
    InvalidSpectrum
        If it has no peaks, or peaks or a precursor that no spectrum can have.
    """
    fields = list(_texts(spectrum.metadata))
    return require_spectrum(Record("", fields, spectrum.peaks.mz, spectrum.peaks.intensities))


def to_matchms(spectrum: Spectrum) -> matchms.Spectrum:
    """The spectrum as one of matchms; peaks as they are, precursor and charge as numbers.

    Other values stay texts, which the filters of matchms turn into numbers (`add_retention_time` and the
    like). ``ionmode`` is added where the charge says it. `from_matchms` gives back what went in, as far as a
    reader could have given it.

    Parameters
    ----------
    spectrum : Spectrum

    Raises
    ------
    SpecsearchError
        If matchms is not installed.
    """
    try:
        import matchms
    except ImportError:
        raise SpecsearchError(
            "matchms is not installed.", "Install it with: pip install 'specsearch[notebook]'"
        ) from None
    known = {
        "spectrum_id": spectrum.accession,
        "precursor_mz": spectrum.precursor_mz,
        "charge": spectrum.charge,
        "adduct": spectrum.adduct,
        NOTES_FIELD: joined_notes(spectrum.notes),
    }
    metadata: dict[str, Any] = {"ionmode": spectrum.ion_mode, **spectrum.metadata, **known}
    metadata = {name: value for name, value in metadata.items() if value not in (None, "")}
    # Its harmonization would drop what it cannot read, a retention time in words for example.
    return matchms.Spectrum(
        spectrum.mz.copy(), spectrum.intensity.copy(), metadata, metadata_harmonization=False
    )


def _texts(metadata: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values as a file would have them."""
    for name, value in metadata.items():
        if name == "pepmass" and isinstance(value, (tuple, list)):
            value = value[0]  # m/z, intensity, charge, as matchms reads it where it harmonizes nothing
        if isinstance(value, (str, Real)):
            yield _OWN_PARENT if name == _PARENT else name, str(value)
