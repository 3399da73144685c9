"""Structures as drawings."""

from __future__ import annotations

from typing import Any

from rdkit.Chem.Draw import rdMolDraw2D

from specsearch.chemistry.structures import parse_molecule

_LONGEST = 400  # letters: laying out a chain of 2,000 atoms takes a minute


def draw_molecule(smiles: str, width: int = 220, height: int = 140) -> str:
    """A molecule as an SVG element, for a page; empty for one too large to be laid out while somebody waits.

    Parameters
    ----------
    smiles : str
    width, height : int
        Pixels.

    Raises
    ------
    ParseError
        If RDKit refuses the SMILES.
    """
    if len(smiles) > _LONGEST:
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    options: Any = drawer.drawOptions()
    options.clearBackground = False  # the page has its own
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, parse_molecule(smiles))
    drawer.FinishDrawing()
    text: str = drawer.GetDrawingText()
    return text[text.index("<svg") :]
