"""Numbers as people write them: counts with a letter for thousands, sizes of memory with their unit."""

from __future__ import annotations

import re
from fractions import Fraction

from specsearch.errors import ParseError

MOST = 10**10
_COUNT = re.compile(
    r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:_[0-9]{3})+|[0-9]+)(?:\.([0-9]+))?\s?([kmb])?", re.I
)
_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?([GT]i?B)")
_LETTERS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
_UNITS = {"GB": 10**9, "TB": 10**12, "GiB": 2**30, "TiB": 2**40}
_LONGEST = 40
_COUNT_STEP = 'Write a whole number above zero, e.g. "200M", "1.5M", "10k", "2B" or "200,000,000".'
_BYTES_STEP = 'Write a number above zero and its unit, e.g. "64GB", "256GiB" or "1.5TB".'


def parse_count(text: str) -> int:
    """Read ``"200M"``, ``"1.5M"``, ``"10k"``, ``"2B"``, ``"2_000_000"`` or ``"200,000,000"``.

    Raises
    ------
    ParseError
        If it is not a whole number from 1 to `MOST`.
    """
    text = text.strip()
    match = _COUNT.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ParseError(f"{text[:_LONGEST]!r} is not a count.", _COUNT_STEP)
    whole, decimals, letter = (part or "" for part in match.groups())
    value = Fraction(f"{re.sub('[,_]', '', whole)}.{decimals or '0'}") * _LETTERS[letter.lower()]
    if value.denominator != 1:
        raise ParseError(f"{text!r} is not a whole number.", _COUNT_STEP)
    if not value:
        raise ParseError(f"{text!r} is nothing to plan for.", _COUNT_STEP)
    if value > MOST:
        raise ParseError(f"{text!r} is beyond what this formula is for: at most 10^10.")
    return int(value)


def parse_bytes(text: str) -> int:
    """Read ``"64GB"``, ``"256 GiB"`` or ``"1.5TB"``, rounded down to whole bytes.

    Raises
    ------
    ParseError
        If the unit is missing or another, or the number is zero.
    """
    text = text.strip()
    match = _BYTES.fullmatch(text) if len(text) <= _LONGEST else None
    value = Fraction(match[1]) * _UNITS[match[2]] if match else Fraction(0)
    if not value:
        raise ParseError(f"{text[:_LONGEST]!r} is not a size of memory.", _BYTES_STEP)
    return int(value)
