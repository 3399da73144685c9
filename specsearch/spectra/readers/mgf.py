"""Mascot generic format, in the dialects of GNPS, FBMN, mzmine and MassSpecGym."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from specsearch.errors import InvalidSpectrum, Skipped
from specsearch.spectra.readers.peaks import PeakList
from specsearch.spectra.readers.record import MAX_FIELDS, Record, admit, too_many_fields
from specsearch.spectra.readers.sources import numbered_lines
from specsearch.spectra.spectrum import Spectrum

_COMMENT_MARKS = ("#", ";", "!", "/")


def read_mgf(path: Path) -> Iterator[Spectrum | Skipped]:
    """Read the blocks between ``BEGIN IONS`` and ``END IONS``, one at a time; the rest is passed over."""
    return admit(_records(path), path)


def _records(path: Path) -> Iterator[Record]:
    block: _Block | None = None
    for number, raw in numbered_lines(path):
        line = raw.strip()
        mark = line.upper() if line[:1] in "BbEe" else ""
        if mark == "BEGIN IONS":
            if block is not None:
                yield block.record(is_complete=False)
            block = _Block(number)
        elif block is None or not line:
            continue
        elif mark == "END IONS":
            yield block.record(is_complete=True)
            block = None
        else:
            block.add(line, number)
    if block is not None:
        yield block.record(is_complete=False)


class _Block:
    """The lines of one block as they come."""

    def __init__(self, line_number: int) -> None:
        self.position = f"line {line_number}"
        self.fields: list[tuple[str, str]] = []
        self.peaks = PeakList()

    def add(self, line: str, number: int) -> None:
        key, equals, value = line.partition("=")
        if not equals:
            if not line.startswith(_COMMENT_MARKS):
                self.peaks.add(line.replace(",", " ").split(), number)
        elif len(self.fields) >= MAX_FIELDS:
            self.peaks.fault = self.peaks.fault or too_many_fields()
        elif key.strip().upper() == "PEPMASS":
            mz, _, intensity = value.replace(",", " ").strip().partition(" ")
            self.fields += [("precursor_mz", mz), ("precursor_intensity", intensity.partition(" ")[0])]
        else:
            self.fields.append((key, value))

    def record(self, *, is_complete: bool) -> Record:
        fault = self.peaks.fault if is_complete else InvalidSpectrum("record truncated", "no END IONS")
        return Record(self.position, self.fields, self.peaks.mz, self.peaks.intensity, fault=fault)
