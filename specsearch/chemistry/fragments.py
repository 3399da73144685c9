"""What a molecule can fall into: connected groups of heavy atoms, by bonds broken one step at a time.

The bond disconnection of MetFrag (Ruttkies et al., J. Cheminform. 8, 3 (2016)) with the bond weights of MAGMa
(Ridder et al., Rapid Commun. Mass Spectrom. 26, 2461 (2012)). One step breaks one bond outside rings, or
two bonds of one ring, so that a connected group becomes two. No bond between two atoms of a group is ever
broken, hence its atoms are all there is to a fragment: the bonds on its rim are those broken, whatever
the order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from specsearch.chemistry.fragment_cuts import split_each
from specsearch.chemistry.masses import ATOM_MASSES
from specsearch.errors import ParseError

MAX_FRAGMENTS = 20_000
"""How many fragments a molecule may have; those that cost least are split first."""

_ORDER_WEIGHTS = {
    Chem.BondType.SINGLE: 1.0,
    Chem.BondType.DOUBLE: 2.0,
    Chem.BondType.TRIPLE: 3.0,
    Chem.BondType.AROMATIC: 3.0,
}  # as in MAGMa, which halves them too where a heteroatom takes part
_HETEROATOM_FACTOR = 0.5


@dataclass(frozen=True, eq=False)
class Fragments:
    """The fragments of one molecule, those of the fewest steps first; the molecule itself is the first.

    Parameters
    ----------
    elements : tuple of str
        Kinds of atoms, as in `specsearch.chemistry.masses.ATOM_MASSES`; hydrogen is the first.
    member : numpy.ndarray of shape (n_fragments, n_atoms), bool
        Which heavy atoms belong to a fragment.
    counts : numpy.ndarray of shape (n_fragments, n_elements), int32
        Atoms of each kind; a fragment keeps the hydrogens of its heavy atoms.
    mass : numpy.ndarray of shape (n_fragments,), float64
        Monoisotopic mass of the atoms in Da, hydrogens included, charges not.
    n_electrons : numpy.ndarray of shape (n_fragments,), int32
        Electrons of the atoms, hydrogens included, charges not.
    depth : numpy.ndarray of shape (n_fragments,), int8
        Fewest steps that lead to a fragment.
    n_bonds : numpy.ndarray of shape (n_fragments,), int32
        Bonds broken.
    breaking_score : numpy.ndarray of shape (n_fragments,), float64
        Sum of the weights of the bonds broken; lower is more likely.
    """

    elements: tuple[str, ...]
    member: NDArray[np.bool_]
    counts: NDArray[np.int32]
    mass: NDArray[np.float64]
    n_electrons: NDArray[np.int32]
    depth: NDArray[np.int8]
    n_bonds: NDArray[np.int32]
    breaking_score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.mass)


def find_fragments(molecule: Chem.Mol, max_depth: int = 2, max_fragments: int = MAX_FRAGMENTS) -> Fragments:
    """Take a molecule apart.

    Parameters
    ----------
    molecule : rdkit.Chem.Mol
        Hydrogens that are atoms of the graph (deuterium, say) count as heavy atoms. The parts of a
        salt are fragments of depth 0.
    max_depth : int
        Most steps.
    max_fragments : int
        Where the search stops, in the middle of a step if need be.

    Raises
    ------
    ParseError
        If an atom is of an isotope or element without a known mass, or if there is none.
    """
    graph = _graph(molecule)
    known, table = _start(graph, max_fragments)
    bounds = [0, len(graph.parts)]
    for _ in range(max_depth):
        newest = slice(*bounds[-2:])
        costs = _rim(_members(known[newest], graph.n_atoms), graph) @ graph.bond_weights
        rows = newest.start + np.argsort(costs, kind="stable")
        bounds.append(split_each(known, bounds[-1], table, rows, *graph.adjacency))
    depth = np.repeat(np.arange(len(bounds) - 1, dtype=np.int8), np.diff(bounds))
    return _described(_members(known[: bounds[-1]], graph.n_atoms), depth, graph)


@dataclass(frozen=True, eq=False)
class _Graph:
    """A molecule as arrays: `parts` are its connected sets of atoms, `adjacency` is for `split_each`."""

    n_atoms: int
    parts: tuple[tuple[int, ...], ...]
    elements: tuple[str, ...]
    atom_counts: NDArray[np.float32]
    electrons: NDArray[np.float32]
    bond_ends: NDArray[np.int32]
    bond_weights: NDArray[np.float64]
    adjacency: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


def _graph(molecule: Chem.Mol) -> _Graph:
    """The arrays of a molecule; `atom_counts` holds an atom and its hydrogens by element."""
    symbols = [_symbol(atom) for atom in molecule.GetAtoms()]
    if not symbols:
        raise ParseError("A molecule without atoms has no fragments.")
    elements = ("H", *sorted(set(symbols) - {"H"}))
    atom_counts = np.zeros((len(symbols), len(elements)), np.float32)
    for row, (symbol, atom) in enumerate(zip(symbols, molecule.GetAtoms(), strict=True)):
        atom_counts[row, elements.index(symbol)] += 1
        atom_counts[row, 0] += atom.GetTotalNumHs()
    bonds = list(molecule.GetBonds())
    ends = np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds], np.int32).reshape(
        -1, 2
    )
    return _Graph(
        len(symbols),
        Chem.GetMolFrags(molecule),
        elements,
        atom_counts,
        np.array([a.GetAtomicNum() + a.GetTotalNumHs() for a in molecule.GetAtoms()], np.float32),
        ends,
        np.array([_weight(bond) for bond in bonds]),
        _adjacency(ends, len(symbols)),
    )


def _symbol(atom: Chem.Atom) -> str:
    """Element or named isotope; an error where its mass is not known."""
    isotope = atom.GetIsotope()
    symbol = f"[{isotope}{atom.GetSymbol()}]" if isotope else atom.GetSymbol()
    if symbol not in ATOM_MASSES:
        raise ParseError(f"The atom {symbol} has no known mass.", "Leave the molecule out.")
    return symbol


def _weight(bond: Chem.Bond) -> float:
    """What breaking a bond costs; orders that MAGMa does not name cost as much as a single bond."""
    has_heteroatom = bond.GetBeginAtom().GetAtomicNum() != 6 or bond.GetEndAtom().GetAtomicNum() != 6
    return _ORDER_WEIGHTS.get(bond.GetBondType(), 1.0) * (_HETEROATOM_FACTOR if has_heteroatom else 1.0)


def _adjacency(
    ends: NDArray[np.int32], n_atoms: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Where each atom's neighbours begin, the neighbours, and the bonds to them."""
    here, there = ends.T.ravel(), ends[:, ::-1].T.ravel()
    order = np.argsort(here, kind="stable")
    first = np.searchsorted(here[order], np.arange(n_atoms + 1)).astype(np.int32)
    return first, there[order], np.tile(np.arange(len(ends), dtype=np.int32), 2)[order]


