"""MassSpecGym's candidate lists as pools: the one place where its structures are read.

However a SMILES is written, all that goes on from here is its InChIKey, its mass and its fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdkit import rdBase

from specsearch.chemistry.structures import parse_structure
from specsearch.chemistry.tolerance import mass_error_ppm
from specsearch.errors import ParseError
from specsearch.evaluation.bank import packed_fingerprints
from specsearch.evaluation.cache import kept_array
from specsearch.evaluation.candidates import Pools
from specsearch.evaluation.massspecgym import Candidates, Fold
from specsearch.evaluation.progress import Progress, silent, told

_MOLECULE = np.dtype([("inchikey14", "U14"), ("formula", "U64"), ("exact_mass", "f8")])


@dataclass(frozen=True, eq=False)
class Lists:
    """The candidate list of each spectrum.

    Parameters
    ----------
    given : Pools
        The lists in the file's order, with their repetitions; `truth` is the first true entry.
    is_true : numpy.ndarray of shape (n_candidates,), bool
        Whether an entry of `given` has the first block of the true InChIKey; a list may repeat it.
    kept : numpy.ndarray of shape (n_kept,), int64
        Entries of `given` that are the first in their list with their first block.
    has_formula_of_truth : float
        Share of the entries.
    """

    given: Pools
    is_true: NDArray[np.bool_]
    kept: NDArray[np.int64]
    has_formula_of_truth: float

    def deduplicated(self) -> Pools:
        """The lists with one entry for each first block."""
        given, kept = self.given, self.kept
        return replace(
            given,
            start=np.searchsorted(kept, given.start),
            candidate=given.candidate[kept],
            truth=np.searchsorted(kept, given.truth),
            mass_error_ppm=given.mass_error_ppm[kept],
        )

    def describe(self) -> dict[str, float]:
        """How hard the lists are and what their order gives away, ready for JSON."""
        return {
            **self.deduplicated().describe(),
            "repeated_entries": len(self.is_true) - len(self.kept),
            "truth_stands_first": float(np.mean(self.given.truth == self.given.start)),
            "has_formula_of_truth": self.has_formula_of_truth,
        }


def candidate_lists(
    fold: Fold, candidates: Candidates, cache: Path | None = None, progress: Progress = silent
) -> tuple[Fold, Lists]:
    """Read the candidates of a fold.

    Candidates that RDKit refuses are left out of their lists and counted.

    Parameters
    ----------
    fold : Fold
    candidates : mapping of str to sequence of str
        With a list for each of the fold's SMILES.
    cache : Path, optional
        Folder where names, masses and fingerprints are kept.
    progress : Progress

    Returns
    -------
    fold : Fold
        Without the spectra whose list lacks their molecule.
    lists : Lists
    """
    keys = list(dict.fromkeys(fold.smiles))
    texts = list(dict.fromkeys(chain.from_iterable(candidates[key] for key in keys)))
    number = {text: row for row, text in enumerate(texts)}
    molecules = _molecules(texts, cache, progress)
    packed = packed_fingerprints(texts, cache, progress)
    is_readable = (molecules["inchikey14"] != "") & packed.any(axis=1)
    own = {key: np.array([number[text] for text in candidates[key]], dtype=np.int64) for key in keys}
    own = {key: rows[is_readable[rows]] for key, rows in own.items()}
    names = molecules["inchikey14"]
    true_name = dict(zip(fold.smiles, (fold.inchikey14[m] for m in fold.molecule), strict=True))
    has_truth = {key: bool((names[rows] == true_name[key]).any()) for key, rows in own.items()}
    fold = fold.only(
        np.flatnonzero([has_truth[key] for key in fold.smiles]), "the list lacks the true molecule"
    )
    lists = _lists(fold, [own[key] for key in fold.smiles], molecules, packed)
    return fold, replace(lists, given=replace(lists.given, n_unreadable=int((~is_readable).sum())))


def _lists(
    fold: Fold, own: Sequence[NDArray[np.int64]], molecules: NDArray[np.void], packed: NDArray[np.uint8]
) -> Lists:
    """Lists laid end to end; each holds its truth."""
    size = np.array([len(rows) for rows in own], dtype=np.int64)
    start = np.concatenate(([0], np.cumsum(size)[:-1])).astype(np.int64)
    candidate = np.concatenate([*own, np.empty(0, dtype=np.int64)])
    # Numbers for names: millions of entries are too many texts.
    known, named = np.unique(molecules["inchikey14"], return_inverse=True)
    names, formula = named[candidate], np.unique(molecules["formula"], return_inverse=True)[1][candidate]
    is_true = names == np.repeat(np.searchsorted(known, fold.inchikey14)[fold.molecule], size)
    ends = list(zip(start, start + size, strict=True))
    truth = np.array([first + is_true[first:end].argmax() for first, end in ends], dtype=np.int64)
    kept = [first + np.sort(np.unique(names[first:end], return_index=True)[1]) for first, end in ends]
    error = mass_error_ppm(np.repeat(fold.neutral_mass, size), molecules["exact_mass"][candidate])
    given = Pools(start, candidate, truth, error, packed, np.zeros(len(size), dtype=bool))
    same = formula == np.repeat(formula[truth], size)
    return Lists(given, is_true, np.concatenate(kept), float(same.mean()))


def _molecules(smiles: Sequence[str], cache: Path | None, progress: Progress) -> NDArray[np.void]:
    """Name, formula and mass of each SMILES; without a name where RDKit refuses it."""
    content = "\n".join([rdBase.rdkitVersion, *smiles])
    name = f"molecules-{hashlib.sha256(content.encode()).hexdigest()[:32]}.npy"

    def make() -> NDArray[np.void]:
        rows = np.zeros(len(smiles), dtype=_MOLECULE)
        for row, text in enumerate(told(smiles, "names of candidates", progress)):
            try:
                structure = parse_structure(text)
            except ParseError:
                continue  # the caller counts and leaves it out
            rows[row] = (structure.inchikey14, structure.formula, structure.exact_mass)
        return rows

    return kept_array(None if cache is None else cache / name, make)
