"""What several structures have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rdkit import Chem
from rdkit.Chem import rdFMCS
from rdkit.Chem.Scaffolds import MurckoScaffold

from specsearch.chemistry.structures import parse_molecule
from specsearch.errors import ParseError

_SECONDS = 5
_MOST_STRUCTURES = 30
_MOST_OF_THEM = 0.8  # share of the structures that must contain the common substructure


def scaffold(smiles: str) -> str:
    """Murcko scaffold as canonical SMILES; empty for a molecule without rings or one that RDKit refuses.

    Bemis and Murcko, J. Med. Chem. 39, 2887 (1996).
    """
    try:
        return str(Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(parse_molecule(smiles))))
    except ParseError:
        return ""


def shared_scaffold(structures: Sequence[str]) -> tuple[str, int]:
    """The most common Murcko scaffold that is not empty, and how many have it; ties by the text."""
    counts = Counter(name for name in map(scaffold, structures) if name)
    if not counts:
        return "", 0
    name, count = min(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return name, count


def common_substructure(structures: Sequence[str]) -> str:
    """Maximum common substructure of most of the structures, as SMARTS; empty where there is none.

    Parameters
    ----------
    structures : sequence of str
        SMILES; different ones, of which the first 30 are looked at, for at most 5 s.
    """
    molecules = []
    for smiles in list(dict.fromkeys(structures))[:_MOST_STRUCTURES]:
        try:
            molecules.append(parse_molecule(smiles))
        except ParseError:
            continue
    if len(molecules) < 2:
        return ""
    found = rdFMCS.FindMCS(
        molecules, threshold=_MOST_OF_THEM, timeout=_SECONDS, ringMatchesRingOnly=True, completeRingsOnly=True
    )
    return str(found.smartsString)
