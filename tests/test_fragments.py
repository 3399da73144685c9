"""Fragments against RDKit cutting bonds, against counting by hand, and formulas against RDKit's."""

from itertools import combinations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem.Descriptors import ExactMolWt
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from specsearch.chemistry.fragments import Fragments, find_fragments
from specsearch.chemistry.masses import ELECTRON_MASS, parse_formula
from specsearch.chemistry.structures import parse_molecule
from specsearch.errors import ParseError

SMALL = [
    "CC(C)CC(N)C(=O)O",  # no ring
    "c1ccc2ccccc2c1",  # two rings share a bond
    "C1CC2CC1CC2",  # a bridge
    "C1CCC2(C1)CCO2",  # two rings share an atom
    "O=C(Oc1ccccc1)C1CC1",  # rings apart
    "C[N+](C)(C)CCO.[Cl-]",  # a salt
    "C",
]


def _pieces(molecule: Chem.Mol, atoms: frozenset[int], bonds: tuple[int, ...]) -> list[frozenset[int]]:
    """What RDKit makes of `atoms` once the bonds out of them and `bonds` are cut."""
    rim = [
        b.GetIdx() for b in molecule.GetBonds() if len({b.GetBeginAtomIdx(), b.GetEndAtomIdx()} & atoms) == 1
    ]
    cut = [*rim, *bonds]
    broken = Chem.FragmentOnBonds(molecule, cut, addDummies=False) if cut else molecule
    pieces = Chem.GetMolFrags(broken)
    return [frozenset(piece) for piece in pieces if atoms.issuperset(piece)]


def _split(molecule: Chem.Mol, atoms: frozenset[int]) -> set[frozenset[int]]:
    """Both parts of every split by one bond, or by two of which neither splits alone."""
    inside = [b.GetIdx() for b in molecule.GetBonds() if {b.GetBeginAtomIdx(), b.GetEndAtomIdx()} <= atoms]
    parts: set[frozenset[int]] = set()
    alone = [bond for bond in inside if len(_pieces(molecule, atoms, (bond,))) == 2]
    for bond in alone:
        parts.update(_pieces(molecule, atoms, (bond,)))
    for pair in combinations([bond for bond in inside if bond not in alone], 2):
        pieces = _pieces(molecule, atoms, pair)
        if len(pieces) == 2:
            parts.update(pieces)
    return parts


def _depths(molecule: Chem.Mol, max_depth: int) -> dict[frozenset[int], int]:
    """Every fragment and its fewest steps, by brute force."""
    depth = {frozenset(part): 0 for part in Chem.GetMolFrags(molecule)}
    for step in range(1, max_depth + 1):
        newest = [atoms for atoms, d in depth.items() if d == step - 1]
        for atoms in newest:
            for part in _split(molecule, atoms):
                depth.setdefault(part, step)
    return depth


def _atom_sets(fragments: Fragments) -> list[frozenset[int]]:
    return [frozenset(np.flatnonzero(row).tolist()) for row in fragments.member]


@pytest.mark.parametrize("smiles", SMALL)
@pytest.mark.parametrize("max_depth", [0, 1, 2, 3])
def test_every_fragment_and_no_other(smiles: str, max_depth: int) -> None:
    molecule = parse_molecule(smiles)
    fragments = find_fragments(molecule, max_depth)
    found = dict(zip(_atom_sets(fragments), fragments.depth.tolist(), strict=True))
    assert len(found) == len(fragments)
    assert found == _depths(molecule, max_depth)


def test_a_chain_falls_into_its_intervals() -> None:
    for n_atoms in (2, 7, 64, 65, 100, 130):  # one word of bits, two, three
        chain = parse_molecule("C" * n_atoms)
        assert len(find_fragments(chain, 1)) == 1 + 2 * (n_atoms - 1)
        assert len(find_fragments(chain, 2)) == n_atoms * (n_atoms + 1) // 2


def test_a_ring_falls_into_its_arcs() -> None:
    for n_atoms in (3, 8, 70):
        ring = find_fragments(parse_molecule(f"C1{'C' * (n_atoms - 1)}1"), 3, max_fragments=50_000)
        assert len(ring) == 1 + n_atoms * (n_atoms - 1)
        assert set(ring.n_bonds.tolist()) == {0, 2}


