"""One row for each first block, by a rule that does not ask in which order the records came.

Of the records of one molecule the structure comes from the one with the smallest charge, of these from the
shortest SMILES (that with the least said of stereochemistry, which a mass spectrum does not see), then from
the first in the alphabet. The name is the shortest that any record gives, then the first in the
alphabet. Both are minima, so banks may be merged in any order, and twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.bank_window import FINGERPRINT, STAGED
from specsearch.store.bank import Bank
from specsearch.store.bank_files import MOLECULES

_KEY, _CHARGE, _LENGTH = "inchikey14", "charge", "length"


def merge_molecules(tables: Sequence[pa.Table]) -> tuple[pa.Table, NDArray[np.uint8]]:
    """Merge tables of the schema `STAGED`.

    Returns
    -------
    table : pyarrow.Table
        Of the schema `MOLECULES`, ascending by exact mass.
    packed : numpy.ndarray of shape (n_molecules, n_bytes), uint8
    """
    every = pa.concat_tables([STAGED.empty_table(), *tables]).combine_chunks()
    every = every.append_column(_KEY, pc.utf8_slice_codeunits(every["inchikey"], 0, 14))
    every = every.append_column(_CHARGE, pc.abs(every["formal_charge"]))
    winners = _first_of_each(every, _LENGTH, "smiles", before=_CHARGE)
    names = _first_of_each(every.filter(pc.not_equal(every["name"], "")), _LENGTH, "name")
    name = np.full(len(winners), "", dtype=object)
    place = np.searchsorted(
        np.array(winners[_KEY].to_pylist()), np.array(names[_KEY].to_pylist(), dtype="U14")
    )
    name[place] = names["name"].to_pylist()
    at = winners.schema.get_field_index("name")
    merged = winners.set_column(at, "name", pa.array(name, pa.string()))
    merged = merged.sort_by([("exact_mass", "ascending"), (_KEY, "ascending")])
    return merged.select(MOLECULES.names), _packed(merged[FINGERPRINT])


def bank_table(bank: Bank) -> pa.Table:
    """A bank as a table of the schema `STAGED`."""
    packed = np.ascontiguousarray(bank.packed)
    kind = STAGED.field(FINGERPRINT).type
    fingerprints = pa.FixedSizeBinaryArray.from_buffers(kind, len(packed), [None, pa.py_buffer(packed)])
    return bank.table.append_column(STAGED.field(FINGERPRINT), fingerprints)


def _first_of_each(table: pa.Table, length: str, text: str, before: str | None = None) -> pa.Table:
    """The first row of each key: smallest `before`, shortest text, first text, first InChIKey."""
    table = table.append_column(length, pc.utf8_length(table[text]))
    order = [key for key in (_KEY, before, length, text, "inchikey") if key]
    table = table.sort_by([(key, "ascending") for key in order])
    keys = np.array(table[_KEY].to_pylist(), dtype="U14")
    is_first = np.append(True, keys[1:] != keys[:-1]) if len(keys) else np.empty(0, dtype=bool)
    return table.filter(pa.array(is_first))


def _packed(fingerprints: pa.ChunkedArray) -> NDArray[np.uint8]:
    n_bytes = STAGED.field(FINGERPRINT).type.byte_width
    joined = b"".join(fingerprints.to_pylist())
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, n_bytes)
