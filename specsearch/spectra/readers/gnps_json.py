"""Library files in JSON as GNPS and matchms write them: an array of records, or one record a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.errors import InvalidSpectrum, Skipped
from specsearch.spectra.readers.json_stream import MAX_VALUE, json_values
from specsearch.spectra.readers.record import Record, admit
from specsearch.spectra.readers.sources import numbered_lines, open_binary
from specsearch.spectra.spectrum import Spectrum

_PEAK_KEYS = ("peaks_json", "peaks")


def read_json(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read one record at a time; fields that are not plain values are kept as JSON text."""
    return admit(_records(path), path)


def _records(path: Path) -> Iterator[Record]:
    if _has_one_record_a_line(path):
        for number, line in numbered_lines(path):
            if line.strip():
                yield _line_record(line, f"line {number}")
        return
    number = 0
    with open_binary(path) as stream:
        try:
            for number, value in enumerate(json_values(stream), 1):
                yield _record(value, f"record {number}")
        except InvalidSpectrum as fault:
            yield Record(f"after record {number}", fault=fault)


def _has_one_record_a_line(path: Path) -> bool:
    """Whether the first line is a whole record: then a broken line costs that line only."""
    with open_binary(path) as stream:
        if stream.read(1) != b"{":
            return False
        try:
            json.loads(b"{" + stream.readline(MAX_VALUE))
        except (ValueError, RecursionError):
            return False
    return True


def _line_record(line: str, position: str) -> Record:
    try:
        return _record(json.loads(line), position)
    except (ValueError, RecursionError) as error:
        return Record(position, fault=InvalidSpectrum("not valid JSON", str(error)[:80]))


def _record(value: Any, position: str) -> Record:
    if not isinstance(value, dict):
        return Record(position, fault=InvalidSpectrum("record not understood", f"a {type(value).__name__}"))
    fields: list[tuple[str, str]] = []
    try:
        fields += [(key, _text(item)) for key, item in value.items() if key not in _PEAK_KEYS]
        peaks = _peaks(next((value[key] for key in _PEAK_KEYS if key in value), []))
    except InvalidSpectrum as fault:
        return Record(position, fields, fault=fault)
    return Record(position, fields, peaks[:, 0], peaks[:, 1])


def _text(item: Any) -> str:
    if item is None:
        return ""
    if isinstance(item, str):
        return item
    try:
        return json.dumps(item, ensure_ascii=False)
    except RecursionError:
        raise InvalidSpectrum("not valid JSON", "nested too deeply") from None


def _peaks(value: Any) -> NDArray[np.float64]:
    """Peaks of shape (n_peaks, 2), from pairs or from the JSON text of pairs."""
    try:
        pairs = json.loads(value) if isinstance(value, str) and value.strip() else value
        if not pairs:
            return np.empty((0, 2))
        peaks = np.array(pairs, dtype=np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidSpectrum("bad number", str(error)[:80]) from None
    if peaks.ndim != 2 or peaks.shape[1] < 2:
        raise InvalidSpectrum("bad number", "peaks are not pairs of m/z and intensity")
    return peaks
