"""A bank of candidate molecules, opened for reading: a mass window is a slice of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import DEFAULT_MORGAN
from specsearch.errors import ContractMismatch, LibraryNotFound, StoreDamaged
from specsearch.store.bank_files import (
    CARD,
    FINGERPRINTS,
    ON_BITS,
    STARTS,
    TABLE,
    BankCard,
    read_card,
    require_whole,
)

_BLOCK_LETTERS = 14


class Molecule(NamedTuple):
    """A row of a bank.

    Parameters
    ----------
    smiles : str
        Canonical.
    name : str
        Empty where no record gave one.
    inchikey, formula : str
    exact_mass : float
        Of the atoms in Da, see `specsearch.chemistry.structures.Structure`.
    formal_charge : int
    """

    smiles: str
    name: str
    inchikey: str
    formula: str
    exact_mass: float
    formal_charge: int

    @property
    def inchikey14(self) -> str:
        """First block of the InChIKey: what tells the molecules of a bank apart."""
        return self.inchikey[:_BLOCK_LETTERS]


@dataclass(frozen=True, eq=False)
class Bank:
    """An open bank.

    Parameters
    ----------
    name : str
    card : BankCard
    data : Path
        Folder of its arrays.
    table : pyarrow.Table
        Memory-mapped, ascending by mass; see `specsearch.store.bank_files.MOLECULES`.
    exact_mass : numpy.ndarray of shape (n_molecules,), float64
        Ascending, Da.
    packed : numpy.ndarray of shape (n_molecules, n_bytes), uint8
        Morgan bits, memory-mapped.
    """

    name: str
    card: BankCard
    data: Path
    table: pa.Table
    exact_mass: NDArray[np.float64]
    packed: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.exact_mass)

    def window(self, low: float, high: float) -> NDArray[np.int64]:
        """Rows of a mass from `low` to `high` Da, both included."""
        start = np.searchsorted(self.exact_mass, low, side="left")
        stop = np.searchsorted(self.exact_mass, high, side="right")
        return np.arange(start, stop, dtype=np.int64)

    def molecules(self, rows: NDArray[np.int64]) -> list[Molecule]:
        """The molecules of some rows, in the order asked."""
        columns = self.table.take(pa.array(rows, pa.int64())).to_pydict().values()
        return [Molecule(*values) for values in zip(*columns, strict=True)]

    def formal_charge(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Charges of some rows, shape (n_rows,)."""
        return self._formal_charge[rows]

    def rows_of(self, inchikey14: Sequence[str]) -> NDArray[np.int64]:
        """Row of each molecule by its first block; -1 where the bank has it not."""
        keys, order = self._by_key
        wanted = np.array(list(inchikey14), dtype=keys.dtype)
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        if not len(keys):
            return np.full(len(wanted), -1, dtype=np.int64)
        return np.where(keys[place] == wanted, order[place], -1)

    @cached_property
    def inchikey14(self) -> NDArray[np.str_]:
        """First block of each row, shape (n_molecules,)."""
        return np.array(self.table["inchikey"].to_pylist(), dtype=f"U{_BLOCK_LETTERS}")

    @cached_property
    def on_bits(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Numbers of the bits set, row after row, and where each row begins (the end is the last entry)."""
        # Copy-on-write: torch wants arrays that it may write to.
        return (
            np.load(self.data / ON_BITS, mmap_mode="c"),
            np.load(self.data / STARTS, mmap_mode="c"),
        )

    @cached_property
    def _formal_charge(self) -> NDArray[np.int64]:
        return self.table["formal_charge"].to_numpy().astype(np.int64)

    @cached_property
    def _by_key(self) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
        order = np.argsort(self.inchikey14, kind="stable")
        return self.inchikey14[order], order


def bank_names(folder: Path) -> list[str]:
    """Names of the banks in a folder, sorted."""
    return sorted(path.parent.name for path in folder.glob(f"*/{CARD}"))


def open_bank(folder: Path, encoder_digest: str | None = None) -> Bank:
    """Open a bank for reading.

    Parameters
    ----------
    folder : Path
        Its own folder.
    encoder_digest : str, optional
        Of the model that asks; None does not ask.

    Raises
    ------
    LibraryNotFound
        If there is none.
    StoreDamaged
        If a file is missing, cut off or unreadable.
    ContractMismatch
        If it was built with other fingerprints or for another encoder.
    """
    if not (folder / CARD).is_file():
        known = ", ".join(bank_names(folder.parent)) or "none"
        raise LibraryNotFound(
            f"There is no bank {folder.name!r}.",
            f'There are: {known}. Make one: "specsearch bank add FILES --name {folder.name}".',
        )
    card = read_card(folder)
    require_fitting(folder.name, card, encoder_digest)
    data = require_whole(folder, card)
    try:
        table = pa.ipc.open_file(pa.memory_map(str(data / TABLE))).read_all()
        packed = np.load(data / FINGERPRINTS, mmap_mode="r")
    except (pa.ArrowException, ValueError, OSError) as error:
        raise StoreDamaged(
            f"The bank {folder.name!r} cannot be read: {error}.", "Remove it, and build it again."
        ) from error
    return Bank(folder.name, card, data, table, table["exact_mass"].to_numpy(), packed)


def require_fitting(name: str, card: BankCard, encoder_digest: str | None) -> None:
    """Raise unless a bank's fingerprints and projections are those of whoever asks.

    Raises
    ------
    ContractMismatch
    """
    theirs, ours = ({**settings, "rdkit": ""} for settings in (card.fingerprint, DEFAULT_MORGAN.to_dict()))
    if theirs != ours:
        raise ContractMismatch(
            f"The bank {name!r} has fingerprints of other settings ({theirs}).",
            "Remove it, and build it again with this version.",
        )
    if encoder_digest is not None and encoder_digest != card.encoder_digest:
        raise ContractMismatch(
            f"The bank {name!r} was built by another encoder (digest {card.encoder_digest[:8]} there, "
            f"{encoder_digest[:8]} here).",
            f'Name that encoder with --model, or bind the bank to this one: "specsearch bank bind {name}".',
        )
