"""mzML 1.1 (HUPO-PSI), MS2 spectra only; terms are read by their accession in the PSI-MS vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from specsearch.errors import InvalidSpectrum, Skipped
from specsearch.spectra.readers.pyteomics_xml import (
    FAULT,
    PROFILE_NOTE,
    OneByOne,
    decoded,
    entries,
    looks_like_profile,
)
from specsearch.spectra.readers.record import Record, admit, file_stem
from specsearch.spectra.spectrum import Spectrum

from pyteomics import mzml  # isort: skip  # after `pyteomics_xml`, where its import is kept quiet
from pyteomics.auxiliary import cvquery, cvstr, unitstr  # isort: skip

_MS_LEVEL, _PROFILE, _START_TIME, _MINUTE = "MS:1000511", "MS:1000128", "MS:1000016", "UO:0000031"
_MZ_ARRAY, _INTENSITY_ARRAY = "MS:1000514", "MS:1000515"
_NUMBER_TYPES = (np.float32, np.float64, np.int32, np.int64)
_PRECURSOR_MZ, _ISOLATION_TARGET_MZ = "MS:1000744", "MS:1000827"
_VALUE_FIELDS = {
    _PRECURSOR_MZ: "precursor_mz",
    _ISOLATION_TARGET_MZ: "isolation_window_target_mz",
    "MS:1000042": "precursor_intensity",
    "MS:1000041": "charge",
    "MS:1000045": "collision_energy",
    "MS:1000512": "filter_string",
    "MS:1000796": "title",
}
_CONSTANT_FIELDS = {
    "MS:1000130": ("ionmode", "positive"),
    "MS:1000129": ("ionmode", "negative"),
    "MS:1000133": ("fragmentation", "CID"),
    "MS:1000422": ("fragmentation", "HCD"),
    "MS:1002481": ("fragmentation", "HCD"),
    "MS:1000598": ("fragmentation", "ETD"),
    "MS:1000250": ("fragmentation", "ECD"),
    "MS:1003246": ("fragmentation", "UVPD"),
}


def read_mzml(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read the MS2 spectra of a file, gzipped or not; other levels are passed over.

    Spectra are called ``<file stem>:<native id>``, as scan numbers repeat from file to file.
    """
    return admit(_records(path), path)


class _Reader(OneByOne, mzml.MzML):
    """Values stay the text they are in the file: title ``007`` is no number."""

    _default_schema: ClassVar[dict] = {"lists": mzml.MzML._default_schema["lists"]}

    def _param_value(self, attributes: Mapping[str, str]) -> unitstr:
        return unitstr(attributes.get("value", ""), attributes.get("unitAccession"))

    def _retrieve_param_group(self, ref_name: str) -> list:
        try:
            return super()._retrieve_param_group(ref_name)
        except (KeyError, etree.XMLSyntaxError):  # a reference to nothing says nothing
            return []


def _records(path: Path) -> Iterator[Record]:
    n_spectra = 0
    try:
        # Any `cv` will do, as `_param_value` asks none; without one, pyteomics downloads the vocabulary.
        for n_spectra, entry in enumerate(entries(path, _Reader, cv={}), 1):
            if FAULT in entry or _ms_level(entry) == "2":
                yield _record(entry, f"spectrum {n_spectra}", file_stem(path))
    except InvalidSpectrum as fault:
        yield Record(f"after spectrum {n_spectra}", fault=fault)


def _has(entry: dict[str, Any], accession: str) -> bool:
    return cvquery(entry, accession) is not None


def _term(entry: dict[str, Any], accession: str) -> str:
    """The value of a term, the first of several; ``""`` where there is none."""
    found = cvquery(entry, accession)
    value = found[0] if isinstance(found, list) else found
    return "" if value is None or isinstance(value, cvstr) else value  # cvstr: a term's name, for want of one


def _ms_level(entry: dict[str, Any]) -> str:
    """The level as written; where it is not, a spectrum with a precursor is an MS2 spectrum."""
    if _has(entry, _MS_LEVEL):
        return str(_term(entry, _MS_LEVEL))
    return "2" if "precursorList" in entry else ""


def _record(entry: dict[str, Any], position: str, stem: str) -> Record:
    fields = _fields(entry, stem)
    try:
        mz, intensity = _peaks(entry)
    except InvalidSpectrum as fault:
        return Record(position, fields, fault=fault)
    is_profile = _has(entry, _PROFILE) or looks_like_profile(intensity)
    return Record(position, fields, mz, intensity, notes=(PROFILE_NOTE,) if is_profile else ())


def _fields(entry: dict[str, Any], stem: str) -> list[tuple[str, str]]:
    native_id = entry.get("id", "")
    scan = native_id.rpartition("scan=")[2] if "scan=" in native_id else ""
    fields = [("spectrum_id", f"{stem}:{'scan=' + scan if scan else native_id}"), ("native_id", native_id)]
    fields += [("scans", scan), ("ms_level", "2"), ("file_name", stem)]
    fields += [(name, _term(entry, accession)) for accession, name in _VALUE_FIELDS.items()]
    fields += [field for term, field in _CONSTANT_FIELDS.items() if _has(entry, term)]
    if not _has(entry, _PRECURSOR_MZ):
        fields.append(("precursor_mz", _term(entry, _ISOLATION_TARGET_MZ)))
    return [*fields, ("retention_time", _seconds(_term(entry, _START_TIME)))]


def _seconds(time: str) -> str:
    """Retention time in seconds, whatever its unit in the file."""
    try:
        return f"{float(time) * 60:.10g}" if getattr(time, "unit_info", None) == _MINUTE else time
    except ValueError:
        return time


def _peaks(entry: dict[str, Any]) -> tuple[NDArray, NDArray]:
    if FAULT in entry:
        raise entry[FAULT]
    # pyteomics takes the word for a compression it can undo out of the entry, and reads on over any other.
    unsupported = next((key for key in entry if isinstance(key, cvstr) and key.endswith("compression")), "")
    if unsupported:
        raise InvalidSpectrum("compression not supported", f"{unsupported}: convert with zlib instead")
    return _array(cvquery(entry, _MZ_ARRAY)), _array(cvquery(entry, _INTENSITY_ARRAY))


def _array(record: Any) -> NDArray:
    # Where a term has the name of an array, or two arrays have one name, it is no array's record.
    if record is not None and getattr(record, "dtype", None) not in _NUMBER_TYPES:
        raise InvalidSpectrum("peak array damaged", "no number type given")
    return decoded(record)
