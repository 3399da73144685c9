"""mzML 1.1 (HUPO-PSI), MS2 spectra only; terms are read by their accession in the PSI-MS vocabulary.

lxml reads the elements themselves: one damaged spectrum then costs that spectrum, not the rest of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from specsearch.errors import InvalidSpectrum, Skipped
from specsearch.spectra.readers.record import Record, admit, file_stem
from specsearch.spectra.readers.xml_stream import PROFILE_NOTE, decode_array, elements, looks_like_profile
from specsearch.spectra.spectrum import Spectrum

_ELEMENTS = ("spectrum", "referenceableParamGroup", "chromatogram", "offset")
_MS_LEVEL, _PROFILE, _START_TIME, _MINUTE = "MS:1000511", "MS:1000128", "MS:1000016", "UO:0000031"
_MZ_ARRAY, _INTENSITY_ARRAY, _ZLIB = "MS:1000514", "MS:1000515", "MS:1000574"
_DTYPES: dict[str, np.dtype] = {
    "MS:1000521": np.dtype("<f4"),
    "MS:1000523": np.dtype("<f8"),
    "MS:1000519": np.dtype("<i4"),
    "MS:1000522": np.dtype("<i8"),
}
_UNSUPPORTED = {
    **dict.fromkeys(("MS:1002312", "MS:1002313", "MS:1002314"), "MS-Numpress"),
    **dict.fromkeys(("MS:1002746", "MS:1002747", "MS:1002748"), "MS-Numpress with zlib"),
}
_VALUE_FIELDS = {
    "MS:1000744": "precursor_mz",
    "MS:1000042": "precursor_intensity",
    "MS:1000041": "charge",
    "MS:1000045": "collision_energy",
    "MS:1000512": "filter_string",
    "MS:1000796": "title",
    "MS:1000827": "isolation_window_target_mz",
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

Params: TypeAlias = dict[str, etree._Element]
"""Terms of an element and below, by accession; the first of each."""


def read_mzml(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read the MS2 spectra of a file, gzipped or not; other levels are passed over.

    Spectra are called ``<file stem>:<native id>``, as scan numbers repeat from file to file.
    """
    return admit(_records(path), path)


def _records(path: Path) -> Iterator[Record]:
    groups: dict[str, list[etree._Element]] = {}
    n_spectra = 0
    try:
        for element in elements(path, _ELEMENTS):
            name = etree.QName(element).localname
            if name == "referenceableParamGroup":
                groups[element.get("id", "")] = [_detached(param) for param in element.iter("{*}cvParam")]
            elif name == "spectrum":
                n_spectra += 1
                params = _params(element, groups)
                if _ms_level(element, params) == "2":
                    yield _record(element, params, groups, f"spectrum {n_spectra}", file_stem(path))
    except InvalidSpectrum as fault:
        yield Record(f"after spectrum {n_spectra}", fault=fault)


def _detached(param: etree._Element) -> etree._Element:
    """A copy that outlives its parent."""
    return etree.Element(param.tag, dict(param.attrib))


def _params(element: etree._Element, groups: dict[str, list[etree._Element]]) -> Params:
    params: Params = {}
    for param in element.iter("{*}cvParam", "{*}referenceableParamGroupRef"):
        for term in groups.get(param.get("ref", ""), [param]):
            params.setdefault(term.get("accession", ""), term)
    return params


def _ms_level(element: etree._Element, params: Params) -> str:
    """The level as written; where it is not, a spectrum with a precursor is an MS2 spectrum."""
    if _MS_LEVEL in params:
        return params[_MS_LEVEL].get("value", "")
    return "" if element.find("{*}precursorList") is None else "2"


def _record(
    element: etree._Element, params: Params, groups: dict[str, list[etree._Element]], position: str, stem: str
) -> Record:
    fields = _fields(element, params, stem)
    try:
        mz, intensity = _peaks(element, groups)
    except InvalidSpectrum as fault:
        return Record(position, fields, fault=fault)
    is_profile = _PROFILE in params or looks_like_profile(intensity)
    return Record(position, fields, mz, intensity, notes=(PROFILE_NOTE,) if is_profile else ())


def _fields(element: etree._Element, params: Params, stem: str) -> list[tuple[str, str]]:
    native_id = element.get("id", "")
    scan = native_id.rpartition("scan=")[2] if "scan=" in native_id else ""
    fields = [("spectrum_id", f"{stem}:{'scan=' + scan if scan else native_id}"), ("native_id", native_id)]
    fields += [("scans", scan), ("ms_level", "2"), ("file_name", stem)]
    for accession, param in params.items():
        if accession in _VALUE_FIELDS:
            fields.append((_VALUE_FIELDS[accession], param.get("value", "")))
        elif accession in _CONSTANT_FIELDS:
            fields.append(_CONSTANT_FIELDS[accession])
    if "MS:1000744" not in params and "MS:1000827" in params:
        fields.append(("precursor_mz", params["MS:1000827"].get("value", "")))
    return [*fields, ("retention_time", _seconds(params.get(_START_TIME)))]


def _seconds(param: etree._Element | None) -> str:
    """Retention time in seconds, whatever its unit in the file."""
    if param is None:
        return ""
    value = param.get("value", "")
    try:
        return f"{float(value) * 60:.10g}" if param.get("unitAccession") == _MINUTE else value
    except ValueError:
        return value


def _peaks(element: etree._Element, groups: dict[str, list[etree._Element]]) -> tuple[NDArray, NDArray]:
    arrays: dict[str, NDArray] = {}
    for binary in element.iter("{*}binaryDataArray"):
        params = _params(binary, groups)
        for kind in (_MZ_ARRAY, _INTENSITY_ARRAY):
            if kind in params:
                arrays[kind] = _array(binary, params)
    empty = np.empty(0)
    return arrays.get(_MZ_ARRAY, empty), arrays.get(_INTENSITY_ARRAY, empty)


def _array(binary: etree._Element, params: Params) -> NDArray:
    unsupported = next((_UNSUPPORTED[accession] for accession in params if accession in _UNSUPPORTED), "")
    if unsupported:
        raise InvalidSpectrum("compression not supported", f"{unsupported}: convert with zlib instead")
    dtype = next((_DTYPES[accession] for accession in params if accession in _DTYPES), None)
    if dtype is None:
        raise InvalidSpectrum("peak array damaged", "no number type given")
    return decode_array(binary.findtext("{*}binary"), dtype, is_zlib=_ZLIB in params)
