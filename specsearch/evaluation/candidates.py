"""Pools of candidate molecules: everything in a bank that weighs what the query's precursor says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import DEFAULT_MORGAN, unpack_bits
from specsearch.chemistry.structures import parse_structure
from specsearch.chemistry.tolerance import Tolerance, mass_error_ppm
from specsearch.evaluation.bank import Bank, packed_fingerprints
from specsearch.evaluation.progress import Progress, silent
from specsearch.evaluation.splits import Split

WINDOW = Tolerance(10.0, "ppm")


@dataclass(frozen=True, eq=False)
class Pools:
    """The candidates of each query, laid end to end: pool i belongs to query i.

    Parameters
    ----------
    start : numpy.ndarray of shape (n_pools,), int64
        First candidate of each pool; none is empty.
    candidate : numpy.ndarray of shape (n_candidates,), int64
        Row in `packed` of each candidate's molecule.
    truth : numpy.ndarray of shape (n_pools,), int64
        Where in `candidate` the true molecule of each query stands.
    mass_error_ppm : numpy.ndarray of shape (n_candidates,)
        The query's neutral mass against the candidate's, signed.
    packed : numpy.ndarray of shape (n_molecules, n_bytes), uint8
        Fingerprints.
    is_added : numpy.ndarray of shape (n_pools,), bool
        Whether the bank lacks the true molecule within the window, so that it was put in.
    n_unreadable : int
        Molecules of the bank that were left out because RDKit refuses their SMILES.
    smiles : numpy.ndarray of shape (n_molecules,), object
        As the bank writes them; empty where nobody asks for structures.
    """

    start: NDArray[np.int64]
    candidate: NDArray[np.int64]
    truth: NDArray[np.int64]
    mass_error_ppm: NDArray[np.float64]
    packed: NDArray[np.uint8]
    is_added: NDArray[np.bool_]
    n_unreadable: int = 0
    smiles: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, dtype=object))

    def __len__(self) -> int:
        return len(self.start)

    @property
    def size(self) -> NDArray[np.int64]:
        """Candidates of each pool, the truth included."""
        return np.diff(self.start, append=len(self.candidate))

    def rows(self, pool: int) -> slice:
        """The candidates of one pool."""
        stop = self.start[pool + 1] if pool + 1 < len(self) else len(self.candidate)
        return slice(int(self.start[pool]), int(stop))

    def bits(self, pool: int) -> NDArray[np.uint8]:
        """Fingerprints of one pool's candidates, shape (pool_size, n_bits)."""
        return unpack_bits(self.packed[self.candidate[self.rows(pool)]], DEFAULT_MORGAN.n_bits)

    def describe(self) -> dict[str, float]:
        """How hard the task is, ready for JSON: a hit rate means nothing without it."""
        size = self.size
        return {
            "pools": len(self),
            "median_size": float(np.median(size)),
            "p95_size": float(np.percentile(size, 95)),
            "largest_size": int(size.max()),
            "of_the_truth_alone": int((size == 1).sum()),
            "truth_added": int(self.is_added.sum()),
            "molecules": len(self.packed),
            "unreadable_molecules": self.n_unreadable,
        }


def candidate_pools(
    split: Split,
    bank: Bank,
    tolerance: Tolerance = WINDOW,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Pools:
    """The pool of each spectrum of a split.

    A pool holds every molecule of the bank within `tolerance` of the neutral mass that the measured
    precursor and the adduct say, and the true molecule. Molecules are told apart by the first block of
    their InChIKey. Where the bank has the true molecule it stands there as the bank writes it, so that
    no way of writing gives it away; where the bank lacks it, it stands first in its pool.

    Parameters
    ----------
    split : Split
    bank : Bank
    tolerance : Tolerance
    cache : Path, optional
        Folder where fingerprints are kept.
    progress : Progress

    Raises
    ------
    ParseError
        If the SMILES of a true molecule that the bank lacks cannot be read.
    """
    molecule, names = split.examples.molecule, np.array(split.examples.inchikey14)
    found = bank.within(split.neutral_mass, tolerance)
    is_true = [bank.inchikey14[rows] == names[m] for rows, m in zip(found, molecule, strict=True)]
    is_added = np.array([not true.any() for true in is_true])
    # Molecules are numbered: the bank's rows, then those of the split that had to be put in.
    added = np.unique(molecule[is_added])
    own = [
        np.concatenate(([len(bank) + np.searchsorted(added, m)], rows)) if is_absent else rows
        for rows, m, is_absent in zip(found, molecule, is_added, strict=True)
    ]
    place = [0 if absent else int(true.argmax()) for true, absent in zip(is_true, is_added, strict=True)]
    used, candidate = np.unique(np.concatenate(own), return_inverse=True)
    own_smiles = np.array([split.smiles[m] for m in added], dtype=object)
    own_mass = np.array([parse_structure(text).exact_mass for text in own_smiles], dtype=np.float64)
    smiles = np.concatenate([bank.smiles, own_smiles])[used]
    mass = np.concatenate([bank.exact_mass, own_mass])[used]
    start = np.cumsum([0, *map(len, own[:-1])])
    pools = Pools(
        start,
        candidate,
        start + np.array(place),
        mass_error_ppm(np.repeat(split.neutral_mass, [len(rows) for rows in own]), mass[candidate]),
        packed_fingerprints(smiles.tolist(), cache, progress),
        is_added,
        smiles=smiles,
    )
    return _readable(pools)


def _readable(pools: Pools) -> Pools:
    """The pools without the molecules that have no fingerprint; the truth stays in any case."""
    has_bits: NDArray[np.bool_] = np.asarray(pools.packed.any(axis=1))
    if has_bits.all():
        return pools
    kept = has_bits[pools.candidate]
    kept[pools.truth] = True
    before = np.concatenate(([0], np.cumsum(kept)))
    return Pools(
        before[pools.start],
        pools.candidate[kept],
        before[pools.truth],
        pools.mass_error_ppm[kept],
        pools.packed,
        pools.is_added,
        int((~has_bits).sum()),
        pools.smiles,
    )
