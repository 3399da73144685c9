"""Universal Spectrum Identifiers: parsed and written, not resolved.

Source: Deutsch et al., Nature Methods 18, 768-770 (2021), and the HUPO-PSI specification 1.0;
``accession`` is the index type that spectral libraries use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from specsearch.errors import ParseError

_NOTATION = re.compile(
    r"mzspec:(?P<collection>[^:\s]+):(?P<run>[^\r\n]*?)"
    r":(?P<index_type>scan|index|nativeId|accession):(?P<index>[^:\s]+)(?::(?P<interpretation>[^\r\n]+))?"
)
_MAX_LENGTH = 2_000
_NEXT_STEP = 'Write it like "mzspec:MASSBANK::accession:SM858102" or "mzspec:PXD000561:run_name:scan:17555".'


@dataclass(frozen=True, slots=True)
class Usi:
    """One spectrum's address.

    Parameters
    ----------
    collection : str
        Data set or repository, e.g. ``"PXD000561"``, ``"GNPS"``, ``"MASSBANK"``.
    run : str
        Name of the run or library; may be empty and may hold colons.
    index_type : str
        ``"scan"``, ``"index"``, ``"nativeId"`` or ``"accession"``.
    index : str
        Number or name within the run; digits for scan and index.
    interpretation : str
        What the spectrum is claimed to be; empty where nothing is claimed.

    Raises
    ------
    ParseError
        If the parts, joined, would not be read as themselves.
    """

    collection: str
    run: str
    index_type: str
    index: str
    interpretation: str = ""

    def __post_init__(self) -> None:
        parts = (self.collection, self.run, self.index_type, self.index, self.interpretation)
        if _split(str(self)) != parts:
            raise ParseError(f"{parts!r} are not the parts of a USI.", _NEXT_STEP)

    def __str__(self) -> str:
        address = f"mzspec:{self.collection}:{self.run}:{self.index_type}:{self.index}"
        return f"{address}:{self.interpretation}" if self.interpretation else address


def parse_usi(text: str) -> Usi:
    """Read a USI.

    Raises
    ------
    ParseError
        If a part is missing, the index type is unknown, or a scan or index is not a number.
    """
    parts = _split(text.strip())
    if parts is None:
        raise ParseError(f"{text[:80]!r} is not a USI.", _NEXT_STEP)
    return Usi(*parts)


def _split(text: str) -> tuple[str, ...] | None:
    """The five parts of a USI, or None where the text is none."""
    match = _NOTATION.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        return None
    if match["index_type"] in ("scan", "index") and not re.fullmatch("[0-9]+", match["index"]):
        return None
    return tuple(part or "" for part in match.groups())
