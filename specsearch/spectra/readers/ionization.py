"""The signed charge of an ion, from the three fields that speak of it: charge, adduct, ion mode."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from specsearch.chemistry.adducts import parse_adduct
from specsearch.errors import ParseError

ADDUCT_CONTRADICTS_MODE = "adduct contradicts ion mode"

_CHARGE = re.compile(r"([+-]?)(\d{1,3})(?:\.0+)?([+-]?)")
_SIGNS = {"positive": 1, "negative": -1}


class Ionization(NamedTuple):
    """What is known of the ion; `adduct` is canonical where it was understood, else as given."""

    charge: int | None
    adduct: str | None
    notes: tuple[str, ...]


@lru_cache(maxsize=4096)
def ionization(charge_text: str, adduct_text: str, mode_text: str) -> Ionization:
    """Combine the three fields; an empty text is an unknown field, a mode is ``positive`` or ``negative``.

    The adduct says most and is believed first, then the ion mode, then the sign of the charge (many
    libraries write ``1+`` for every record). A charge without any sign and mode is positive, as in
    Mascot's files. Contradictions are noted, not mended in silence.
    """
    notes: list[str] = []
    number, written_sign = _parse_charge(charge_text, notes)
    mode = _parse_mode(mode_text, notes)
    if adduct_text:
        try:
            adduct = parse_adduct(adduct_text)
        except ParseError:
            notes.append(f"adduct not understood: {adduct_text}")
        else:
            if mode and mode * adduct.charge < 0:
                notes.append(ADDUCT_CONTRADICTS_MODE)
            if number and (number != abs(adduct.charge) or written_sign * adduct.charge < 0):
                notes.append("adduct contradicts charge")
            return Ionization(adduct.charge, adduct.text, tuple(notes))
    if number and mode * written_sign < 0:
        notes.append("charge contradicts ion mode")
    charge = number * (mode or written_sign or 1) if number else mode
    return Ionization(charge or None, adduct_text or None, tuple(notes))


def _parse_charge(text: str, notes: list[str]) -> tuple[int, int]:
    """Number of charges and its written sign; 0 for what is not known."""
    match = _CHARGE.fullmatch(text.replace(" ", ""))
    if match is None or (match[1] and match[3]):
        if text:
            notes.append(f"charge not understood: {text}")
        return 0, 0
    sign = match[1] or match[3]
    return int(match[2]), int(f"{sign}1") if sign else 0


def _parse_mode(text: str, notes: list[str]) -> int:
    """1, -1, or 0 where the ion mode is not known."""
    sign = _SIGNS.get(text, 0)
    if text and not sign:
        notes.append(f"ion mode not understood: {text}")
    return sign
