"""Which neutral masses a precursor may mean: one for each adduct that is given, or else that is common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from specsearch.chemistry.adducts import Adduct, parse_adduct
from specsearch.errors import InvalidSpectrum, ParseError
from specsearch.spectra.readers.ionization import ADDUCT_CONTRADICTS_MODE
from specsearch.spectra.spectrum import Spectrum

NO_PRECURSOR = "no precursor m/z"
CONTRADICTION = "adduct contradicts the ion mode"

# Tried where no adduct is given, by signed charge. Those of a single charge are 98 % of the 46,000 spectra
# with an adduct among train and val of MassBank, in either ion mode.
_COMMON = {
    1: ("[M+H]+", "[M]+", "[M+Na]+", "[M+NH4]+", "[M+H-H2O]+", "[M+K]+", "[2M+H]+"),
    -1: ("[M-H]-", "[M+HCOO]-", "[M+CH3COO]-", "[M+Cl]-", "[M-H-H2O]-", "[2M-H]-"),
    2: ("[M+2H]2+", "[M+H+Na]2+", "[M+H+NH4]2+"),
    -2: ("[M-2H]2-",),
}


@dataclass(frozen=True)
class Hypothesis:
    """One reading of a precursor.

    Parameters
    ----------
    adduct : Adduct
    exact_mass : float
        Of the molecule in Da.
    is_given : bool
        Whether the record or the user named the adduct; else it is one of those commonly seen.
    """

    adduct: Adduct
    exact_mass: float
    is_given: bool


def find_hypotheses(query: Spectrum, adduct: str | None = None) -> tuple[Hypothesis, ...]:
    """The readings of a query's precursor, the likeliest first.

    Parameters
    ----------
    query : Spectrum
        Its adduct is taken where it can be read; an ion mode that is not known allows both.
    adduct : str, optional
        Goes before the query's own.

    Raises
    ------
    InvalidSpectrum
        If there is no precursor m/z, if the adduct and the ion mode contradict each other, or if the
        precursor weighs less than what the adduct adds.
    ParseError
        If `adduct` is none.
    """
    if query.precursor_mz is None:
        raise InvalidSpectrum(NO_PRECURSOR)
    given = parse_adduct(adduct) if adduct else _own_adduct(query)
    is_torn = ADDUCT_CONTRADICTS_MODE in query.notes  # the reader made the adduct's sign the charge
    if is_torn and not adduct:
        raise InvalidSpectrum(CONTRADICTION, f"{given} in the other mode; --adduct settles it")
    if given is not None and not is_torn and given.contradicts(query.ion_mode):
        raise InvalidSpectrum(CONTRADICTION, f"{given} in {query.ion_mode} mode")
    adducts = common_adducts(query.charge) if given is None else (given,)
    readings = [Hypothesis(a, a.neutral_mass(query.precursor_mz), given is not None) for a in adducts]
    possible = tuple(reading for reading in readings if reading.exact_mass > 0)
    if not possible:
        raise InvalidSpectrum(
            "precursor lighter than its adduct", f"m/z {query.precursor_mz} as {adducts[0]}"
        )
    return possible


@lru_cache(maxsize=64)
def common_adducts(charge: int | None) -> tuple[Adduct, ...]:
    """The adducts tried for a signed charge; None is a single charge of either sign."""
    if charge is None:
        return common_adducts(1) + common_adducts(-1)
    size, sign = abs(charge), "+" if charge > 0 else "-"
    texts = _COMMON.get(charge, (f"[M{sign}{size}H]{size}{sign}",))
    return tuple(parse_adduct(text) for text in texts)


def _own_adduct(query: Spectrum) -> Adduct | None:
    """The record's adduct; None where there is none, or none that can be read."""
    try:
        return parse_adduct(query.adduct) if query.adduct else None
    except ParseError:
        return None
