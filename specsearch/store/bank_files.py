"""The files of a bank: ``bank.json`` and one folder of data, replaced together or not at all.

``<bank>/bank.json`` names the folder by the digest of its content:

- ``molecules.arrow``: one row a molecule (`MOLECULES`), ascending by exact mass, so that a mass window is a
  slice; memory-mapped, so that opening costs nothing;
- ``fingerprints.npy``: packed Morgan bits of the same rows, ``(n_molecules, n_bytes)`` uint8;
- ``on_bits.npy`` and ``on_bit_starts.npy``: the numbers of the bits set, row after row, and where each row
  begins. One pass over them scores the whole bank (`specsearch.search.whole_bank`).

Fingerprints inside the vector engine would take 16 to 32 times the space.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import unpack_bits
from specsearch.errors import StoreDamaged
from specsearch.store.integrity import read_json, write_json

CARD: Final = "bank.json"
TABLE, FINGERPRINTS, ON_BITS, STARTS = (
    "molecules.arrow",
    "fingerprints.npy",
    "on_bits.npy",
    "on_bit_starts.npy",
)
MOLECULES: Final = pa.schema(
    [
        ("smiles", pa.string()),
        ("name", pa.string()),
        ("inchikey", pa.string()),
        ("formula", pa.string()),
        ("exact_mass", pa.float64()),
        ("formal_charge", pa.int32()),
    ]
)
_BLOCK = 16_384
_NEXT_STEP = 'Remove the bank and build it again: "specsearch bank remove", "specsearch bank add".'


@dataclass(frozen=True)
class BankCard:
    """What a bank says of itself.

    Parameters
    ----------
    recipe : str
        Rule by which molecules were taken from records (`specsearch.chemistry.parents.RECIPE`).
    fingerprint : dict
        Settings of the fingerprints, RDKit's version among them.
    encoder_digest : str
        Of the model whose target projections are in the collection.
    n_molecules : int
    digest : str
        SHA-256 of the molecules: the same molecules give the same digest, in whatever order they came.
    files : dict of str to int
        Bytes of each file.
    sources : list of dict
        Each file that went in: name, sha256, records read and used.
    """

    recipe: str
    fingerprint: Mapping[str, Any]
    encoder_digest: str
    n_molecules: int = 0
    digest: str = ""
    files: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[Mapping[str, Any], ...] = ()

    @property
    def data_folder(self) -> str:
        """Name of the folder of data."""
        return f"data-{self.digest[:16]}"


def read_card(folder: Path) -> BankCard:
    """Read ``bank.json``.

    Raises
    ------
    StoreDamaged
        If it is missing or not a bank's.
    """
    values = read_json(folder / CARD)
    try:
        return BankCard(**{**values, "sources": tuple(values.get("sources", ()))})
    except TypeError as error:
        raise StoreDamaged(
            f"{folder / CARD} is not the card of a bank, or one of another version ({error}).", _NEXT_STEP
        ) from error


def write_card(folder: Path, card: BankCard) -> None:
    """Write ``bank.json``, whole or not at all."""
    write_json(folder / CARD, asdict(card))


def write_bank(folder: Path, table: pa.Table, packed: NDArray[np.uint8], card: BankCard) -> BankCard:
    """Write a bank's data, then its card; what the card named before is removed last.

    Parameters
    ----------
    folder : Path
    table : pyarrow.Table
        Of the schema `MOLECULES`, ascending by exact mass, one row for each first block.
    packed : numpy.ndarray of shape (n_molecules, n_bytes), uint8
    card : BankCard
        Its counts, digest and files are filled in.
    """
    digest = content_digest(table)
    made = replace(card, n_molecules=len(table), digest=digest)
    data, partial = folder / made.data_folder, folder / f"{made.data_folder}.partial"
    if not data.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_data(partial, table, packed, 8 * packed.shape[1])
        partial.rename(data)
    made = replace(made, files={path.name: path.stat().st_size for path in sorted(data.iterdir())})
    write_card(folder, made)
    for old in folder.glob("data-*"):
        if old != data:
            shutil.rmtree(old, ignore_errors=True)
    return made


def content_digest(table: pa.Table) -> str:
    """SHA-256 of a sorted table of molecules."""
    state = hashlib.sha256()
    for column in MOLECULES.names:
        state.update("\0".join(map(str, table[column].to_pylist())).encode())
    return state.hexdigest()


def require_whole(folder: Path, card: BankCard) -> Path:
    """The folder of data, every file of it as long as it was written.

    Raises
    ------
    StoreDamaged
        Naming the first file that is not.
    """
    data = folder / card.data_folder
    for name in (TABLE, FINGERPRINTS, ON_BITS, STARTS):
        path = data / name
        found = path.stat().st_size if path.is_file() else None
        if found is None or found != card.files.get(name):
            fault = "is missing" if found is None else "is not as long as it was written"
            raise StoreDamaged(f"The bank's file {path} {fault}.", _NEXT_STEP)
    return data


def _write_data(folder: Path, table: pa.Table, packed: NDArray[np.uint8], n_bits: int) -> None:
    with pa.OSFile(str(folder / TABLE), "wb") as sink, pa.ipc.new_file(sink, MOLECULES) as writer:
        writer.write_table(table.select(MOLECULES.names).combine_chunks(), max_chunksize=max(len(table), 1))
    np.save(folder / FINGERPRINTS, packed)
    blocks = [_on_bits(packed[i : i + _BLOCK], n_bits) for i in range(0, len(packed), _BLOCK)]
    counts = [np.zeros(1, np.int64), *(count for count, _ in blocks)]
    np.save(folder / STARTS, np.cumsum(np.concatenate(counts)))
    np.save(folder / ON_BITS, np.concatenate([np.empty(0, np.int32), *(bits for _, bits in blocks)]))


def _on_bits(packed: NDArray[np.uint8], n_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """How many bits each row has set, and their numbers row after row."""
    bits = unpack_bits(packed, n_bits)
    return bits.sum(axis=1, dtype=np.int64), np.nonzero(bits)[1].astype(np.int32)
