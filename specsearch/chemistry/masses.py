"""The one home of masses: electron, proton, elements, and formulas summed from them.

Element masses are those of each element's most abundant isotope, in Da, from the NIST table "Atomic
Weights and Isotopic Compositions" (AME2003), the table RDKit and pyteomics use as well, so that a mass
computed here equals one computed from a structure. Elements without stable isotopes are left out,
thorium and uranium excepted. The electron's mass is CODATA 2018.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from specsearch.errors import ParseError

ELECTRON_MASS = 5.48579909065e-4

_TABLE = """
H 1.00782503207  He 4.00260325415  Li 7.01600455  Be 9.0121822  B 11.0093054  C 12
N 14.0030740048  O 15.99491461956  F 18.99840322  Ne 19.9924401754  Na 22.9897692809
Mg 23.9850417  Al 26.98153863  Si 27.9769265325  P 30.97376163  S 31.972071  Cl 34.96885268
Ar 39.9623831225  K 38.96370668  Ca 39.96259098  Sc 44.9559119  Ti 47.9479463  V 50.9439595
Cr 51.9405075  Mn 54.9380451  Fe 55.9349375  Co 58.933195  Ni 57.9353429  Cu 62.9295975
Zn 63.9291422  Ga 68.9255736  Ge 73.9211778  As 74.9215965  Se 79.9165213  Br 78.9183371
Kr 83.911507  Rb 84.911789738  Sr 87.9056121  Y 88.9058483  Zr 89.9047044  Nb 92.9063781
Mo 97.9054082  Ru 101.9043493  Rh 102.905504  Pd 105.903486  Ag 106.905097  Cd 113.9033585
In 114.903878  Sn 119.9021947  Sb 120.9038157  Te 129.9062244  I 126.904473  Xe 131.9041535
Cs 132.905451933  Ba 137.9052472  La 138.9063533  Ce 139.9054387  Pr 140.9076528
Nd 141.9077233  Sm 151.9197324  Eu 152.9212303  Gd 157.9241039  Tb 158.9253468  Dy 163.9291748
Ho 164.9303221  Er 165.9302931  Tm 168.9342133  Yb 173.9388621  Lu 174.9407718  Hf 179.94655
Ta 180.9479958  W 183.9509312  Re 186.9557531  Os 191.9614807  Ir 192.9629264  Pt 194.9647911
Au 196.9665687  Hg 201.970643  Tl 204.9744275  Pb 207.9766521  Bi 208.9803987  Th 232.0380553
U 238.0507882
[2H] 2.0141017778  [3H] 3.0160492777  [6Li] 6.015122795  [10B] 10.012937  [13C] 13.0033548378
[14C] 14.003241989  [15N] 15.0001088982  [17O] 16.9991317  [18O] 17.999161  [33S] 32.97145876
[34S] 33.9678669  [37Cl] 36.96590259  [81Br] 80.9162906
"""
_CELLS = _TABLE.split()

ATOM_MASSES: Mapping[str, float] = MappingProxyType(
    {symbol: float(mass) for symbol, mass in zip(_CELLS[::2], _CELLS[1::2], strict=True)}
)
"""Monoisotopic masses in Da; ``"C"`` is the most abundant isotope, ``"[13C]"`` a named one."""

HYDROGEN_MASS = ATOM_MASSES["H"]
PROTON_MASS = HYDROGEN_MASS - ELECTRON_MASS

_ATOM_ALIASES = {"D": "[2H]", "T": "[3H]"}
_TOKEN = re.compile(r"(\[[0-9]{1,3}[A-Z][a-z]?\]|[A-Z][a-z]?|[()])([0-9]{0,5})")
_CHARGE = re.compile(r"([0-9]{0,2})([+-])|([+-])([0-9]{1,2})|(\+{2,4}|-{2,4})|")
_MAX_LENGTH = 200
_MAX_COUNT = 100_000
_NEXT_STEP = 'Write element symbols with counts, e.g. "C8H10N4O2", "[13C]6H12O6" or "C5H14NO+".'


@dataclass(frozen=True, slots=True)
class Formula:
    """How many atoms of each kind, and the charge written behind them.

    Parameters
    ----------
    counts : Mapping[str, int]
        Atoms by symbol, in the order written; isotopes as ``"[13C]"``.
    charge : int
        Signed; 0 where none is written.
    """

    counts: Mapping[str, int]
    charge: int = 0

    @property
    def mass(self) -> float:
        """Monoisotopic mass of the atoms in Da.

        The charge does not enter: electrons are accounted for once, by the adduct.
        """
        return sum(ATOM_MASSES[symbol] * count for symbol, count in self.counts.items())

    def __str__(self) -> str:
        """Hill notation: carbon, hydrogen, then the alphabet; the charge last."""
        first = [symbol for symbol in ("C", "H") if "C" in self.counts and symbol in self.counts]
        symbols = [*first, *sorted(set(self.counts) - set(first))]
        atoms = "".join(f"{s}{self.counts[s] if self.counts[s] > 1 else ''}" for s in symbols)
        sign = "" if not self.charge else "+" if self.charge > 0 else "-"
        return f"{atoms}({abs(self.charge)}{sign})" if abs(self.charge) > 1 else f"{atoms}{sign}"


@lru_cache(maxsize=16384)  # spectra of one molecule follow each other
def formula_mass(text: str) -> float:
    """Monoisotopic mass in Da of the atoms of a formula, see `Formula.mass`."""
    return parse_formula(text).mass


def parse_formula(text: str) -> Formula:
    """Read a formula: counts, nested parentheses, isotopes (``[13C]``, ``D``), a charge at the end.

    ``[C9H14N]+``, MassBank's way of writing an ion, is read as ``C9H14N+``.

    Raises
    ------
    ParseError
        On an unknown element or isotope, an unbalanced parenthesis or anything else that is no formula.
    """
    if len(text) > _MAX_LENGTH:
        raise ParseError(f"Formula of {len(text)} characters is too long to be one.", _NEXT_STEP)
    atoms, charge = _split_charge(text.strip())
    match_charge = _CHARGE.fullmatch(charge)
    levels: list[dict[str, int]] = [{}]
    position = 0
    while match := _TOKEN.match(atoms, position):
        position = match.end()
        _take(match[1], match[2], levels, text)
    if match_charge is None or position != len(atoms) or len(levels) != 1 or not levels[0]:
        raise ParseError(f"{text!r} is not a molecular formula.", _NEXT_STEP)
    return Formula(MappingProxyType(levels[0]), _charge(match_charge))


def _split_charge(text: str) -> tuple[str, str]:
    """Atoms and charge suffix: behind the outer bracket, or from the first sign on.

    The digits before a bare sign are a count: ``Ca2+`` is two calcium atoms, ``[Ca]2+`` one.
    """
    if text.startswith("[") and not text[1:2].isdigit():
        atoms, _, charge = text[1:].rpartition("]")
        return atoms, charge
    cut = next((i for i, character in enumerate(text) if character in "+-"), len(text))
    return text[:cut], text[cut:]


def _take(token: str, digits: str, levels: list[dict[str, int]], text: str) -> None:
    """Add one token to the innermost open parenthesis; `levels` is changed in place."""
    count = int(digits) if digits else 1
    if token == "(":
        if digits:
            raise ParseError(f"{text!r} has a count behind an opening parenthesis.", _NEXT_STEP)
        levels.append({})
        return
    if token == ")":
        if len(levels) == 1 or not levels[-1]:
            raise ParseError(f"{text!r} has a closing parenthesis without content.", _NEXT_STEP)
        group = levels.pop()
    else:
        symbol = _ATOM_ALIASES.get(token, token)
        if symbol not in ATOM_MASSES:
            raise ParseError(
                f"{text!r} names an element or isotope without a known mass: {token}.", _NEXT_STEP
            )
        group = {symbol: 1}
    for symbol, n_atoms in group.items():
        total = levels[-1].get(symbol, 0) + n_atoms * count
        if not 0 < total <= _MAX_COUNT:
            raise ParseError(f"{text!r} has {total} atoms of {symbol}.", _NEXT_STEP)
        levels[-1][symbol] = total


def _charge(match: re.Match[str]) -> int:
    """The signed number of a matched charge suffix; 0 where it is empty."""
    number, sign, leading_sign, trailing_number, repeated = match.groups()
    if repeated:
        return len(repeated) if repeated[0] == "+" else -len(repeated)
    size = int(number or trailing_number or 1)
    return {"+": size, "-": -size}.get(sign or leading_sign or "", 0)
