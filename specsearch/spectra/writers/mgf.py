"""Mascot generic format: one block a spectrum, metadata under upper-case standard names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.atomic import replacing_text
from specsearch.spectra.writers.record import writable_fields


def write_mgf(path: str | Path, spectra: Iterable[Spectrum]) -> int:
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
            file.write(_block(spectrum))
            n_spectra += 1
    return n_spectra


def _block(spectrum: Spectrum) -> str:
    fields = writable_fields(spectrum)
    fields["pepmass"] = fields.pop("precursor_mz", "0")  # other readers expect the key in every block
    # upper case as is the habit, where it can be taken back: "ß" in capitals is "SS"
    lines = [f"{name.upper() if name.isascii() else name}={value}" for name, value in fields.items()]
    peaks = zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True)
    lines += [f"{mz!r} {intensity!r}" for mz, intensity in peaks]
    return "\n".join(["BEGIN IONS", *lines, "END IONS", "", ""])
