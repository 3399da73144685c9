"""From records to molecules, against chemistry of record and RDKit's own standardiser."""

from __future__ import annotations

import pytest
from rdkit import Chem
from rdkit.Chem.MolStandardize import rdMolStandardize

from specsearch.chemistry.parents import MAX_HEAVY_ATOMS, parent_molecule
from specsearch.chemistry.structures import describe_molecule, parse_molecule, parse_structure
from specsearch.errors import InvalidMolecule


def _parent(smiles: str) -> str:
    return Chem.MolToSmiles(parent_molecule(parse_molecule(smiles))[0])


def _canonical(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


@pytest.mark.parametrize(
    ("drawn", "meant"),
    [
        ("CC(=O)Oc1ccccc1C(=O)[O-].[Na+]", "CC(=O)Oc1ccccc1C(=O)O"),
        ("CC(=O)O[Na]", "CC(=O)O"),
        ("[K]OC(=O)C(=O)O[Na]", "OC(=O)C(=O)O"),
        ("CN1CCC[C@H]1c1cccnc1.OC(=O)C(O)C(O)C(O)=O", "CN1CCC[C@H]1c1cccnc1"),
        ("CN1CCC1.CN1CCC1.OS(=O)(=O)O", "CN1CCC1"),
        ("C[N+](C)(C)CCO.[Cl-]", "C[N+](C)(C)CCO"),
        ("[NH3+]CC(=O)[O-]", "NCC(=O)O"),
        ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)[O-]"),
        ("O=[N+]([O-])c1ccccc1", "O=[N+]([O-])c1ccccc1"),
        ("CC(=O)O.O", "CC(=O)O"),
        ("OP(=O)(O)O", "OP(=O)(O)O"),
        ("C1=CC=NC=C1.[Cu+2].[Cl-].[Cl-]", "c1ccncc1"),
    ],
)
def test_the_molecule_that_is_meant(drawn: str, meant: str) -> None:
    assert _parent(drawn) == _canonical(meant)
    assert _parent(meant) == _canonical(meant)


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("[2H]C([2H])([2H])O", "isotope-labelled"),
        ("[13CH4].CCO", "isotope-labelled"),
        ("CC(C)(C)[N]O", "radical"),
        ("[CH3]", "radical"),
        ("[Na+].[Cl-]", "no organic part"),
        ("[V+5]", "no organic part"),
        ("CCc1ccccc1.c1ccncc1", "mixture of molecules"),
        ("C" * (MAX_HEAVY_ATOMS + 1), "too many atoms"),
    ],
)
def test_what_is_no_candidate_says_why(smiles: str, reason: str) -> None:
    with pytest.raises(InvalidMolecule) as refused:
        parent_molecule(parse_molecule(smiles))
    assert refused.value.reason == reason


def test_two_hundred_atoms_are_not_too_many() -> None:
    assert _parent("C" * 200) == "C" * 200


def test_what_is_left_alone_says_so() -> None:
    assert not parent_molecule(parse_molecule("CCO"))[1]
    assert not parent_molecule(parse_molecule("O=[N+]([O-])c1ccccc1"))[1]
    assert parent_molecule(parse_molecule("CCO.Cl"))[1]
    assert parent_molecule(parse_molecule("CC(=O)[O-]"))[1]


SALTS = (
    "CC(=O)Oc1ccccc1C(=O)[O-].[Na+]",
    "C[NH+](C)CCOC(c1ccccc1)c1ccccc1.[Cl-]",
    "CC1=C(CCO)SC=[N+]1CC1=CN=C(C)N=C1N.[Cl-]",
    "[NH3+]C(Cc1ccccc1)C(=O)[O-]",
    "CCCCCCCCCCCC[N+](C)(C)Cc1ccccc1.[Br-]",
    "OS(=O)(=O)O.CN1CCC[C@H]1c1cccnc1",
    "[K+].[O-]c1ccccc1",
)


@pytest.mark.parametrize("smiles", SALTS)
def test_simple_salts_agree_with_rdkits_charge_parent(smiles: str) -> None:
    """The largest fragment, neutralised, by RDKit's own pipeline; it is no part of ours."""
    theirs = rdMolStandardize.ChargeParent(Chem.MolFromSmiles(smiles))
    assert _parent(smiles) == Chem.MolToSmiles(theirs)


@pytest.mark.parametrize("smiles", SALTS)
def test_a_salt_has_the_names_of_its_parent(smiles: str) -> None:
    found = describe_molecule(parent_molecule(parse_molecule(smiles))[0])
    assert found == parse_structure(found.smiles)
