"""The door between files and spectra: every reader hands its records in here."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from specsearch.errors import InvalidSpectrum, Skipped
from specsearch.spectra.readers.fields import standard_fields
from specsearch.spectra.readers.ionization import ionization
from specsearch.spectra.spectrum import Spectrum

MAX_PEAKS = 1_000_000
MAX_FIELDS = 5_000
NOTES_FIELD = "specsearch_notes"
_NOTE_SEPARATOR = "; "
_NAME_FIELDS = ("feature_id", "title", "scans")
_NOT_A_NAME = frozenset({"-1", "0"})  # GNPS and mzmine write these for "none"


@dataclass(slots=True)
class Record:
    """What a reader found at one place of a file, before anything is believed.

    Parameters
    ----------
    position : str
        E.g. ``"line 120"``, ``"row 3"``.
    fields : iterable of (str, str), or dict
        Keys and values in the file's own words and order; a dict holds standard fields already.
    mz, intensity : array-like of shape (n_peaks,)
    notes : tuple of str
        What the reader noticed.
    fault : InvalidSpectrum or None
        Why the record cannot be used, where the reader saw that already.
    """

    position: str
    fields: Iterable[tuple[str, str]] | dict[str, str] = ()
    mz: ArrayLike = ()
    intensity: ArrayLike = ()
    notes: tuple[str, ...] = ()
    fault: InvalidSpectrum | None = field(default=None)


def admit(records: Iterable[Record], path: Path, *, first_number: int = 1) -> Iterator[Spectrum | Skipped]:
    """Turn records into spectra, or into complaints about the ones that cannot be.

    A record without a name of its own is called ``<file stem>:<record number>``. A compressed file that
    breaks off ends with a complaint, after all that could be read.
    """
    source, stem = str(path), file_stem(path)
    position = "start of file"
    try:
        for number, record in enumerate(records, first_number):
            position = record.position
            yield _spectrum_or_skipped(record, source, f"{stem}:{number}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Skipped(source, f"after {position}", "file truncated", detail=str(error))


def too_many_fields() -> InvalidSpectrum:
    """The fault of a record whose fields have no end; a reader stops to keep them at `MAX_FIELDS`."""
    return InvalidSpectrum("too many fields", f"more than {MAX_FIELDS}")


def file_stem(path: Path) -> str:
    """The file's name without its endings of format and compression."""
    name = path.name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def require_spectrum(record: Record) -> Spectrum:
    """The spectrum of a record that is in no file; without a name of its own its accession is empty.

    Raises
    ------
    InvalidSpectrum
        If the peaks or the precursor are not usable.
    """
    fields = record.fields if isinstance(record.fields, dict) else standard_fields(record.fields)
    return _spectrum(record, fields, _pop_accession(fields))


def _spectrum_or_skipped(record: Record, source: str, fallback_name: str) -> Spectrum | Skipped:
    fields = record.fields if isinstance(record.fields, dict) else standard_fields(record.fields)
    accession = _pop_accession(fields) or fallback_name
    try:
        if record.fault is not None:
            raise record.fault
        return _spectrum(record, fields, accession)
    except InvalidSpectrum as fault:
        return Skipped(source, record.position, fault.reason, accession, fault.detail)


def _spectrum(record: Record, fields: dict[str, str], accession: str) -> Spectrum:
    """The spectrum of a record; takes from `fields` what is not metadata.

    Raises
    ------
    InvalidSpectrum
        If the peaks or the precursor are not usable.
    """
    if np.size(record.mz) > MAX_PEAKS:
        raise InvalidSpectrum("too many peaks", f"{np.size(record.mz)}, at most {MAX_PEAKS} are read")
    fields.pop("num_peaks", None)
    ion = ionization(fields.pop("charge", ""), fields.pop("adduct", ""), fields.get("ionmode", ""))
    precursor_mz = _parse_precursor(fields.pop("precursor_mz", ""))
    earlier = fields.pop(NOTES_FIELD, "")
    notes = (*(earlier.split(_NOTE_SEPARATOR) if earlier else ()), *record.notes, *ion.notes)
    return Spectrum.checked(
        record.mz,
        record.intensity,
        accession=accession,
        precursor_mz=precursor_mz,
        charge=ion.charge,
        adduct=ion.adduct,
        metadata=fields,
        notes=tuple(dict.fromkeys(notes)),
    )


def joined_notes(notes: Iterable[str]) -> str:
    """Notes as the one field that `admit` takes apart again."""
    return _NOTE_SEPARATOR.join(notes)


def _pop_accession(fields: dict[str, str]) -> str:
    """The record's own name: its identifier, else the first other field that can serve as one."""
    if "spectrum_id" in fields:
        return fields.pop("spectrum_id")
    names = (fields.get(name, "") for name in _NAME_FIELDS)
    return next((name for name in names if name and name not in _NOT_A_NAME), "")


def _parse_precursor(text: str) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidSpectrum("precursor m/z not a number", text) from None
