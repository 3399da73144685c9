"""Molecules as files hold them: one record after the other, not yet looked at.

Reading is cheap, looking at structures is not, so a record travels to a worker as text.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MoleculeRecord:
    """One molecule of a file.

    Parameters
    ----------
    position : str
        Where in the file, e.g. ``"line 3"``.
    structure : str
        SMILES, or the whole structure block of an SDF record; empty where there is none.
    is_block : bool
        Which of the two.
    name, inchikey : str
        As given; empty where not.
    """

    position: str
    structure: str
    is_block: bool = False
    name: str = ""
    inchikey: str = ""


@dataclass(frozen=True)
class Columns:
    """Names of columns, or of an SDF's data fields; None lets them be guessed."""

    smiles: str | None = None
    name: str | None = None
    inchikey: str | None = None
