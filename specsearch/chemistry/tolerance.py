"""A mass tolerance is one value with its unit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from specsearch.errors import ParseError

Unit = Literal["ppm", "Da"]
FloatOrArray = TypeVar("FloatOrArray", float, NDArray[np.float64])

_NOTATION = re.compile(r"([0-9.]{1,40}(?:e[+-]?[0-9]{1,3})?)\s*(ppm|da|mda)", re.IGNORECASE)
_NEXT_STEP = 'Write a number above zero and its unit, e.g. "10ppm", "0.01Da" or "5mDa".'


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Half the width of a mass window.

    Parameters
    ----------
    value : float
        Finite and above zero.
    unit : {"ppm", "Da"}
        ``"ppm"`` is relative to the mass the window is laid around, ``"Da"`` is absolute.

    Raises
    ------
    ParseError
        If the value or the unit is none of these.
    """

    value: float
    unit: Unit

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ParseError(f"Mass tolerance has the unknown unit {self.unit!r}.", _NEXT_STEP)
        if not (math.isfinite(self.value) and self.value > 0):
            raise ParseError(f"Mass tolerance of {self.value!r} {self.unit} has no width.", _NEXT_STEP)

    def __str__(self) -> str:
        return f"{float(self.value)!r}".removesuffix(".0") + f" {self.unit}"

    def width_da(self, mz: FloatOrArray) -> FloatOrArray:
        """Half the window's width in Da around `mz`, a number or an array."""
        return mz * 0 + self.value if self.unit == "Da" else mz * (self.value * 1e-6)

    def window(self, mz: FloatOrArray) -> tuple[FloatOrArray, FloatOrArray]:
        """Lowest and highest mass, both still inside, around `mz`, a number or an array."""
        width = self.width_da(mz)
        return mz - width, mz + width

    def contains(
        self, found: float | NDArray[np.float64], true: float | NDArray[np.float64]
    ) -> bool | NDArray[np.bool_]:
        """Whether `found` lies in the window around `true`; numbers or arrays that broadcast.

        NaN on either side is outside.
        """
        low, high = self.window(np.asarray(true, dtype=np.float64))
        inside = (found >= low) & (found <= high)
        return inside if np.ndim(inside) else bool(inside)


def parse_tolerance(text: str) -> Tolerance:
    """Read ``"10ppm"``, ``"10 ppm"``, ``"0.01 Da"`` or ``"5 mDa"`` (kept in Da).

    Raises
    ------
    ParseError
        If the unit is missing or the number is not finite and above zero.
    """
    match = _NOTATION.fullmatch(text.strip())
    try:
        value = float(match[1]) if match else math.nan
    except ValueError:
        value = math.nan
    if match is None or math.isnan(value):
        raise ParseError(f"{text[:40]!r} is not a mass tolerance.", _NEXT_STEP)
    unit = match[2].lower()
    if unit == "ppm":
        return Tolerance(value, "ppm")
    return Tolerance(value / 1000 if unit == "mda" else value, "Da")


def mass_error_ppm(found: FloatOrArray, true: FloatOrArray) -> FloatOrArray:
    """Signed error of `found` against `true` in ppm: (found - true) / true x 1e6."""
    return (found - true) / true * 1e6