def _start(graph: _Graph, max_fragments: int) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Room for the sets of atoms and their hash table, with the molecule's parts filled in."""
    n_rows = max(max_fragments, len(graph.parts)) + 2
    known = np.zeros((n_rows, (graph.n_atoms + 63) // 64), np.uint64)
    for row, part in enumerate(graph.parts):
        for atom in part:
            known[row, atom >> 6] |= np.uint64(1 << (atom & 63))
    return known, np.full(1 << (2 * n_rows).bit_length(), -1, np.int32)


def _members(known: NDArray[np.uint64], n_atoms: int) -> NDArray[np.bool_]:
    """Sets of atoms as rows of booleans."""
    octets = known.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, axis=1, count=n_atoms, bitorder="little").view(np.bool_)


def _rim(member: NDArray[np.bool_], graph: _Graph) -> NDArray[np.bool_]:
    """Which bonds (columns) have one end in a fragment (rows) and the other outside."""
    return member[:, graph.bond_ends[:, 0]] != member[:, graph.bond_ends[:, 1]]


def _described(member: NDArray[np.bool_], depth: NDArray[np.int8], graph: _Graph) -> Fragments:
    holds = member.astype(np.float32)
    counts = (holds @ graph.atom_counts).astype(np.int32)
    rim = _rim(member, graph).astype(np.float32)
    return Fragments(
        graph.elements,
        member,
        counts,
        counts @ np.array([ATOM_MASSES[element] for element in graph.elements]),
        (holds @ graph.electrons).astype(np.int32),
        depth,
        rim.sum(axis=1).astype(np.int32),
        (rim @ graph.bond_weights.astype(np.float32)).astype(np.float64),
    )
