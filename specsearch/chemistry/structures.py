"""Molecules: every SMILES is read, canonicalised and weighed here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rdkit import Chem, rdBase
from rdkit.Chem.rdMolDescriptors import CalcExactMolWt, CalcMolFormula
from rdkit.Chem.rdqueries import AtomNumEqualsQueryAtom

from specsearch.chemistry.masses import ELECTRON_MASS
from specsearch.errors import ParseError

_PLACEHOLDER = AtomNumEqualsQueryAtom(0)
_MAX_LENGTH = 5_000
_NEXT_STEP = "Check the structure in a drawing program, or leave the field empty."


@dataclass(frozen=True, slots=True)
class Structure:
    """A molecule by its names and its mass.

    Parameters
    ----------
    smiles : str
        Canonical, with stereochemistry and isotopes.
    inchikey : str
        Standard InChIKey, 27 characters.
    formula : str
        Hill notation, isotopes named, charge at the end.
    exact_mass : float
        Monoisotopic mass of the atoms in Da. The electrons a charged molecule lacks are put back, as in
        `specsearch.chemistry.masses.Formula.mass`: they are accounted for once, by the adduct.
    formal_charge : int
        Sum over the atoms.
    """

    smiles: str
    inchikey: str
    formula: str
    exact_mass: float
    formal_charge: int

    @property
    def inchikey14(self) -> str:
        """First block of the InChIKey: the connectivity."""
        return self.inchikey[:14]


@lru_cache(maxsize=65_536)
def parse_structure(smiles: str) -> Structure:
    """Read a SMILES.

    Raises
    ------
    ParseError
        If RDKit cannot read or sanitise it, if it holds no atom or a placeholder atom (``*``), or if it
        has no InChIKey.
    """
    return describe_molecule(parse_molecule(smiles))


def describe_molecule(molecule: Chem.Mol, inchikey: str = "") -> Structure:
    """Names and mass of a molecule.

    Parameters
    ----------
    molecule : rdkit.Chem.Mol
    inchikey : str, optional
        Taken as it is where given: computing it costs as much as all the rest.

    Raises
    ------
    ParseError
        If it has no InChIKey.
    """
    if not inchikey:
        with rdBase.BlockLogs():
            inchikey = Chem.MolToInchiKey(molecule)
    if not inchikey:
        raise ParseError(f"{Chem.MolToSmiles(molecule)[:80]!r} has no InChIKey.", _NEXT_STEP)
    formal_charge = Chem.GetFormalCharge(molecule)
    return Structure(
        smiles=Chem.MolToSmiles(molecule),
        inchikey=inchikey,
        formula=CalcMolFormula(molecule, separateIsotopes=True, abbreviateHIsotopes=False),
        exact_mass=CalcExactMolWt(molecule) + formal_charge * ELECTRON_MASS,
        formal_charge=formal_charge,
    )


def parse_molecule(smiles: str) -> Chem.Mol:
    """Read a SMILES into an RDKit molecule with at least one atom and no placeholder atoms.

    RDKit's own complaints stay off stderr; the error raised speaks for them.

    Raises
    ------
    ParseError
        As for `parse_structure`, the InChIKey excepted.
    """
    text = smiles.strip()
    if not text.isascii() or "\0" in text or len(text) > _MAX_LENGTH or len(text.split()) != 1:
        raise ParseError(f"{smiles[:80]!r} is not a SMILES.", _NEXT_STEP)
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(text)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise ParseError(f"SMILES {smiles[:80]!r} cannot be read as a molecule.", _NEXT_STEP)
    if len(molecule.GetAtomsMatchingQuery(_PLACEHOLDER)):  # many times faster than asking each atom
        raise ParseError(f"SMILES {smiles[:80]!r} has a placeholder atom.", _NEXT_STEP)
    return molecule
