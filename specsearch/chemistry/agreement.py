"""Does a record's precursor m/z fit its molecule and adduct, and if not, what would explain it?"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import lru_cache

from specsearch.chemistry.adducts import Adduct, parse_adduct
from specsearch.chemistry.tolerance import Tolerance
from specsearch.errors import ParseError


class Agreement(StrEnum):
    """What a precursor m/z has to say about a record; the values are short and countable."""

    AGREES = "agrees"
    UNIT_RESOLUTION = "agrees to half a dalton only"
    ISOTOPES = "fits heavier isotopes"
    OTHER_ADDUCT = "fits another adduct"
    DISAGREES = "fits nothing known"
    NO_PRECURSOR = "no precursor m/z"
    NO_ADDUCT = "no adduct"
    ADDUCT_NOT_UNDERSTOOD = "adduct not understood"
    NO_EXACT_MASS = "no exact mass"


_UNIT_RESOLUTION = Tolerance(0.5, "Da")

# Mass gained per exchanged atom, Da: 2H for H, 13C for C, 34S for S, 37Cl for Cl, 81Br for Br.
_ISOTOPE_STEPS = (1.0062767, 1.0033548, 1.9957959, 1.9970499, 1.9979535)
_MAX_EXCHANGED = 12  # labelled standards carry up to a dozen

_COMMON = {
    "positive": (
        *("[M+H]+", "[M]+", "[M+Na]+", "[M+NH4]+", "[M+K]+", "[M+H-H2O]+", "[M+H-NH3]+"),
        *("[M+2H]2+", "[2M+H]+", "[2M+Na]+"),
    ),
    "negative": (
        *("[M-H]-", "[M]-", "[M+Cl]-", "[M+HCOO]-", "[M+CH3COO]-", "[M-H-H2O]-", "[M-H-CO2]-"),
        *("[M-2H]2-", "[2M-H]-"),
    ),
}


def explain_precursor(
    precursor_mz: float | None, adduct: str | None, exact_mass: float | None, tolerance: Tolerance
) -> Agreement:
    """Compare a precursor m/z with the one its molecule and adduct call for.

    Parameters
    ----------
    precursor_mz : float or None
        m/z as recorded; None, 0 or NaN where unknown.
    adduct : str or None
        As recorded, in any spelling `parse_adduct` reads.
    exact_mass : float or None
        Da; best computed from structure or formula: libraries' own fields at times hold average masses.
    tolerance : Tolerance
        How near counts as agreement.

    Returns
    -------
    Agreement
        The first that applies, in the order: something is missing, agreement, half a dalton, isotopes,
        another common adduct of the same ion mode, nothing.
    """
    found, mass = _known(precursor_mz), _known(exact_mass)
    if found is None:
        return Agreement.NO_PRECURSOR
    if not adduct:
        return Agreement.NO_ADDUCT
    if mass is None:
        return Agreement.NO_EXACT_MASS
    try:
        ion = parse_adduct(adduct)
    except ParseError:
        return Agreement.ADDUCT_NOT_UNDERSTOOD
    return _compare(found, ion, mass, tolerance)


def _compare(precursor_mz: float, ion: Adduct, exact_mass: float, tolerance: Tolerance) -> Agreement:
    """The comparison itself, when everything is known."""
    expected = ion.precursor_mz(exact_mass)
    if tolerance.contains(precursor_mz, expected):
        return Agreement.AGREES
    if _UNIT_RESOLUTION.contains(precursor_mz, expected):
        return Agreement.UNIT_RESOLUTION
    if any(tolerance.contains(precursor_mz, expected + gain / abs(ion.charge)) for gain in _isotope_gains()):
        return Agreement.ISOTOPES
    others = _common_adducts(ion.ion_mode)
    if any(tolerance.contains(precursor_mz, other.precursor_mz(exact_mass)) for other in others):
        return Agreement.OTHER_ADDUCT
    return Agreement.DISAGREES


def _known(value: float | None) -> float | None:
    """The value where it can be a mass, else None."""
    return value if value is not None and math.isfinite(value) and value > 0 else None


@lru_cache(maxsize=1)
def _isotope_gains() -> tuple[float, ...]:
    return tuple(step * count for step in _ISOTOPE_STEPS for count in range(1, _MAX_EXCHANGED + 1))


@lru_cache(maxsize=2)
def _common_adducts(ion_mode: str) -> tuple[Adduct, ...]:
    return tuple(parse_adduct(text) for text in _COMMON[ion_mode])
