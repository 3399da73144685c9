"""Adducts read as algebra: every mass is summed from formulas, none is looked up.

``[nM+X-Y]z`` says that n molecules, with the groups X added and Y removed, carry the charge z, so

    precursor m/z = (n x exact mass + sum of groups - z x electron mass) / |z|

whichever group a chemist would call the carrier of the charge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from specsearch.chemistry.masses import ELECTRON_MASS, Formula, parse_formula
from specsearch.chemistry.tolerance import FloatOrArray
from specsearch.errors import ParseError

_SHORTHANDS = {
    "acn": "C2H3N",
    "fa": "HCOOH",
    "hac": "CH3COOH",
    "acoh": "CH3COOH",
    "oac": "CH3COO",
    "tfa": "CF3COOH",
    "meoh": "CH3OH",
    "etoh": "C2H5OH",
    "isoprop": "C3H7OH",
    "iproh": "C3H7OH",
    "ipa": "C3H7OH",
    "dmso": "C2H6SO",
}
_PREFERRED = {
    "C2H3N": "ACN",
    "CH3OH": "MeOH",
    "C3H7OH": "IsoProp",
    "C2H6SO": "DMSO",
    **{name: name for name in ("H2O", "NH3", "NH4", "HCOOH", "HCOO", "CH3COOH", "CH3COO")},
    **{name: name for name in ("CF3COOH", "CF3COO", "OH", "HF", "HCl", "NaCl", "CO2", "CO")},
}
_ION_CHARGES = {
    **dict.fromkeys(("H", "Li", "Na", "K", "Rb", "Cs", "Ag", "NH4", "CH3"), 1),
    **dict.fromkeys(("Mg", "Ca"), 2),
    **dict.fromkeys(("F", "Cl", "Br", "I", "OH", "NO3", "HCOO", "CH3COO", "CF3COO"), -1),
}
_ANIONS = {"HCOOH": "HCOO", "CH3COOH": "CH3COO", "CF3COOH": "CF3COO"}
_PLAIN = str.maketrans("−–⁺⁻•·.⁰¹²³⁴⁵⁶⁷⁸⁹", "--+-***0123456789")

_BRACKETED = re.compile(r"[\[(]([^\[\]]*)[\])]([^\[\]()]*)")
_BODY = re.compile(r"([1-9]?)(?:M|Cat)((?:[+-][A-Za-z0-9()]+)*)")
_TERM = re.compile(r"([+-])([1-9][0-9]?)?([A-Za-z0-9()]+)")
_CHARGE = re.compile(r"(\*?)(?:([1-9][0-9]?)([+-])|([+-])([1-9][0-9]?)|(\++|-+)|)(\*?)")
_BARE_CHARGE = re.compile(r"([0-9]?)(\*?(?:\++|-+)\*?)$")
_MAX_LENGTH = 80
_NEXT_STEP = 'Write it in brackets with its charge, e.g. "[M+H]+", "[2M+Na-2H]-" or "[M-C6H10O5+H]+".'


@dataclass(frozen=True, slots=True)
class Adduct:
    """An ion as molecules plus groups; build it with `parse_adduct`.

    Parameters
    ----------
    text : str
        Canonical bracket notation: one order of groups, one name for each.
    n_molecules : int
        How many molecules the ion holds, 1 to 9.
    groups : tuple of (str, int)
        Groups with their signed multipliers, in the order of `text`.
    charge : int
        Signed, never 0.
    is_radical : bool
        Whether the notation marks an unpaired electron.
    mass_shift : float
        Groups minus ``charge`` electrons, in Da: what the ion weighs beyond its molecules.
    """

    text: str
    n_molecules: int
    groups: tuple[tuple[str, int], ...]
    charge: int
    is_radical: bool
    mass_shift: float

    def __str__(self) -> str:
        return self.text

    @property
    def ion_mode(self) -> str:
        """``"positive"`` or ``"negative"``."""
        return "positive" if self.charge > 0 else "negative"

    @property
    def molecule_charge(self) -> int:
        """The charge that each ion's molecules must bring along: 0 for ``[M+H]+``, 1 for ``[M]+``.

        A radical ion has lost or taken up an electron, so that its molecule is neutral.
        """
        return 0 if self.is_radical else self.charge - _ion_charge(self.groups)

    def contradicts(self, ion_mode: str | None) -> bool:
        """Whether a record's ion mode is the other one; an unknown mode (None) contradicts nothing."""
        return ion_mode is not None and ion_mode != self.ion_mode

    def precursor_mz(self, exact_mass: FloatOrArray) -> FloatOrArray:
        """m/z of the ion of molecules of `exact_mass` Da, a number or an array."""
        return (exact_mass * self.n_molecules + self.mass_shift) / abs(self.charge)

    def neutral_mass(self, precursor_mz: FloatOrArray) -> FloatOrArray:
        """Exact mass in Da of the molecule whose ion has `precursor_mz`, a number or an array."""
        return (precursor_mz * abs(self.charge) - self.mass_shift) / self.n_molecules


