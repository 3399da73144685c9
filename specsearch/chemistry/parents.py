"""From what a supplier draws to the molecule that flies: the one rule for salts, charges and the rest.

`RECIPE` names the rule, in this order:

1. **Isotopes**: a molecule with a labelled atom is refused. Its InChIKey's first block is that of the
   unlabelled one, its mass is not.
2. **Alkali metals** drawn with a bond (``CC(=O)O[Na]``) are set free as ions.
3. **Salts**: parts equal to another count once, and common salt formers and solvents are set aside where
   anything else holds carbon. Of the parts with carbon the one with most heavy atoms is kept, of equals the
   heavier, then the first by SMILES. A record without carbon is kept if it is a single part and no metal.
4. **Mixtures**: a record whose second part with carbon is neutral and has more than half the heavy atoms
   of the first is refused: which of the two is meant nobody can say.
5. **Charges**: protons are added or taken (RDKit's Uncharger) as far as that neutralises; a quaternary
   ammonium keeps its charge and is found as ``[M]+``.
6. **Metals** in a covalent molecule (cobalamin, haem) stay.
7. **Radicals**, and molecules of more than `MAX_HEAVY_ATOMS`, are refused.
"""

from __future__ import annotations

from functools import lru_cache

from rdkit import Chem, rdBase
from rdkit.Chem import rdqueries
from rdkit.Chem.MolStandardize.rdMolStandardize import Uncharger
from rdkit.Chem.rdMolDescriptors import CalcExactMolWt

from specsearch.chemistry.structures import parse_molecule
from specsearch.errors import InvalidMolecule, ParseError

RECIPE = "parent-1"
MAX_HEAVY_ATOMS = 500
"""Beyond, an InChIKey takes seconds; InChI itself ends at 1,023 atoms."""

_ALKALI = frozenset((3, 11, 19, 37, 55))
_NON_METALS = frozenset((1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 32, 33, 34, 35, 36, 52, 53, 54, 85, 86))

_COMPANIONS = """
C(=O)O CC(=O)O OC(=O)C(F)(F)F OC(=O)C(=O)O OC(=O)CC(=O)O OC(=O)CCC(=O)O OC(=O)C=CC(=O)O OC(=O)CC(O)C(=O)O
OC(=O)C(O)C(O)C(=O)O OC(=O)CC(O)(CC(=O)O)C(=O)O CC(O)C(=O)O OC(=O)c1ccccc1 CS(=O)(=O)O CCS(=O)(=O)O
OS(=O)(=O)c1ccccc1 Cc1ccc(cc1)S(=O)(=O)O OCC(O)C(O)C(O)C(O)C(=O)O CCN(CC)CC NC(CO)(CO)CO
CNCC(O)C(O)C(O)C(O)CO C1CCCCC1NC1CCCCC1 CO CCO CC(C)O CC(C)=O CC#N CS(C)=O CN(C)C=O ClCCl ClC(Cl)Cl C1CCOC1
"""  # acids and bases drugs are sold with, then solvents they crystallise with


def parent_molecule(molecule: Chem.Mol) -> tuple[Chem.Mol, bool]:
    """The neutral parent of a molecule as drawn.

    Parameters
    ----------
    molecule : rdkit.Chem.Mol
        Sanitised.

    Returns
    -------
    parent : rdkit.Chem.Mol
    is_changed : bool
        Whether it differs from what was drawn; a name or key of the record then speaks of the latter.

    Raises
    ------
    InvalidMolecule
        With a short, countable ``reason``.
    """
    if molecule.GetNumHeavyAtoms() > MAX_HEAVY_ATOMS:
        raise InvalidMolecule("too many atoms", f"{molecule.GetNumHeavyAtoms()} heavy ones")
    parts = Chem.GetMolFrags(molecule)
    if len(parts) == 1 and molecule.GetNumAtoms() > 1 and not len(molecule.GetAtomsMatchingQuery(_special())):
        return molecule, False
    atoms = [(a.GetAtomicNum(), a.GetFormalCharge(), a.GetIsotope()) for a in molecule.GetAtoms()]
    if any(isotope for _, _, isotope in atoms):
        raise InvalidMolecule("isotope-labelled")
    parent = molecule
    if not _ALKALI.isdisjoint(number for number, _, _ in atoms):
        parent = _with_free_alkali(parent)
        parts = Chem.GetMolFrags(parent)
    if len(parts) > 1:
        parent = _main_part(parent)
    elif all(number not in _NON_METALS for number, _, _ in atoms):
        raise InvalidMolecule("no organic part")
    if any(charge for _, charge, _ in atoms) or parent is not molecule:
        parent = _neutralised(parent)
    if any(atom.GetNumRadicalElectrons() for atom in parent.GetAtoms()):
        raise InvalidMolecule("radical")
    return parent, parent is not molecule


