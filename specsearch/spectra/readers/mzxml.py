"""mzXML 2 and 3 (Institute for Systems Biology), MS2 scans only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from specsearch.errors import InvalidSpectrum, Skipped
from specsearch.spectra.readers.record import Record, admit, file_stem
from specsearch.spectra.readers.xml_stream import PROFILE_NOTE, decode_array, elements, looks_like_profile
from specsearch.spectra.spectrum import Spectrum

_DURATION = re.compile(r"PT(?:(\d+\.?\d*)H)?(?:(\d+\.?\d*)M)?(?:(\d+\.?\d*)S)?")  # ISO 8601
_POLARITIES = {"+": "positive", "-": "negative"}


def read_mzxml(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read the MS2 scans of a file, gzipped or not; other levels are passed over.

    Spectra are called ``<file stem>:scan=<number>``, as scan numbers repeat from file to file.
    """
    return admit(_records(path), path)


def _records(path: Path) -> Iterator[Record]:
    is_centroided: str | None = None
    last = "start of file"
    try:
        for element in elements(path, ("scan", "dataProcessing", "offset")):
            name = etree.QName(element).localname
            if name == "dataProcessing":
                is_centroided = element.get("centroided", is_centroided)
            elif name == "scan":
                last = f"scan {element.get('num', '?')}"
                if element.get("msLevel") == "2":
                    yield _record(element, last, file_stem(path), element.get("centroided", is_centroided))
    except InvalidSpectrum as fault:
        yield Record(f"after {last}", fault=fault)


def _record(scan: etree._Element, position: str, stem: str, is_centroided: str | None) -> Record:
    fields = _fields(scan, stem)
    try:
        mz, intensity = _peaks(scan)
    except InvalidSpectrum as fault:
        return Record(position, fields, fault=fault)
    is_profile = is_centroided in ("0", "false") or looks_like_profile(intensity)
    return Record(position, fields, mz, intensity, notes=(PROFILE_NOTE,) if is_profile else ())


def _fields(scan: etree._Element, stem: str) -> list[tuple[str, str]]:
    number = scan.get("num", "")
    fields = [("spectrum_id", f"{stem}:scan={number}"), ("scans", number)]
    fields += [("ms_level", "2"), ("file_name", stem)]
    fields.append(("ionmode", _POLARITIES.get(scan.get("polarity", ""), "")))
    fields.append(("collision_energy", scan.get("collisionEnergy", "")))
    fields.append(("retention_time", _seconds(scan.get("retentionTime", ""))))
    precursor = scan.find("{*}precursorMz")
    if precursor is not None:
        fields.append(("precursor_mz", precursor.text or ""))
        fields.append(("precursor_intensity", precursor.get("precursorIntensity", "")))
        fields.append(("charge", precursor.get("precursorCharge", "")))
        fields.append(("fragmentation", precursor.get("activationMethod", "")))
    return fields


def _seconds(duration: str) -> str:
    """An ISO 8601 duration in seconds; as given where it is not one."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        return duration
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return f"{hours * 3600 + minutes * 60 + seconds:.10g}"


def _peaks(scan: etree._Element) -> tuple[NDArray, NDArray]:
    peaks = scan.find("{*}peaks")
    if peaks is None:
        return np.empty(0), np.empty(0)
    content = peaks.get("contentType") or peaks.get("pairOrder") or "m/z-int"
    if content != "m/z-int":
        raise InvalidSpectrum("peak encoding not supported", content)
    dtype = np.dtype(">f8" if peaks.get("precision") == "64" else ">f4")
    values = decode_array(peaks.text, dtype, is_zlib=peaks.get("compressionType") == "zlib")
    if values.size % 2:
        raise InvalidSpectrum("peak array damaged", "odd number of values")
    return values[0::2], values[1::2]
