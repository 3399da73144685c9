"""What a search may be narrowed by, in no engine's language."""

from __future__ import annotations

import math
from dataclasses import dataclass

from specsearch.errors import StoreError
from specsearch.store.schema import FLOAT_DECIMALS, Key

# Stored floats are rounded, so a value may lie half a last decimal outside a bound it was inside of.
RANGE_SLACK = 0.5 * 10.0**-FLOAT_DECIMALS + 1e-9

Range = tuple[float, float]
OneOrMore = str | tuple[str, ...]


@dataclass(frozen=True)
class Filter:
    """Conditions that must all hold; None or empty asks for nothing.

    Parameters
    ----------
    precursor_mz, exact_mass : (float, float) or None
        Lowest and highest value in Da, both included; ``math.inf`` leaves an end open. A point without
        the value is left out.
    ion_mode, adduct, formula, instrument_type, library, inchikey14, splash : str or tuple of str or None
        One of these values.
    exclude_inchikey14, exclude_splash : tuple of str
        None of these values.
    exclude_point_ids : tuple of str
        None of these points.

    Raises
    ------
    StoreError
        If a range is reversed or holds NaN.
    """

    precursor_mz: Range | None = None
    exact_mass: Range | None = None
    ion_mode: OneOrMore | None = None
    adduct: OneOrMore | None = None
    formula: OneOrMore | None = None
    instrument_type: OneOrMore | None = None
    library: OneOrMore | None = None
    inchikey14: OneOrMore | None = None
    splash: OneOrMore | None = None
    exclude_inchikey14: tuple[str, ...] = ()
    exclude_splash: tuple[str, ...] = ()
    exclude_point_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key in (Key.PRECURSOR_MZ, Key.EXACT_MASS):
            bounds = getattr(self, key)
            if bounds is not None and not bounds[0] <= bounds[1]:
                raise StoreError(f"The range of {key} is {bounds[0]} to {bounds[1]}: nothing lies in it.")

    @property
    def ranges(self) -> dict[str, tuple[float | None, float | None]]:
        """Payload key to lowest and highest stored value, already widened; None is an open end."""
        given = {Key.PRECURSOR_MZ: self.precursor_mz, Key.EXACT_MASS: self.exact_mass}
        return {
            key: (_finite(bounds[0] - RANGE_SLACK), _finite(bounds[1] + RANGE_SLACK))
            for key, bounds in given.items()
            if bounds is not None
        }

    @property
    def required(self) -> dict[str, tuple[str, ...]]:
        """Payload key to the values of which a point must have one."""
        given = {
            Key.ION_MODE: self.ion_mode,
            Key.ADDUCT: self.adduct,
            Key.FORMULA: self.formula,
            Key.INSTRUMENT_TYPE: self.instrument_type,
            Key.LIBRARY: self.library,
            Key.INCHIKEY14: self.inchikey14,
            Key.SPLASH: self.splash,
        }
        return {
            key: (values,) if isinstance(values, str) else values
            for key, values in given.items()
            if values is not None
        }

    @property
    def excluded(self) -> dict[str, tuple[str, ...]]:
        """Payload key to the values a point must not have."""
        given = {Key.INCHIKEY14: self.exclude_inchikey14, Key.SPLASH: self.exclude_splash}
        return {key: values for key, values in given.items() if values}


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
