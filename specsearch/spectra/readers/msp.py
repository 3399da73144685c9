"""NIST's MSP in its dialects: NIST, MoNA, MassBank, RIKEN and MS-DIAL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from specsearch.errors import InvalidSpectrum, Skipped
from specsearch.spectra.readers.fields import standard_name
from specsearch.spectra.readers.peaks import PeakList
from specsearch.spectra.readers.record import MAX_FIELDS, Record, admit, too_many_fields
from specsearch.spectra.readers.sources import numbered_lines
from specsearch.spectra.spectrum import Spectrum

# Both without a way to try a long line over and over: that takes hours, and nothing else runs meanwhile.
_FIELD = re.compile(r"([^\s:](?:[^:\t]*[^\s:])?)\s*:(.*)")
_QUOTED = re.compile(r'"[^"]*"')
_BETWEEN_NUMBERS = str.maketrans(",:()\t", "     ")
_MONA_COMMENT = re.compile(r'"([^"=]+)=([^"]*)"')
_NIST_COMMENT = re.compile(r'(?<![\w#])([A-Za-z_][\w#]*)=("[^"]*"|\S+)')
_LONGEST_COMMENT = 1 << 20  # beyond, it is kept as it is: nobody says that much in fields


def read_msp(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read one entry at a time; a blank line or a new ``Name:`` ends it, whatever comes after the peaks."""
    return admit(_records(path), path)


def _records(path: Path) -> Iterator[Record]:
    entry = _Entry()
    for number, raw in numbered_lines(path):
        line = raw.strip()
        if not line:
            if entry.may_end:
                yield entry.record()
                entry = _Entry()
            continue
        if entry.is_peak_line(line):
            entry.add_peaks(line, number)
            continue
        field = _FIELD.fullmatch(line)
        if field is not None and entry.ends_before(standard_name(field[1])):
            yield entry.record()
            entry = _Entry()
        entry.add_field(field, line, number)
    if entry.fields:
        yield entry.record()


class _Entry:
    """The lines of one entry as they come."""

    def __init__(self) -> None:
        self.position = ""
        self.fields: list[tuple[str, str]] = []
        self.names: set[str] = set()
        self.peaks = PeakList()
        self.n_declared: int | None = None
        self.fault: InvalidSpectrum | None = None

    @property
    def may_end(self) -> bool:
        """Whether a blank line ends the entry: not before its first line or its first peak."""
        return bool(self.fields) and (self.n_declared is None or len(self.peaks) >= min(1, self.n_declared))

    def is_peak_line(self, line: str) -> bool:
        return self.n_declared is not None and (line[0] in "0123456789.+-(" or _FIELD.fullmatch(line) is None)

    def ends_before(self, name: str) -> bool:
        """Whether a field of that name is the next entry's: a second name, or any again after peaks."""
        return name in self.names and (name == "compound_name" or self.n_declared is not None)

    def add_field(self, field: re.Match[str] | None, line: str, number: int) -> None:
        self.position = self.position or f"line {number}"
        if len(self.fields) >= MAX_FIELDS:
            self.fault = self.fault or too_many_fields()
            return
        if field is None:
            self.fault = self.fault or InvalidSpectrum("line not understood", f"line {number}: {line[:60]}")
            return
        key, value = field[1], field[2].strip()
        name = standard_name(key)
        self.names.add(name)
        self.fields += comment_fields(value) if name == "comment" else [(key, value)]
        if name == "num_peaks":
            self._declare(value, number)

    def _declare(self, value: str, number: int) -> None:
        try:
            self.n_declared = int(value)
        except ValueError:
            self.n_declared = 0
            self.fault = InvalidSpectrum("bad number", f"line {number}: {value[:60]} peaks")

    def add_peaks(self, line: str, number: int) -> None:
        """Add the peaks of a line: ``mz int``, ``mz int "annotation"``, ``mz int; mz int; ...``, pairs."""
        if '"' in line:
            line = _QUOTED.sub(" ", line)
        if ";" in line:
            for peak in filter(str.strip, line.split(";")):
                self.peaks.add(peak.translate(_BETWEEN_NUMBERS).split(), number)
            return
        numbers = line.translate(_BETWEEN_NUMBERS).split()
        if not numbers:
            self.peaks.add(numbers, number)  # punctuation alone is no peak
            return
        step = 2 if len(numbers) % 2 == 0 and _is_number(numbers[-2]) else len(numbers)
        for start in range(0, len(numbers), step):
            self.peaks.add(numbers[start : start + 2], number)

    def record(self) -> Record:
        fault, n_peaks = self.fault or self.peaks.fault, len(self.peaks)
        notes: tuple[str, ...] = ()
        if fault is None and self.n_declared is None:
            fault = InvalidSpectrum("record truncated", "no Num Peaks")
        elif fault is None and self.n_declared is not None and n_peaks < self.n_declared:
            fault = InvalidSpectrum("record truncated", f"{n_peaks} of {self.n_declared} peaks")
        elif self.n_declared is not None and n_peaks > self.n_declared:
            notes = ("more peaks than declared",)
        return Record(self.position, self.fields, self.peaks.mz, self.peaks.intensity, notes, fault)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def comment_fields(comment: str) -> list[tuple[str, str]]:
    """Fields in a comment, ``"key=value" ...`` (MoNA) or ``Key="a b" Key=c`` (NIST); the rest as comment."""
    if len(comment) > _LONGEST_COMMENT:
        return [("comment", comment)]
    pattern = _MONA_COMMENT if comment.startswith('"') else _NIST_COMMENT
    rest = " ".join(pattern.sub(" ", comment).split())
    return [*pattern.findall(comment), ("comment", rest)]
