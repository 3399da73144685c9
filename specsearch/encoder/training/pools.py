"""Spectra without number, a pool of them in memory at a time, and which of them are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.tokens import TokenInput, token_input
from specsearch.encoder.training.packed import PackedInputs
from specsearch.encoder.training.recipe import FoundationRecipe
from specsearch.errors import Skipped, TrainingError
from specsearch.spectra.readers.parquet import read_parquet
from specsearch.spectra.spectrum import Spectrum

_WINDOW_ROWS = 2048
_MIN_PEAKS = 3

Part = Literal["train", "val", ""]


class Table(NamedTuple):
    """A Parquet file of spectra, and how many rows it has."""

    path: Path
    n_rows: int


class Window(NamedTuple):
    """Rows ``start`` to ``stop`` of a table."""

    path: Path
    start: int
    stop: int


def part_of(spectrum: Spectrum, held_out: float) -> Part:
    """What a spectrum is used for: ``"train"``, ``"val"``, or nothing.

    A spectrum that says its split keeps to it, and one of a test split is not used. Of the others, the
    precursor m/z (to 0.01) decides by its hash: so spectra of one compound mostly stay together, and the
    answer does not depend on the file or the run.
    """
    if split := spectrum.metadata.get("split"):
        return "train" if split == "train" else "val" if split == "val" else ""
    mz = spectrum.precursor_mz or spectrum.mz[np.argmax(spectrum.intensity)]
    number = int.from_bytes(hashlib.blake2b(f"{mz:.2f}".encode(), digest_size=8).digest())
    return "val" if number < held_out * 2**64 else "train"


class Pools:
    """Batches of spectra from tables of any size.

    The tables are cut into windows; each epoch deals all windows anew into pools, and a pool in memory
    gives its batches before the next is read. Which spectra are in batch k depends on the tables, the seed
    and k only, and is found without reading any pool but its own.

    Parameters
    ----------
    tables : sequence of Table
    recipe : FoundationRecipe
        Its batch size, pool size, share held out and seed.
    on_skipped : callable
        Told about records left out, in the first epoch.
    """

    def __init__(
        self,
        tables: Sequence[Table],
        recipe: FoundationRecipe,
        on_skipped: Callable[[Skipped], None] = lambda skipped: None,
    ) -> None:
        self._windows = [
            Window(path, start, min(start + _WINDOW_ROWS, n_rows))
            for path, n_rows in tables
            for start in range(0, n_rows, _WINDOW_ROWS)
        ]
        self._n_rows = sum(table.n_rows for table in tables)
        if not self._n_rows:
            raise TrainingError("There are no spectra to train on.", "Name files with MS/MS spectra.")
        self._n_pools = -(-self._n_rows // recipe.pool_rows)
        self._batches_per_epoch = max(1, self._n_rows // recipe.n_spectra)
        self._n_spectra, self._held_out, self._seed = recipe.n_spectra, recipe.held_out, recipe.seed
        self._on_skipped = on_skipped
        self._dealt = lru_cache(maxsize=2)(self._deal)
        self._pool = lru_cache(maxsize=1)(self._read_pool)

    def draw(self, number: int) -> tuple[PackedInputs, NDArray[np.int64], np.random.Generator]:
        """The pool of a batch, the batch's rows in it, and the generator for their augmentation."""
        epoch, number_there = divmod(number, self._batches_per_epoch)
        _, first = self._dealt(epoch)
        place = int(np.searchsorted(first, number_there, side="right")) - 1
        pool, order = self._pool(epoch, place)
        turn = number_there - first[place]
        rows = order[(turn * self._n_spectra + np.arange(min(self._n_spectra, len(order)))) % len(order)]
        return pool, rows, np.random.default_rng((self._seed, number))

    def held_out(self, at_most: int) -> PackedInputs:
        """Spectra that are never trained on, from as few windows as give so many.

        Raises
        ------
        TrainingError
            If there are none.
        """
        found: list[tuple[str, TokenInput]] = []
        for number in np.random.default_rng(self._seed).permutation(len(self._windows)):
            found += self._prepared([self._windows[number]], "val", is_told=False)
            if len(found) >= at_most:
                break
        if not found:
            raise TrainingError(
                "No spectrum is held out, so nothing could tell how good the network becomes.",
                "Use more spectra, or a larger held_out in the recipe.",
            )
        return PackedInputs.of(found[:at_most])

    def _deal(self, epoch: int) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        """The windows of each pool of an epoch, and the number of each pool's first batch in the epoch.

        A pool has as large a share of the batches as it has of the rows.
        """
        dealt = np.random.default_rng((self._seed, epoch)).permutation(len(self._windows))
        n_rows = np.array([self._windows[i].stop - self._windows[i].start for i in dealt])
        start = np.cumsum(n_rows) - n_rows
        ends = np.flatnonzero(np.diff(start * self._n_pools // self._n_rows)) + 1
        first = start[np.concatenate([[0], ends])] * self._batches_per_epoch // self._n_rows
        return np.split(dealt, ends), first

    def _read_pool(self, epoch: int, number: int) -> tuple[PackedInputs, NDArray[np.int64]]:
        """One pool of an epoch, and the order in which its spectra are taken."""
        windows = [self._windows[i] for i in self._dealt(epoch)[0][number]]
        pool = PackedInputs.of(self._prepared(windows, "train", is_told=epoch == 0))
        if not len(pool):
            raise TrainingError(
                f"None of the spectra around {windows[0].path}, row {windows[0].start + 1}, can be used.",
                "Spectra need three peaks; those of a split other than 'train' do not teach.",
            )
        return pool, np.random.default_rng((self._seed, epoch, number)).permutation(len(pool))

    def _prepared(
        self, windows: Sequence[Window], part: Part, is_told: bool
    ) -> Iterator[tuple[str, TokenInput]]:
        for window in windows:
            for number, record in enumerate(read_parquet(*window), window.start + 1):
                if isinstance(record, Skipped):
                    skipped = record
                elif len(record) < _MIN_PEAKS:
                    position = f"row {number}"
                    skipped = Skipped(str(window.path), position, "fewer than 3 peaks", record.accession)
                else:
                    if part_of(record, self._held_out) == part:
                        yield record.accession, token_input(record)
                    continue
                if is_told:
                    self._on_skipped(skipped)
