"""MSP: one entry a spectrum, keys as MS-DIAL, mzmine and NIST MS Search read them, others as they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from specsearch.errors import InvalidSpectrum
from specsearch.spectra.readers.msp import comment_fields
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.atomic import replacing_text
from specsearch.spectra.writers.record import writable_fields

_KEYS = {
    "compound_name": "Name",
    "spectrum_id": "DB#",
    "precursor_mz": "PrecursorMZ",
    "adduct": "Precursor_type",
    "ionmode": "Ion_mode",
    "charge": "Charge",
    "formula": "Formula",
    "inchikey": "InChIKey",
    "inchi": "InChI",
    "smiles": "SMILES",
    "synonym": "Synon",
    "collision_energy": "Collision_energy",
    "instrument": "Instrument",
    "instrument_type": "Instrument_type",
    "exact_mass": "ExactMass",
    "comment": "Comments",
}


def write_msp(path: str | Path, spectra: Iterable[Spectrum]) -> int:
    """Write spectra one by one and return how many; nothing is left behind where one cannot be written.

    Raises
    ------
    InvalidSpectrum
        If a spectrum could not be read back as it is.
    InputFileError
        If the file cannot be written.
    """
    n_spectra = 0
    with replacing_text(Path(path)) as file:
        for spectrum in spectra:
            file.write(_entry(spectrum))
            n_spectra += 1
    return n_spectra


def _entry(spectrum: Spectrum) -> str:
    fields = {"compound_name": "N/A"} | writable_fields(spectrum)  # an entry begins with its Name
    if "comment" in fields:
        fields["comment"] = _comment(fields["comment"])
    lines = [f"{_KEYS.get(name, name)}: {value}" for name, value in fields.items()]
    peaks = zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True)
    lines += [f"Num Peaks: {len(spectrum)}", *(f"{mz!r} {intensity!r}" for mz, intensity in peaks)]
    return "\n".join([*lines, "", ""])


def _comment(text: str) -> str:
    """A comment that is read as one comment, though readers look for ``key=value`` in it."""
    if comment_fields(text) == [("comment", text)]:
        return text
    if '"' in text:
        raise InvalidSpectrum("metadata cannot be written", f"comment with quotes and '=': {text[:60]!r}")
    return f'"comment={text}"'