def _with_free_alkali(molecule: Chem.Mol) -> Chem.Mol:
    """The molecule with its bonds to alkali metals made ionic."""
    editable = Chem.RWMol(molecule)
    for bond in list(editable.GetBonds()):
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        for metal, other in (ends, ends[::-1]):
            if metal.GetAtomicNum() in _ALKALI and other.GetAtomicNum() not in _ALKALI:
                metal.SetFormalCharge(metal.GetFormalCharge() + 1)
                metal.SetNoImplicit(True)
                other.SetFormalCharge(other.GetFormalCharge() - 1)
                editable.RemoveBond(metal.GetIdx(), other.GetIdx())
                break
    return _sanitised(editable.GetMol())


def _main_part(molecule: Chem.Mol) -> Chem.Mol:
    """The part that a record of several parts is about."""
    parts = {Chem.MolToSmiles(part): part for part in Chem.GetMolFrags(molecule, asMols=True)}
    organic = {text: part for text, part in parts.items() if _has_carbon(part)}
    if not organic:
        raise InvalidMolecule("no organic part")
    meant = {text: part for text, part in organic.items() if _flat(_neutralised(part)) not in _companions()}
    ordered = sorted((meant or organic).items(), key=_size_order)
    (_, first), *others = ordered
    for _, other in others:
        is_large = 2 * other.GetNumHeavyAtoms() > first.GetNumHeavyAtoms()
        if is_large and Chem.GetFormalCharge(other) == 0:
            raise InvalidMolecule("mixture of molecules", " and ".join(text for text, _ in ordered)[:200])
    return first


def _size_order(part: tuple[str, Chem.Mol]) -> tuple[float, float, str]:
    text, molecule = part
    return -molecule.GetNumHeavyAtoms(), -CalcExactMolWt(molecule), text


def _neutralised(molecule: Chem.Mol) -> Chem.Mol:
    """The molecule with protons moved; itself where none needs to."""
    with rdBase.BlockLogs():
        neutral = _uncharger().uncharge(molecule)
    before, after = Chem.MolToSmiles(molecule), Chem.MolToSmiles(neutral)
    if before == after:
        return molecule
    try:
        return parse_molecule(after)  # so that what is stored as SMILES gives the very same molecule
    except ParseError:
        return molecule  # a proton on an oxonium ring leads to an impossible valence: it keeps its charge


def _has_carbon(molecule: Chem.Mol) -> bool:
    return any(atom.GetAtomicNum() == 6 for atom in molecule.GetAtoms())


def _sanitised(molecule: Chem.Mol) -> Chem.Mol:
    with rdBase.BlockLogs():
        if Chem.SanitizeMol(molecule, catchErrors=True):
            raise InvalidMolecule("structure not readable", "after its metal was set free")
    return molecule


def _flat(molecule: Chem.Mol) -> str:
    """Canonical SMILES without stereochemistry."""
    return Chem.MolToSmiles(molecule, isomericSmiles=False)


@lru_cache(maxsize=1)
def _special() -> Chem.QueryAtom:
    """Atoms that any part of the rule is about: one look for them costs a hundredth of asking each atom."""
    special = rdqueries.IsotopeGreaterQueryAtom(0)
    charged = rdqueries.FormalChargeGreaterQueryAtom(0), rdqueries.FormalChargeLessQueryAtom(0)
    alkali = (rdqueries.AtomNumEqualsQueryAtom(number) for number in _ALKALI)
    for query in (*charged, rdqueries.NumRadicalElectronsGreaterQueryAtom(0), *alkali):
        special.ExpandQuery(query, Chem.CompositeQueryType.COMPOSITE_OR)
    return special


@lru_cache(maxsize=1)
def _companions() -> frozenset[str]:
    return frozenset(_flat(parse_molecule(text)) for text in _COMPANIONS.split())


@lru_cache(maxsize=1)
def _uncharger() -> Uncharger:
    return Uncharger()
