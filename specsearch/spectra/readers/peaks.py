"""Peak lists on their way in: text to float64, float32 to the float64 that was meant."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from specsearch.errors import InvalidSpectrum
from specsearch.spectra.readers.record import MAX_PEAKS

if TYPE_CHECKING:
    import pyarrow as pa


class PeakList:
    """Peaks of one record, added as text; the first fault is kept, the peaks after it are not read."""

    __slots__ = ("fault", "intensity", "mz")

    def __init__(self) -> None:
        self.mz = array("d")
        self.intensity = array("d")
        self.fault: InvalidSpectrum | None = None

    def __len__(self) -> int:
        return len(self.mz)

    def add(self, numbers: list[str], line_number: int) -> None:
        """Add the peak whose m/z and intensity are the first two of `numbers`."""
        if self.fault is not None:
            return
        if len(self.mz) >= MAX_PEAKS:
            self.fault = InvalidSpectrum("too many peaks", f"more than {MAX_PEAKS}")
            return
        try:
            mz, intensity = float(numbers[0]), float(numbers[1])
        except (ValueError, IndexError):
            self.fault = InvalidSpectrum("bad number", f"line {line_number}: {' '.join(numbers)[:60]}")
            return
        self.mz.append(mz)
        self.intensity.append(intensity)


def parse_numbers(text: str, separator: str) -> NDArray[np.float64]:
    """Numbers of one text, e.g. ``"53.02,67.01"``.

    Raises
    ------
    InvalidSpectrum
        If one of them is not a number.
    """
    try:
        return np.array([float(number) for number in text.strip("[] ").split(separator)])
    except ValueError as error:
        raise InvalidSpectrum("bad number", str(error)[:80]) from None


def as_float64(numbers: pa.Array) -> NDArray[np.float64]:
    """Numbers as float64, NaN for null; a float32 through its shortest decimal text.

    The nearest float64 of the float32 0.2 is 0.20000000298: its text says 0.2, as did the record that
    somebody stored in 32 bits, and only so does a SPLASH stay what it was.
    """
    import pyarrow as pa

    if pa.types.is_float32(numbers.type) or pa.types.is_float16(numbers.type):
        numbers = numbers.cast(pa.float32()).cast(pa.string())
    return numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)
