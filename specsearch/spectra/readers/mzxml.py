"""mzXML 2 and 3 (Institute for Systems Biology), MS2 scans only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from lxml import etree

from specsearch.errors import InvalidSpectrum, Skipped
from specsearch.spectra.readers.pyteomics_xml import (
    FAULT,
    PROFILE_NOTE,
    OneByOne,
    Stream,
    decoded,
    entries,
    local_name,
    looks_like_profile,
)
from specsearch.spectra.readers.record import Record, admit, file_stem
from specsearch.spectra.readers.sources import open_binary
from specsearch.spectra.spectrum import Spectrum

from pyteomics import mzxml, xml  # isort: skip  # after `pyteomics_xml`, where its import is kept quiet

_POLARITIES = {"+": "positive", "-": "negative"}


def read_mzxml(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read the MS2 scans of a file, gzipped or not; other levels are passed over.

    Spectra are called ``<file stem>:scan=<number>``, as scan numbers repeat from file to file.
    """
    return admit(_records(path), path)


class _Reader(OneByOne, mzxml.MzXML):
    """Values stay the text they are in the file, save durations."""

    _default_schema: ClassVar[dict] = {
        kind: mzxml.MzXML._default_schema[kind] for kind in ("lists", "duration")
    }

    def iterfind(self, path: str, **options: Any) -> Iterator[dict[str, Any]]:
        """Scans as they end; pyteomics sorts by number and holds all MS2 scans until an MS1 scan ends."""
        return xml.XML.iterfind(self, path, **options)

    def _get_info_smart(self, element: etree._Element, **options: Any) -> Any:
        if local_name(element) == "peaks":
            return self._peaks_info(element, **options)
        return super()._get_info_smart(element, **options)

    def _peaks_info(self, peaks: etree._Element, **options: Any) -> Any:
        """What pyteomics takes for granted: text, its kind, and that precision and byte order are named."""
        content = peaks.get("contentType") or peaks.get("pairOrder") or "m/z-int"
        if content != "m/z-int":
            raise InvalidSpectrum("peak encoding not supported", content)
        if not (peaks.text or "").strip():
            return dict.fromkeys(self._array_keys)
        peaks.set("precision", "64" if peaks.get("precision") == "64" else "32")
        peaks.set("byteOrder", "network")  # the only one there is
        return super()._get_info_smart(peaks, **options)


def _records(path: Path) -> Iterator[Record]:
    last = "start of file"
    is_centroided: str | None = None
    try:
        for number, scan in enumerate(entries(path, _Reader)):
            if number == 0:
                is_centroided = _file_is_centroided(path)
            last = f"scan {scan.get('num', '?')}"
            if scan.get("msLevel") == "2":
                yield _record(scan, last, file_stem(path), scan.get("centroided", is_centroided))
    except InvalidSpectrum as fault:
        yield Record(f"after {last}", fault=fault)


def _file_is_centroided(path: Path) -> str | None:
    """What the file says of all its scans, before the first of them."""
    said: str | None = None
    with open_binary(path) as opened, suppress(etree.XMLSyntaxError):  # the scans will tell of it
        events = etree.iterparse(Stream(opened), events=("start",), tag=("{*}dataProcessing", "{*}scan"))
        for _, element in events:
            if local_name(element) == "scan":
                break
            said = element.get("centroided", said)
    return said


def _record(scan: dict[str, Any], position: str, stem: str, is_centroided: str | None) -> Record:
    fields = _fields(scan, stem)
    try:
        if FAULT in scan:
            raise scan[FAULT]
        mz, intensity = decoded(scan.get("m/z array")), decoded(scan.get("intensity array"))
    except InvalidSpectrum as fault:
        return Record(position, fields, fault=fault)
    is_profile = is_centroided in ("0", "false") or looks_like_profile(intensity)
    return Record(position, fields, mz, intensity, notes=(PROFILE_NOTE,) if is_profile else ())


def _fields(scan: dict[str, Any], stem: str) -> list[tuple[str, str]]:
    number = scan.get("num", "")
    fields = [("spectrum_id", f"{stem}:scan={number}"), ("scans", number)]
    fields += [("ms_level", "2"), ("file_name", stem)]
    fields.append(("ionmode", _POLARITIES.get(scan.get("polarity", ""), "")))
    fields.append(("collision_energy", scan.get("collisionEnergy", "")))
    fields.append(("retention_time", _seconds(scan.get("retentionTime"))))
    precursor = scan.get("precursorMz", [{}])[0]
    if isinstance(precursor, str):  # an element without attributes
        return [*fields, ("precursor_mz", precursor)]
    fields.append(("precursor_mz", precursor.get("precursorMz", "")))
    fields.append(("precursor_intensity", precursor.get("precursorIntensity", "")))
    fields.append(("charge", precursor.get("precursorCharge", "")))
    fields.append(("fragmentation", precursor.get("activationMethod", "")))
    return fields


def _seconds(time: Any) -> str:
    """Retention time in seconds; as given where it is no duration."""
    if time is None:
        return ""
    return f"{time * 60:.10g}" if getattr(time, "unit_info", None) == "minute" else str(time)
