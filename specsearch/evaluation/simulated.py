"""A sample of simulated spectra, for a demonstration where there is no data. No measurement is in it.

The rule, for a protonated molecule ([M+H]+):

- One single bond outside rings is broken, or two of them, or two bonds of one ring. Every piece of at
  least two heavy atoms that holds a nitrogen, an oxygen or a sulfur gives two ions.
- An ion of a piece with k broken bonds carries ``1 - k`` hydrogens more than the piece (the bond's
  electrons stay behind) or ``3 - k`` (hydrogens come along, and a proton), less an electron: closed shells.
- Its abundance is the product, over the bonds broken in the molecule, of 1 for a chain bond to N, O, S or
  a halogen, 0.3 for another chain bond, 0.15 for a ring bond; times the share of the molecule's N, O and
  S it keeps, which hold the proton; times the energy for each bond; halved for ``1 - k``. The whole ion
  has abundance 1.
- The 30 most abundant ions above m/z 40 are kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from rdkit import Chem

from specsearch.chemistry.masses import ATOM_MASSES, ELECTRON_MASS, HYDROGEN_MASS
from specsearch.chemistry.structures import parse_molecule, parse_structure
from specsearch.evaluation.well_known import MOLECULES
from specsearch.spectra.spectrum import Spectrum

SIMULATED: Final = "SIMULATED"
_ENERGIES: Final = {"low": 0.5, "high": 2.0}
_QUERY_ENERGY: Final = 1.0
_KNOWN_QUERIES: Final = ("caffeine", "diazepam", "metoprolol")
_NEW_QUERIES: Final = ("codeine", "sulfamethazine")
_PROTON_HOLDERS: Final = frozenset({"N", "O", "S"})
_WEAK: Final = frozenset({"N", "O", "S", "F", "Cl", "Br", "I"})
_HETERO_CHAIN, _CARBON_CHAIN, _RING = 1.0, 0.3, 0.15
_N_IONS, _LOWEST_MZ = 30, 40.0
_HYDROGEN_WEIGHTS: Final = (0.5, 1.0)  # of 1 - k and of 3 - k


@dataclass(frozen=True, eq=False)
class Sample:
    """A small library and queries for it.

    Parameters
    ----------
    library : list of Spectrum
        Two energies of each molecule.
    queries : list of Spectrum
        At an energy in between, with noise; the molecules of the last two are not in the library.
    """

    library: list[Spectrum]
    queries: list[Spectrum]


def simulated_sample() -> Sample:
    """The sample: the same at every call."""
    library = [
        simulate(name, energy_name, energy)
        for name in MOLECULES
        if name not in _NEW_QUERIES
        for energy_name, energy in _ENERGIES.items()
    ]
    queries = [with_noise(simulate(n, "query", _QUERY_ENERGY)) for n in (*_KNOWN_QUERIES, *_NEW_QUERIES)]
    return Sample(library, queries)


def simulate(name: str, energy_name: str, energy: float) -> Spectrum:
    """The simulated [M+H]+ spectrum of one of `MOLECULES`.

    Parameters
    ----------
    name : str
    energy_name : str
        Becomes part of the accession.
    energy : float
        Factor on the abundance of an ion for each broken bond.
    """
    structure = parse_structure(MOLECULES[name])
    ions = _ions(parse_molecule(structure.smiles), energy)
    best = sorted(sorted(ions, key=lambda mz: (-ions[mz], mz))[:_N_IONS])
    return Spectrum.checked(
        best,
        [1000.0 * ions[mz] for mz in best],
        accession=f"{SIMULATED}-{name.replace(' ', '-')}-{energy_name}",
        precursor_mz=structure.exact_mass + HYDROGEN_MASS - ELECTRON_MASS,
        charge=1,
        adduct="[M+H]+",
        metadata={
            "compound_name": f"{name} ({SIMULATED})",
            "smiles": structure.smiles,
            "inchikey": structure.inchikey,
            "formula": structure.formula,
            "exact_mass": f"{structure.exact_mass:.6f}",
            "ionmode": "positive",
            "instrument_type": SIMULATED,
            "comment": "simulated by breaking bonds; not a measurement",
        },
    )


def with_noise(spectrum: Spectrum) -> Spectrum:
    """A noisy copy: m/z off by 3 ppm, intensities by a factor of e**0.4, a fifth of the peaks lost, 5 new."""
    generator = np.random.default_rng(zlib.crc32(spectrum.accession.encode()))
    kept = generator.random(len(spectrum)) < 0.8
    kept[np.argmax(spectrum.intensity)] = True
    mz = spectrum.mz[kept] * (1 + 3e-6 * generator.standard_normal(kept.sum()))
    intensity = spectrum.intensity[kept] * np.exp(0.4 * generator.standard_normal(kept.sum()))
    noise_mz = generator.uniform(_LOWEST_MZ, float(spectrum.mz[-1]), 5)
    noise = generator.uniform(0.005, 0.03, 5) * intensity.max()
    return Spectrum.checked(
        np.concatenate([mz, noise_mz]),
        np.concatenate([intensity, noise]),
        accession=spectrum.accession,
        precursor_mz=spectrum.precursor_mz,
        charge=spectrum.charge,
        adduct=spectrum.adduct,
        metadata=spectrum.metadata,
    )


def _ions(molecule: Chem.Mol, energy: float) -> dict[float, float]:
    """Abundance of each ion by m/z; ions of the same composition are one."""
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    n_hydrogens = [atom.GetTotalNumHs() for atom in molecule.GetAtoms()]
    mass = [ATOM_MASSES[s] + n * HYDROGEN_MASS for s, n in zip(symbols, n_hydrogens, strict=True)]
    n_holders = sum(symbol in _PROTON_HOLDERS for symbol in symbols)
    ions = {round(sum(mass) + HYDROGEN_MASS - ELECTRON_MASS, 6): 1.0}
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    for bonds, strength in _cuts(molecule):
        for piece in Chem.GetMolFrags(Chem.FragmentOnBonds(molecule, bonds, addDummies=False)):
            if not 2 <= len(piece) < len(symbols):
                continue
            n_broken = sum(atom in piece for bond in bonds for atom in ends[bond])
            held = sum(symbols[atom] in _PROTON_HOLDERS for atom in piece)
            if not held:
                continue
            abundance = strength * energy ** len(bonds) * held / n_holders
            for extra, weight in zip((1 - n_broken, 3 - n_broken), _HYDROGEN_WEIGHTS, strict=True):
                mz = round(sum(mass[a] for a in piece) + extra * HYDROGEN_MASS - ELECTRON_MASS, 6)
                if mz >= _LOWEST_MZ and sum(n_hydrogens[a] for a in piece) + extra >= 0:
                    ions[mz] = ions.get(mz, 0.0) + weight * abundance
    return ions


def _cuts(molecule: Chem.Mol) -> Iterator[tuple[tuple[int, ...], float]]:
    """Sets of bonds to break, each with the product of its bonds' abundances."""
    chain = {
        bond.GetIdx(): _chain_strength(bond)
        for bond in molecule.GetBonds()
        if not bond.IsInRing() and bond.GetBondType() == Chem.BondType.SINGLE
    }
    for bond, strength in chain.items():
        yield (bond,), strength
    for one, other in combinations(chain, 2):
        yield (one, other), chain[one] * chain[other]
    pairs = {pair for ring in molecule.GetRingInfo().BondRings() for pair in combinations(sorted(ring), 2)}
    for pair in sorted(pairs):
        yield pair, _RING**2


def _chain_strength(bond: Chem.Bond) -> float:
    symbols = {bond.GetBeginAtom().GetSymbol(), bond.GetEndAtom().GetSymbol()}
    return _HETERO_CHAIN if symbols & _WEAK else _CARBON_CHAIN
