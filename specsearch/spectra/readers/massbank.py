"""MassBank records, one or many to a file (https://github.com/MassBank/MassBank-web, record format)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from specsearch.errors import InvalidSpectrum, Skipped
from specsearch.spectra.readers.peaks import PeakList
from specsearch.spectra.readers.record import MAX_FIELDS, Record, admit, too_many_fields
from specsearch.spectra.readers.sources import numbered_lines
from specsearch.spectra.spectrum import Spectrum

_GROUP = re.compile(r"^[A-Z]{2}\$")
# tags whose value begins with a tag of its own: "AC$MASS_SPECTROMETRY: ION_MODE POSITIVE"
_NESTED_TAGS = frozenset({"AC$MASS_SPECTROMETRY", "AC$CHROMATOGRAPHY", "MS$FOCUSED_ION", "CH$LINK"})


def read_massbank(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read one record at a time, to its ``//``; intensities are absolute, annotations are passed over."""
    return admit(_records(path), path)


def _records(path: Path) -> Iterator[Record]:
    entry: _Entry | None = None
    for number, line in numbered_lines(path):
        if line.startswith("ACCESSION:"):
            if entry is not None:
                yield entry.record(is_complete=False)
            entry = _Entry(number)
        if entry is None:
            continue
        if line.startswith("//"):
            yield entry.record(is_complete=True)
            entry = None
        else:
            entry.add(line, number)
    if entry is not None:
        yield entry.record(is_complete=False)


class _Entry:
    """The lines of one record as they come."""

    def __init__(self, line_number: int) -> None:
        self.position = f"line {line_number}"
        self.fields: list[tuple[str, str]] = []
        self.peaks = PeakList()
        self.tag = ""
        self.n_declared = ""

    def add(self, line: str, number: int) -> None:
        if line.startswith(" "):  # a row of the table whose tag came before
            if self.tag == "PK$PEAK":
                self.peaks.add(line.split(), number)
            return
        self.tag, _, value = line.partition(":")
        value = value.strip()
        if len(self.fields) >= MAX_FIELDS:
            self.peaks.fault = self.peaks.fault or too_many_fields()
        elif self.tag in _NESTED_TAGS:
            key, _, value = value.partition(" ")
            self.fields.append((key, value))
        elif self.tag == "PK$NUM_PEAK":
            self.n_declared = value
        elif self.tag == "CH$NAME" and any(key == "NAME" for key, _ in self.fields):
            self.fields.append(("SYNONYM", value))
        elif self.tag not in ("PK$PEAK", "PK$ANNOTATION"):
            self.fields.append(
                (
                    self.tag.removeprefix("CH$").replace("$", "_").removeprefix("AC_").removeprefix("PK_"),
                    value,
                )
            )

    def record(self, *, is_complete: bool) -> Record:
        fault = self.peaks.fault
        if fault is None and not is_complete:
            fault = InvalidSpectrum("record truncated", "no // at its end")
        elif fault is None and self.n_declared != str(len(self.peaks)):
            fault = InvalidSpectrum("record truncated", f"{len(self.peaks)} of {self.n_declared} peaks")
        return Record(self.position, self.fields, self.peaks.mz, self.peaks.intensity, fault=fault)
