"""Bank molecules of the same mass as the training molecules: what the truth has to be told apart from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import DEFAULT_MORGAN, morgan_bits, pack_bits, unpack_bits
from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.training.examples import Examples
from specsearch.encoder.training.ranking import Decoys
from specsearch.errors import InputFileError, ParseError, Skipped
from specsearch.spectra.writers.atomic import replacing

_COLUMNS = ("smiles", "inchikey", "exact_mass")


@dataclass(frozen=True, eq=False)
class Bank:
    """Candidate molecules, ascending by mass.

    Parameters
    ----------
    source : str
    row : numpy.ndarray of shape (n_molecules,), int64
        Of each molecule in its file.
    smiles, inchikey14 : numpy.ndarray of shape (n_molecules,), object
    exact_mass : numpy.ndarray of shape (n_molecules,)
        Da.
    """

    source: str
    row: NDArray[np.int64]
    smiles: NDArray[np.object_]
    inchikey14: NDArray[np.object_]
    exact_mass: NDArray[np.float64]


def read_bank(path: Path) -> Bank:
    """Read a bank of molecules; rows without structure, name or mass are no candidates.

    Raises
    ------
    InputFileError
        If it is no Parquet file with the columns smiles, inchikey and exact_mass.
    """
    try:
        table = pq.read_table(path, columns=list(_COLUMNS))
        mass = table["exact_mass"].cast(pa.float64()).to_numpy()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputFileError(
            f"{path} is not a bank of molecules ({str(error).splitlines()[0]}).",
            f"A bank is a Parquet file with the columns {', '.join(_COLUMNS)}.",
        ) from None
    smiles = np.array([text or "" for text in table["smiles"].to_pylist()], dtype=object)
    names = np.array([(text or "")[:14] for text in table["inchikey"].to_pylist()], dtype=object)
    usable = np.flatnonzero((smiles != "") & (names != "") & np.isfinite(mass) & (mass > 0))
    order = usable[np.argsort(mass[usable], kind="stable")]
    return Bank(str(path), order, smiles[order], names[order], mass[order])


@dataclass(frozen=True, eq=False)
class Peers:
    """The bank's molecules of the same mass, for each of some molecules.

    Parameters
    ----------
    packed : numpy.ndarray of shape (n_peers, n_bytes), uint8
        Fingerprints.
    n_bits : int
    of : list of numpy.ndarray of int64
        Rows in `packed` of each molecule's peers, the molecule itself never among them.
    """

    packed: NDArray[np.uint8]
    n_bits: int
    of: list[NDArray[np.int64]]

    def bits(self, molecule: int) -> NDArray[np.uint8]:
        """Fingerprints of all peers of a molecule, shape (n_peers, n_bits)."""
        return unpack_bits(self.packed[self.of[molecule]], self.n_bits)

    def draw(self, molecules: NDArray[np.int64], n_decoys: int, generator: np.random.Generator) -> Decoys:
        """At most so many peers of each molecule at random."""
        bits = np.zeros((len(molecules), n_decoys, self.n_bits), dtype=np.uint8)
        present = np.zeros((len(molecules), n_decoys), dtype=bool)
        for place, molecule in enumerate(molecules):
            peers = self.of[molecule]
            drawn = generator.permutation(peers)[:n_decoys]
            bits[place, : len(drawn)] = unpack_bits(self.packed[drawn], self.n_bits)
            present[place, : len(drawn)] = True
        return Decoys(torch.from_numpy(bits), torch.from_numpy(present))


def find_peers(
    bank: Bank,
    molecules: Examples,
    tolerance: Tolerance,
    cache: Path,
    left_out: Collection[str] = (),
    on_skipped: Callable[[Skipped], None] = lambda skipped: None,
) -> Peers:
    """Find the peers of every molecule of some examples, and their fingerprints.

    Parameters
    ----------
    bank : Bank
    molecules : Examples
    tolerance : Tolerance
        Around a molecule's exact mass.
    cache : Path
        Folder where fingerprints are kept for the next time.
    left_out : collection of str
        First blocks of molecules that must not serve as decoys, such as those of other splits.
    on_skipped : callable
        Told about bank molecules that RDKit refuses.
    """
    low, high = tolerance.window(molecules.exact_mass)
    first, last = (
        np.searchsorted(bank.exact_mass, low, "left"),
        np.searchsorted(bank.exact_mass, high, "right"),
    )
    barred = np.fromiter(map(set(left_out).__contains__, bank.inchikey14), dtype=bool, count=len(bank.row))
    found = []
    for name, start, stop in zip(molecules.inchikey14, first, last, strict=True):
        rows = np.arange(start, stop)
        found.append(rows[~barred[rows] & (bank.inchikey14[rows] != name)])
    used = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    packed, is_readable = _fingerprints(bank, used, cache)
    for row in used[~is_readable]:
        position = f"row {bank.row[row] + 1}"
        on_skipped(
            Skipped(bank.source, position, "SMILES not understood", bank.inchikey14[row], bank.smiles[row])
        )
    places = [np.searchsorted(used, rows) for rows in found]
    return Peers(packed, DEFAULT_MORGAN.n_bits, [rows[is_readable[rows]] for rows in places])


def _fingerprints(
    bank: Bank, rows: NDArray[np.int64], folder: Path
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Packed fingerprints of bank rows, and which RDKit could read; from the cache where it has them."""
    content = "\n".join([DEFAULT_MORGAN.digest(), *bank.smiles[rows]])
    path = folder / f"fingerprints-{hashlib.sha256(content.encode()).hexdigest()[:16]}.npz"
    if (kept := _cached(path)) is not None:
        return kept
    packed = np.zeros((len(rows), DEFAULT_MORGAN.n_bits // 8), dtype=np.uint8)
    is_readable = np.ones(len(rows), dtype=bool)
    for place, smiles in enumerate(bank.smiles[rows]):
        try:
            packed[place] = pack_bits(morgan_bits([smiles]))[0]
        except ParseError:
            is_readable[place] = False
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, packed=packed, is_readable=is_readable)
    return packed, is_readable


def _cached(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
    """What an earlier run kept; a damaged file (zip members carry checksums) counts as none."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            return kept["packed"], kept["is_readable"]
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
