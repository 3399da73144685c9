"""The peak table in closed form: ridge regression from binned spectra to places of their molecules.

Spectra that a table was fitted on look better understood than new ones will. While the rest of the
network learns, each spectrum is therefore looked up in a table that was fitted without its molecule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.linalg import solve

from specsearch.encoder.config import EncoderConfig
from specsearch.encoder.peak_table import PeakTable, entries
from specsearch.encoder.tokens import TokenInput, collate
from specsearch.encoder.training.examples import Examples
from specsearch.encoder.training.state import load_state, prefixed, save_state, under

_BLOCK = 512
_PER_MOLECULE = 5  # spectra; more of one molecule say little new, and the solution costs the cube
_N_FOLDS = 5
_RIDGE = 1.0
_SEED = 0


@dataclass(frozen=True, eq=False)
class Tables:
    """A table fitted on all molecules, and one for each fold of them, fitted on the others.

    Parameters
    ----------
    full : PeakTable
    without : list of PeakTable
    fold : numpy.ndarray of shape (n_molecules,), int64
        Which of `without` has not seen a molecule.
    """

    full: PeakTable
    without: list[PeakTable]
    fold: NDArray[np.int64]

    def recall(self, views: Sequence[TokenInput], molecule: NDArray[np.int64]) -> torch.Tensor:
        """What tables that have not seen their molecules say of some views, shape (n_views, size)."""
        fold = self.fold[molecule]
        out = torch.empty(len(views), self.full.vectors.shape[1])
        for number in np.unique(fold):
            rows = np.flatnonzero(fold == number)
            batch = collate([views[row] for row in rows.tolist()])
            with torch.inference_mode():
                out[torch.from_numpy(rows)] = self.without[number](batch)
        return out

    def save(self, path: Path, config: EncoderConfig) -> None:
        """Write all tables to one file, under its digest."""
        tables = {"full": self.full, **{str(number): table for number, table in enumerate(self.without)}}
        tensors = {"fold": torch.from_numpy(self.fold)}
        for name, table in tables.items():
            tensors |= prefixed(name, table.state_dict())
        save_state(path, config, tensors, {"n_folds": len(self.without)})

    @classmethod
    def load(cls, path: Path) -> Tables:
        """Read what `save` wrote.

        Raises
        ------
        TrainingError
            If the file is damaged.
        """
        tensors, facts = load_state(path)
        without = [_table(under(str(number), tensors)) for number in range(facts["n_folds"])]
        return cls(_table(under("full", tensors)), without, tensors["fold"].numpy())


def fit_tables(
    train: Examples, places: NDArray[np.float32], molecules: NDArray[np.int64], n_bins: int
) -> Tables:
    """Fit the tables.

    Parameters
    ----------
    train : Examples
    places : numpy.ndarray of shape (n_known, size), float32
        Where molecules stand in structure space, unit rows.
    molecules : numpy.ndarray of shape (n_known,), int64
        Ascending rows in `train` of those molecules; spectra of others are not used.
    n_bins : int
        The bins of most molecules are kept.
    """
    generator = np.random.default_rng(_SEED)
    bins = _common_bins(train, n_bins)
    spectra = train.spectra_of()
    rows = np.concatenate([generator.permutation(spectra[m])[:_PER_MOLECULE] for m in molecules])
    molecule = train.molecule[rows]
    known = np.searchsorted(molecules, molecule)
    binned = _binned([train.inputs[row] for row in rows], bins)
    similarity = np.asarray((binned @ binned.T).todense())
    # Molecules weigh alike, however many spectra of them there are.
    noise = _RIDGE * np.bincount(known)[known].astype(np.float32)
    fold = generator.permutation(len(train.inchikey14)) % _N_FOLDS

    def fit(used: NDArray[np.int64]) -> PeakTable:
        system = similarity[np.ix_(used, used)]
        system[np.diag_indices_from(system)] += noise[used]
        weights = solve(system, places[known[used]], assume_a="pos", overwrite_a=True)
        vectors = torch.from_numpy(binned[used].T @ weights).float()
        return _table({"bins": torch.from_numpy(bins), "vectors": vectors})

    everything = np.arange(len(rows))
    without = [fit(np.flatnonzero(fold[molecule] != number)) for number in range(_N_FOLDS)]
    return Tables(fit(everything), without, fold)


def _common_bins(train: Examples, n_bins: int) -> NDArray[np.int32]:
    """The bins of most molecules, ascending; filled up with numbers that no peak has."""
    pairs = [
        np.unique(found.astype(np.int64) << 32 | train.molecule[rows[row]])
        for rows, row, found, _ in _entries(train.inputs)
    ]
    bins, n_molecules = np.unique(np.unique(np.concatenate(pairs)) >> 32, return_counts=True)
    kept = bins[np.argsort(-n_molecules, kind="stable")[:n_bins]]
    unused = np.arange(np.iinfo(np.int32).max - n_bins + len(kept), np.iinfo(np.int32).max)
    return np.concatenate([np.sort(kept), unused]).astype(np.int32)


def _entries(
    inputs: Sequence[TokenInput],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]]:
    """Block by block: rows of its spectra; then of each entry the spectrum within, bin and weight."""
    order = np.argsort([item.n_tokens for item in inputs], kind="stable")
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        bins, weight = (part.numpy() for part in entries(collate([inputs[row] for row in rows])))
        spectrum, place = np.nonzero(weight)
        yield rows, spectrum, bins[spectrum, place], weight[spectrum, place]


def _binned(inputs: Sequence[TokenInput], bins: NDArray[np.int32]) -> sp.csr_matrix:
    """Weights by spectrum and bin, shape (n_spectra, n_bins)."""
    row, column, value = [], [], []
    for rows, spectrum, found, weight in _entries(inputs):
        place = np.minimum(np.searchsorted(bins, found), len(bins) - 1)
        is_known = bins[place] == found
        row.append(rows[spectrum[is_known]])
        column.append(place[is_known])
        value.append(weight[is_known])
    parts = np.concatenate(value), (np.concatenate(row), np.concatenate(column))
    return sp.csr_matrix(parts, shape=(len(inputs), len(bins)), dtype=np.float32)


def _table(tensors: Mapping[str, torch.Tensor]) -> PeakTable:
    table = PeakTable(*tensors["vectors"].shape)
    table.load_state_dict(tensors)
    return table
