"""Taking a molecular graph apart: every way to split a connected set of atoms by one or two bonds.

A set of atoms is a row of 64-bit words, atom i being bit ``i % 64`` of word ``i // 64``. Cuts are found by
labels from the cycle space (Pritchard and Thurimella, ACM Transactions on Algorithms 7, 46 (2011)):
every bond outside a spanning tree gets a 64-bit number, and every tree bond the XOR of the numbers
of the rings through it. A bond labelled 0 lies in no ring and splits the set alone; two bonds with one label
split it together, and two bonds always do so within one ring. Two labels are equal by accident with a
probability of about 2^-64.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Multipliers of the SplitMix64 generator (Steele, Lea and Flood, OOPSLA 2014).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


@njit(cache=True)
def _mixed(value: np.uint64) -> np.uint64:
    """SplitMix64: the number of a bond as one random-looking word."""
    value = (value + np.uint64(1)) * _GAMMA
    value = (value ^ (value >> np.uint64(30))) * _MIX_A
    value = (value ^ (value >> np.uint64(27))) * _MIX_B
    return value ^ (value >> np.uint64(31))


@njit(cache=True)
def _holds(atoms: NDArray[np.uint64], atom: int) -> bool:
    return (atoms[atom >> 6] >> np.uint64(atom & 63)) & np.uint64(1) == np.uint64(1)


@njit(cache=True)
def _add(atoms: NDArray[np.uint64], known: NDArray[np.uint64], n_known: int, table: NDArray[np.int32]) -> int:
    """Append a set of atoms unless it is known already, and return how many are known then.

    `table` is an open-addressing hash table of rows of `known`, -1 where empty, its size a power of two.
    """
    key = np.uint64(0)
    for word in atoms:
        key = _mixed(key ^ word)
    place = key & np.uint64(table.size - 1)
    while table[place] >= 0:
        if (known[table[place]] == atoms).all():
            return n_known
        place = (place + np.uint64(1)) & np.uint64(table.size - 1)
    table[place] = n_known
    known[n_known] = atoms
    return n_known + 1


@njit(cache=True)
def _labelled_bonds(
    atoms: NDArray[np.uint64],
    first_neighbour: NDArray[np.int32],
    neighbours: NDArray[np.int32],
    bonds: NDArray[np.int32],
    labels: NDArray[np.uint64],
    sides: NDArray[np.uint64],
) -> int:
    """Fill in label and side of each bond within `atoms`, and return how many there are.

    The side of a tree bond is what hangs below it, that of any other bond is empty: the XOR of the
    sides of a cut's bonds is one of the two parts the cut makes.
    """
    n_atoms = first_neighbour.size - 1
    queue = np.empty(n_atoms, np.int32)
    parent = np.full(n_atoms, -1, np.int32)
    parent_bond = np.full(n_atoms, -1, np.int32)
    passed = np.zeros(n_atoms, np.bool_)
    label = np.zeros(n_atoms, np.uint64)
    below = np.zeros((n_atoms, atoms.size), np.uint64)
    root = 0
    while not _holds(atoms, root):
        root += 1
    queue[0], parent[root] = root, root
    n_queued, n_bonds, at = 1, 0, 0
    while at < n_queued:
        atom = queue[at]
        at += 1
        passed[atom] = True
        below[atom, atom >> 6] |= np.uint64(1) << np.uint64(atom & 63)
        for slot in range(first_neighbour[atom], first_neighbour[atom + 1]):
            other, bond = neighbours[slot], bonds[slot]
            if not _holds(atoms, other) or passed[other]:
                continue
            if parent[other] < 0:
                parent[other], parent_bond[other] = atom, bond
                queue[n_queued] = other
                n_queued += 1
            else:
                labels[n_bonds], sides[n_bonds] = _mixed(np.uint64(bond)), np.uint64(0)
                label[atom] ^= labels[n_bonds]
                label[other] ^= labels[n_bonds]
                n_bonds += 1
    for position in range(n_queued - 1, 0, -1):
        atom = queue[position]
        labels[n_bonds], sides[n_bonds] = label[atom], below[atom]
        n_bonds += 1
        label[parent[atom]] ^= label[atom]
        below[parent[atom]] |= below[atom]
    return n_bonds


@njit(cache=True)
def split_each(
    known: NDArray[np.uint64],
    n_known: int,
    table: NDArray[np.int32],
    rows: NDArray[np.int64],
    first_neighbour: NDArray[np.int32],
    neighbours: NDArray[np.int32],
    bonds: NDArray[np.int32],
) -> int:
    """Split some known sets of atoms in every way, and append the parts not known yet.

    Parameters
    ----------
    known : numpy.ndarray of shape (max_fragments + 2, n_words), uint64
        Connected sets of atoms, changed in place; the last two rows are room for one cut too many.
    n_known : int
        How many of its rows are in use.
    table : numpy.ndarray of shape (a power of two,), int32
        Hash table of `known`, changed in place.
    rows : numpy.ndarray of shape (n_rows,), int64
        The sets to split, in this order, until `known` is full.
    first_neighbour, neighbours, bonds : numpy.ndarray, int32
        The graph: neighbours of atom i, and the bonds to them, stand at ``first_neighbour[i]`` and on.

    Returns
    -------
    int
        How many rows are in use now.
    """
    labels = np.empty(neighbours.size // 2, np.uint64)
    sides = np.empty((neighbours.size // 2, known.shape[1]), np.uint64)
    max_known = known.shape[0] - 2
    for row in rows:
        if n_known >= max_known:
            return n_known
        n_bonds = _labelled_bonds(known[row], first_neighbour, neighbours, bonds, labels, sides)
        for i in range(n_bonds):
            is_alone = labels[i] == np.uint64(0)
            for j in range(i, i + 1 if is_alone else n_bonds):
                if not is_alone and (i == j or labels[i] != labels[j]):
                    continue
                part = sides[i] if is_alone else sides[i] ^ sides[j]
                n_known = _add(part, known, n_known, table)
                n_known = _add(part ^ known[row], known, n_known, table)
                if n_known >= max_known:
                    return min(n_known, max_known)
    return n_known