@pytest.mark.parametrize(
    ("smiles", "atoms", "n_bonds", "score"),
    [
        ("CCO", {0}, 1, 1.0),  # a single bond between carbons
        ("CCO", {2}, 1, 0.5),  # one to a heteroatom
        ("CC(=O)NC", {2}, 1, 1.0),  # a double bond to a heteroatom
        ("CC(=O)NC", {1, 2}, 2, 1.5),
        ("CC=CC", {0, 1}, 1, 2.0),
        ("CC#N", {2}, 1, 1.5),  # a triple bond to a heteroatom
        ("c1ccccc1", {0, 1, 2}, 2, 6.0),
        ("c1ccncc1", {3}, 2, 3.0),
    ],
)
def test_bonds_cost_what_magma_says(smiles: str, atoms: set[int], n_bonds: int, score: float) -> None:
    fragments = find_fragments(parse_molecule(smiles), 2)
    row = _atom_sets(fragments).index(frozenset(atoms))
    assert (fragments.n_bonds[row], fragments.breaking_score[row]) == (n_bonds, score)


def _cut_out(molecule: Chem.Mol, atoms: frozenset[int]) -> Chem.Mol:
    """A fragment as RDKit's molecule: its atoms keep their hydrogens, and nothing is filled up."""
    piece = Chem.RWMol(molecule)
    for atom in piece.GetAtoms():
        atom.SetNumExplicitHs(atom.GetTotalNumHs())
        atom.SetNoImplicit(True)
    for index in sorted(set(range(molecule.GetNumAtoms())) - atoms, reverse=True):
        piece.RemoveAtom(index)
    piece.UpdatePropertyCache(strict=False)
    return piece


@pytest.mark.parametrize(
    "smiles",
    [
        "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
        "OC[C@H]1OC(Oc2ccc(Cl)cc2)[C@H](O)[C@@H](O)[C@@H]1OP(=O)(O)O",
        "[2H]C([2H])([2H])S(=O)(=O)c1c[nH]cc1[13CH3]",
        "C[N+](C)(C)CCO.[Br-]",
    ],
)
def test_masses_and_formulas_are_rdkits(smiles: str) -> None:
    molecule = parse_molecule(smiles)
    fragments = find_fragments(molecule, 2)
    assert len(fragments) > 10
    for row, atoms in enumerate(_atom_sets(fragments)):
        piece = _cut_out(molecule, atoms)
        charge = Chem.GetFormalCharge(piece)
        assert fragments.mass[row] == pytest.approx(ExactMolWt(piece) + charge * ELECTRON_MASS, abs=1e-6)
        counts = dict(zip(fragments.elements, fragments.counts[row].tolist(), strict=True))
        formula = CalcMolFormula(piece, separateIsotopes=True, abbreviateHIsotopes=False)
        assert {element: n for element, n in counts.items() if n} == dict(parse_formula(formula).counts)
        protons = sum(atom.GetAtomicNum() + atom.GetTotalNumHs() for atom in piece.GetAtoms())
        assert fragments.n_electrons[row] == protons


def test_a_full_house_holds_what_costs_least() -> None:
    molecule = parse_molecule("CC(C)C1CCC2(C)C(CCC3C2CCC4(C)C3CCC4C(=O)NCCO)C1")
    every = find_fragments(molecule, 2)
    depth_of = dict(zip(_atom_sets(every), every.depth.tolist(), strict=True))
    capped = find_fragments(molecule, 2, max_fragments=300)
    assert len(capped) == len(set(_atom_sets(capped))) == 300 < len(every)
    assert all(depth_of[a] == d for a, d in zip(_atom_sets(capped), capped.depth, strict=True))
    second, all_second = capped.depth == 2, every.depth == 2
    assert capped.breaking_score[second].mean() < every.breaking_score[all_second].mean()
    assert len(find_fragments(molecule, 3, max_fragments=1)) == 1
    assert len(find_fragments(parse_molecule("[Na+].[Cl-].O"), 1, max_fragments=1)) == 3


def test_no_mass_no_fragment() -> None:
    with pytest.raises(ParseError, match="18F"):
        find_fragments(parse_molecule("C[18F]"))
    with pytest.raises(ParseError, match="no fragments"):
        find_fragments(Chem.Mol())