@lru_cache(maxsize=4096)
def parse_adduct(text: str) -> Adduct:
    """Read an adduct in bracket notation, or one of its shorter spellings (``M+H``, ``M-``, ``[M+H]``).

    Groups are formulas or shorthands of solvents (ACN, FA, HAc, MeOH, DMSO, TFA, IsoProp). Where no
    charge is written it is that of the ions among the groups. ``[Cat]+`` is read as ``[M]+``.

    Raises
    ------
    ParseError
        If the notation is broken, a group has no known mass, or the charge is neither written nor clear.
    """
    if len(text) > _MAX_LENGTH:
        raise ParseError(f"Adduct of {len(text)} characters is too long to be one.", _NEXT_STEP)
    written = "".join(text.split()).translate(_PLAIN)
    bracketed = _BRACKETED.fullmatch(written)
    if bracketed:
        return _adduct(*bracketed.groups(), text=text)
    readings = [_adduct(body, charge, text=text) for body, charge in _bare_readings(written)]
    if len(readings) > 1:
        readings = [reading for reading in readings if reading.charge == _ion_charge(reading.groups)]
    if len(readings) == 1:
        return readings[0]
    raise ParseError(f"Adduct {text!r} can be read in two ways.", _NEXT_STEP)


def _bare_readings(written: str) -> list[tuple[str, str]]:
    """Body and charge of a spelling without brackets.

    A digit before the sign belongs to the group (``M+NH4+``) or to the charge (``M+2H2+``): both are given.
    """
    match = _BARE_CHARGE.search(written)
    if match is None:
        return [(written, "")]
    digit, sign = match.groups()
    body = written[: match.start()]
    return [(body + digit, sign), (body, digit + sign)] if digit else [(body, sign)]


def _adduct(body: str, charge_text: str, *, text: str) -> Adduct:
    """Build the adduct of a body (``2M+Na-2H``) and a charge suffix (``2+``, ``+*``, or nothing)."""
    head, suffix = _BODY.fullmatch(body), _CHARGE.fullmatch(charge_text)
    if head is None or suffix is None:
        raise ParseError(f"Adduct {text!r} is not understood.", _NEXT_STEP)
    groups = _groups(head[2])
    charge = _written_charge(suffix) or _ion_charge(groups)
    if charge == 0:
        raise ParseError(f"Adduct {text!r} does not say its charge.", _NEXT_STEP)
    n_molecules, is_radical = int(head[1] or 1), "*" in charge_text
    return Adduct(
        text=_canonical(n_molecules, groups, charge, is_radical),
        n_molecules=n_molecules,
        groups=groups,
        charge=charge,
        is_radical=is_radical,
        mass_shift=sum(n * _formula(name).mass for name, n in groups) - charge * ELECTRON_MASS,
    )


def _groups(terms: str) -> tuple[tuple[str, int], ...]:
    """Groups by canonical name, like terms added up: gains before losses, the ion beside the molecule last.

    An acid gained with a hydrogen lost is written as its anion: ``+FA-H`` as ``+HCOO``.
    """
    counts: dict[str, int] = {}
    for sign, digits, written in _TERM.findall(terms):
        name = _name(written)
        counts[name] = counts.get(name, 0) + int(f"{sign}{digits or 1}")
    for acid, anion in _ANIONS.items():
        n_anions = min(counts.get(acid, 0), -counts.get("H", 0))
        if n_anions > 0:
            counts[acid] -= n_anions
            counts["H"] += n_anions
            counts[anion] = counts.get(anion, 0) + n_anions
    present = [(name, count) for name, count in counts.items() if count]
    return tuple(sorted(present, key=_place))


def _place(group: tuple[str, int]) -> tuple[bool, bool, str]:
    """Sort key: solvents gained, ions gained, ions lost, neutrals lost (``[M+ACN+H]+``, ``[M-H-H2O]-``)."""
    name, count = group
    is_loss, is_ion = count < 0, name in _ION_CHARGES
    return is_loss, is_ion != is_loss, name


def _name(written: str) -> str:
    """The canonical name of a group: the shorthand or formula chemists prefer, else as written."""
    name = _SHORTHANDS.get(written.lower(), written)
    try:
        composition = _composition(_formula(name))
    except ParseError as error:
        raise ParseError(f"Adduct group {written!r} has no known mass.", _NEXT_STEP) from error
    return _preferred_names().get(composition, name)


def _formula(name: str) -> Formula:
    """The formula behind a group's name."""
    return parse_formula(_SHORTHANDS.get(name.lower(), name))


def _composition(formula: Formula) -> frozenset[tuple[str, int]]:
    return frozenset(formula.counts.items())


@lru_cache(maxsize=1)
def _preferred_names() -> dict[frozenset[tuple[str, int]], str]:
    return {_composition(parse_formula(text)): name for text, name in _PREFERRED.items()}


def _ion_charge(groups: tuple[tuple[str, int], ...]) -> int:
    """The charge that the ions among the groups add up to."""
    return sum(_ION_CHARGES.get(name, 0) * count for name, count in groups)


def _written_charge(match: re.Match[str]) -> int:
    """The signed number of a charge suffix; 0 where none is written."""
    _, number, sign, leading_sign, trailing_number, repeated, _ = match.groups()
    if repeated:
        return int(f"{repeated[0]}{len(repeated)}")
    return int(f"{sign or leading_sign}{number or trailing_number}") if sign or leading_sign else 0


def _canonical(n_molecules: int, groups: tuple[tuple[str, int], ...], charge: int, is_radical: bool) -> str:
    terms = "".join(f"{_sign(count)}{_multiplier(count)}{name}" for name, count in groups)
    radical = "*" if is_radical else ""
    return f"[{_multiplier(n_molecules)}M{terms}]{_multiplier(charge)}{_sign(charge)}{radical}"


def _sign(number: int) -> str:
    return "+" if number > 0 else "-"


def _multiplier(number: int) -> str:
    return "" if abs(number) == 1 else str(abs(number))
