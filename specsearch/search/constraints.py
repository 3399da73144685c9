"""What the user knows of the molecule: its formula, or the elements it may hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.masses import ATOM_MASSES, parse_formula
from specsearch.errors import ParseError

_SYMBOLS = re.compile(r"(?:[A-Z][a-z]?)+")

_Counts = frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Constraints:
    """Conditions on a candidate's formula; empty and None ask for nothing.

    Parameters
    ----------
    formulas : frozenset
        Compositions of which a molecule must have one; from `parse_formulas`.
    elements : frozenset of str, optional
        A molecule must hold no other; from `parse_elements`.
    """

    formulas: frozenset[_Counts] = frozenset()
    elements: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.formulas) or self.elements is not None

    def masses(self) -> list[float]:
        """Exact mass in Da of each formula."""
        return [sum(ATOM_MASSES[symbol] * n for symbol, n in counts) for counts in self.formulas]

    def allows(self, formulas: Sequence[str]) -> NDArray[np.bool_]:
        """Which of some molecules meet the conditions, by their formulas."""
        return np.array([self._allows(formula) for formula in formulas], dtype=bool)

    def _allows(self, formula: str) -> bool:
        try:
            counts = _composition(formula)
        except ParseError:
            return False  # of an element without a known mass: none that can be asked for
        if self.formulas and counts not in self.formulas:
            return False
        return self.elements is None or all(symbol in self.elements for symbol, _ in counts)


def parse_formulas(texts: Iterable[str]) -> frozenset[_Counts]:
    """Read formulas, in any order of their elements; charges do not count.

    Raises
    ------
    ParseError
        If one is none.
    """
    return frozenset(_composition(text) for text in texts)


def parse_elements(text: str) -> frozenset[str]:
    """Read element symbols written together, such as ``CHNOPSCl``; hydrogen may be left out.

    Raises
    ------
    ParseError
        If one is none.
    """
    written = text.replace(",", "").replace(" ", "")
    symbols = re.findall(r"[A-Z][a-z]?", written)
    if not _SYMBOLS.fullmatch(written) or not all(symbol in ATOM_MASSES for symbol in symbols):
        raise ParseError(
            f"{text[:80]!r} is not a list of elements.", 'Write symbols together, e.g. "CHNOPSCl".'
        )
    return frozenset((*symbols, "H"))


@lru_cache(maxsize=65_536)
def _composition(formula: str) -> _Counts:
    return frozenset(parse_formula(formula).counts.items())
