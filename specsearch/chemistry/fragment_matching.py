"""Which peaks of a spectrum a molecule's fragments explain.

The mass of an ion is that of the fragment's atoms plus the carrier of its charge, plus or minus some
hydrogens: as many for each bond broken as the caller grants. Of all ions within the tolerance a peak takes
the one that costs least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import GetPeriodicTable

from specsearch.chemistry.adducts import Adduct, parse_adduct
from specsearch.chemistry.fragments import Fragments
from specsearch.chemistry.masses import ATOM_MASSES, HYDROGEN_MASS, Formula
from specsearch.chemistry.tolerance import Tolerance, mass_error_ppm

# Of six pairs (hydrogen 0 to 0.5, radical 0 to 1) and four decays (0.1 to 0.5), those that ranked 85
# molecules of the MassBank train split best among others of their mass; the choice is not critical.
_HYDROGEN_COST = 0.5  # for each hydrogen that moved
_RADICAL_COST = 0.5
_DECAY = 0.5  # a peak counts exp(-0.5 cost)

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Explanation:
    """The best fragment for each peak of a spectrum.

    Parameters
    ----------
    fragments : Fragments
        What `fragment` counts in.
    carriers : tuple of Adduct
        What `carrier` counts in.
    intensity : numpy.ndarray of shape (n_peaks,), float64
        As given.
    fragment : numpy.ndarray of shape (n_peaks,), int64
        Row of the fragment; -1 where nothing explains the peak.
    carrier : numpy.ndarray of shape (n_peaks,), int64
        What charges the fragment; -1 where nothing explains the peak.
    hydrogens : numpy.ndarray of shape (n_peaks,), int64
        Hydrogens gained (or lost, below 0) beyond those of fragment and carrier; 0 where unexplained.
    cost : numpy.ndarray of shape (n_peaks,), float64
        Breaking score plus what hydrogens and unpaired electrons cost; infinite where unexplained.
    mass_error_ppm : numpy.ndarray of shape (n_peaks,), float64
        Signed error of the peak against the ion; NaN where unexplained.
    """

    fragments: Fragments
    carriers: tuple[Adduct, ...]
    intensity: NDArray[np.float64]
    fragment: NDArray[np.int64]
    carrier: NDArray[np.int64]
    hydrogens: NDArray[np.int64]
    cost: NDArray[np.float64]
    mass_error_ppm: NDArray[np.float64]

    @property
    def explained(self) -> NDArray[np.bool_]:
        """Which peaks have a fragment, shape (n_peaks,)."""
        return self.fragment >= 0

    @property
    def explained_intensity(self) -> float:
        """Share of the intensity that explained peaks hold, 0 to 1."""
        total = self.intensity.sum()
        return float(self.intensity[self.explained].sum() / total) if total > 0 else 0.0

    @property
    def score(self) -> float:
        """How well and how cheaply the molecule explains the spectrum, 0 to 1; for ranking candidates.

        The mean of exp(-cost / 2) over the peaks, weighted by the square root of their intensity.
        """
        weight = np.sqrt(self.intensity)
        total = weight.sum()
        return float((weight * np.exp(-_DECAY * self.cost)).sum() / total) if total > 0 else 0.0

    def atoms(self, peak: int) -> tuple[int, ...]:
        """Indices of the heavy atoms behind a peak; empty where nothing explains it."""
        row = self.fragment[peak]
        return tuple(np.flatnonzero(self.fragments.member[row]).tolist()) if row >= 0 else ()

    def formula(self, peak: int) -> Formula | None:
        """Atoms and charge of the ion behind a peak; None where nothing explains it."""
        row = self.fragment[peak]
        if row < 0:
            return None
        carrier = self.carriers[self.carrier[peak]]
        counts = dict(zip(self.fragments.elements, self.fragments.counts[row].tolist(), strict=True))
        counts["H"] += int(self.hydrogens[peak])
        for symbol, n_atoms in carrier.groups:
            counts[symbol] = counts.get(symbol, 0) + n_atoms
        return Formula({symbol: n for symbol, n in counts.items() if n}, carrier.charge)


def fragment_carriers(adduct: Adduct) -> tuple[Adduct, ...]:
    """What may charge the fragments of an ion.

    A proton gained or lost; and the adduct itself where single atoms were added, such as sodium or two
    protons, for solvents and ammonia leave first. ``[M]+`` and ``[M]-`` stay as they are: the charge sits on
    an atom of the molecule.
    """
    if not adduct.groups:
        return (adduct,)
    plain = parse_adduct("[M+H]+" if adduct.charge > 0 else "[M-H]-")
    stays = all(name == "H" or (name in ATOM_MASSES and n > 0) for name, n in adduct.groups)
    return (adduct, plain) if stays and adduct.n_molecules == 1 and adduct != plain else (plain,)


def match_fragments(
    fragments: Fragments,
    mz: NDArray[np.float64],
    intensity: NDArray[np.float64],
    adduct: Adduct,
    tolerance: Tolerance,
    max_hydrogens: int = 1,
) -> Explanation:
    """Find the cheapest fragment for each peak; of equally cheap ones, that with the smallest mass error.

    Parameters
    ----------
    fragments : Fragments
        Those of one molecule.
    mz, intensity : numpy.ndarray of shape (n_peaks,), float64
        Peaks in any order.
    adduct : Adduct
        That of the precursor; `fragment_carriers` says what follows for the fragments.
    tolerance : Tolerance
        Around the peak's m/z.
    max_hydrogens : int
        Hydrogens that may move for each bond broken.
    """
    carriers = fragment_carriers(adduct)
    found = [
        _ions_near(fragments, mz, number, carrier, tolerance, max_hydrogens)
        for number, carrier in enumerate(carriers)
    ]
    peak, row, which, hydrogens, cost, error = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((row, np.abs(error), cost, peak))
    explained, first = np.unique(peak[order], return_index=True)
    best = order[first]
    return Explanation(
        fragments,
        carriers,
        intensity,
        _spread(row[best], explained, len(mz), -1),
        _spread(which[best], explained, len(mz), -1),
        _spread(hydrogens[best], explained, len(mz), 0),
        _spread(cost[best], explained, len(mz), np.inf),
        _spread(error[best], explained, len(mz), np.nan),
    )


def _ions_near(
    fragments: Fragments,
    mz: NDArray[np.float64],
    number: int,
    carrier: Adduct,
    tolerance: Tolerance,
    max_hydrogens: int,
) -> tuple[NDArray[np.generic], ...]:
    """Every pair of a peak and an ion of one carrier: peak, fragment, carrier, hydrogens, cost, error."""
    by_mass = np.argsort(fragments.mass, kind="stable")
    mass, size, most = fragments.mass[by_mass], abs(carrier.charge), max_hydrogens * fragments.n_bonds
    shifts = np.arange(-most.max(), most.max() + 1)
    low, high = (
        np.subtract.outer(edge * size - carrier.mass_shift, shifts * HYDROGEN_MASS).ravel()
        for edge in tolerance.window(mz)
    )
    start, stop = np.searchsorted(mass, low, "left"), np.searchsorted(mass, high, "right")
    n_near = stop - start
    pair = np.repeat(np.arange(len(n_near)), n_near)
    row = by_mass[np.arange(len(pair)) + np.repeat(stop - np.cumsum(n_near), n_near)]
    peak, hydrogens = pair // len(shifts), shifts[pair % len(shifts)]
    moved = np.abs(hydrogens)
    carried = dict(carrier.groups)
    possible = (moved <= most[row]) & (fragments.counts[row, 0] + hydrogens + carried.get("H", 0) >= 0)
    peak, row, hydrogens, moved = peak[possible], row[possible], hydrogens[possible], moved[possible]
    is_radical = (fragments.n_electrons[row] + hydrogens + _n_electrons(carrier)) % 2
    cost = fragments.breaking_score[row] + _HYDROGEN_COST * moved + _RADICAL_COST * is_radical
    ion_mz = (fragments.mass[row] + hydrogens * HYDROGEN_MASS + carrier.mass_shift) / size
    return peak, row, np.full(len(row), number), hydrogens, cost, mass_error_ppm(mz[peak], ion_mz)


def _n_electrons(carrier: Adduct) -> int:
    """Electrons a carrier adds; below 0 where it takes some away."""
    table = GetPeriodicTable()
    return sum(table.GetAtomicNumber(symbol) * n for symbol, n in carrier.groups) - carrier.charge


def _spread(values: NDArray[T], places: NDArray[np.int64], size: int, default: float) -> NDArray[T]:
    """`values` at their places in an array of `size`, `default` everywhere else."""
    spread = np.full(size, default, dtype=values.dtype)
    spread[places] = values
    return spread
