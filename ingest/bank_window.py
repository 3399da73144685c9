"""One window of records: structures read, made into molecules, described; what a worker process does.

A window's result is a file of its own, there whole or not at all, so that a killed run goes on behind it.

**InChIKeys** cost as much as all the rest. A key that a record carries is taken where the structure is as it
was drawn and the key is a standard one; of these one in `CHECKED_SHARE`, chosen by the key itself, is
computed all the same, and where a single first block differs, all of the window's are. What was taken and
what was wrong is counted. The keys of a salt speak of the salt, and are never taken.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from ingest.bank_records import MoleculeRecord
from specsearch.chemistry.fingerprints import DEFAULT_MORGAN, morgan_bits_of, pack_bits
from specsearch.chemistry.parents import parent_molecule
from specsearch.chemistry.structures import Structure, describe_molecule, parse_molecule
from specsearch.errors import InvalidMolecule, ParseError, Skipped
from specsearch.spectra.writers.atomic import replacing
from specsearch.store.bank_files import MOLECULES

Keys = Literal["check", "compute"]
CHECKED_SHARE = 16
FINGERPRINT = "fingerprint"
STAGED = MOLECULES.append(pa.field(FINGERPRINT, pa.binary(DEFAULT_MORGAN.n_bits // 8)))

_STANDARD_KEY = re.compile(r"[A-Z]{14}-[A-Z]{8}SA-[A-Z]")
_REPORT = b"specsearch_report"


@dataclass
class WindowReport:
    """What became of the records of a window.

    Parameters
    ----------
    n_read : int
    n_keys_taken, n_keys_wrong : int
        InChIKeys taken as given, and those whose first block was found to be another.
    skipped : list of Skipped
    """

    n_read: int = 0
    n_keys_taken: int = 0
    n_keys_wrong: int = 0
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Parent:
    """A record's molecule before it has a name; `key` is the record's where that may be taken."""

    record: MoleculeRecord
    molecule: Chem.Mol
    key: str


def prepare_window(records: Sequence[MoleculeRecord], source: str, path: Path, keys: Keys) -> None:
    """Work on a window and write its molecules and its report to `path`."""
    report = WindowReport(n_read=len(records))
    parents = []
    for record in records:
        try:
            parents.append(_parent(record, keys))
        except InvalidMolecule as fault:
            report.skipped.append(_skipped(source, record, fault))
    found: list[tuple[_Parent, Structure]] = []
    trusted = _trusted(parents, report)
    for parent in parents:
        try:
            structure = describe_molecule(parent.molecule, parent.key if trusted else "")
        except ParseError as error:
            no_key = InvalidMolecule("no InChIKey", error.message)
            report.skipped.append(_skipped(source, parent.record, no_key))
        else:
            found.append((parent, structure))
    report.n_keys_taken = sum(bool(parent.key) for parent, _ in found) if trusted else 0
    _write(path, found, report)


def read_window(path: Path) -> tuple[pa.Table, WindowReport]:
    """Read what `prepare_window` wrote."""
    table = pq.read_table(path)
    values = json.loads(table.schema.metadata[_REPORT])
    skipped = [Skipped(**item) for item in values.pop("skipped")]
    return table.replace_schema_metadata(None), WindowReport(**values, skipped=skipped)


def _parent(record: MoleculeRecord, keys: Keys) -> _Parent:
    if not record.structure:
        raise InvalidMolecule("no structure")
    molecule = _read_block(record.structure) if record.is_block else _read_smiles(record.structure)
    parent, is_changed = parent_molecule(molecule)
    may_be_taken = keys == "check" and not is_changed and _STANDARD_KEY.fullmatch(record.inchikey)
    return _Parent(record, parent, record.inchikey if may_be_taken else "")


def _read_smiles(text: str) -> Chem.Mol:
    try:
        return parse_molecule(text)
    except ParseError as error:
        raise InvalidMolecule("structure not readable", error.message) from error


def _read_block(block: str) -> Chem.Mol:
    """The molecule of a structure block, read again from its SMILES: that is what is stored."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromMolBlock(block)
    if molecule is None:
        raise InvalidMolecule("structure not readable", "its block has a fault, or a valence is impossible")
    return _read_smiles(Chem.MolToSmiles(molecule))


def _trusted(parents: Sequence[_Parent], report: WindowReport) -> bool:
    """Whether the given keys may be taken, by computing some of them."""
    for parent in parents:
        if parent.key and zlib.crc32(parent.key.encode()) % CHECKED_SHARE == 0:
            try:
                computed = describe_molecule(parent.molecule).inchikey
            except ParseError:
                computed = ""
            report.n_keys_wrong += computed[:14] != parent.key[:14]
    return report.n_keys_wrong == 0


def _skipped(source: str, record: MoleculeRecord, fault: InvalidMolecule) -> Skipped:
    name = record.name or ("" if record.is_block else record.structure[:80])
    return Skipped(source, record.position, fault.reason, name, fault.detail)


def _write(path: Path, found: Sequence[tuple[_Parent, Structure]], report: WindowReport) -> None:
    columns = {
        "smiles": [structure.smiles for _, structure in found],
        "name": [_one_line(parent.record.name) for parent, _ in found],
        "inchikey": [structure.inchikey for _, structure in found],
        "formula": [structure.formula for _, structure in found],
        "exact_mass": [structure.exact_mass for _, structure in found],
        "formal_charge": [structure.formal_charge for _, structure in found],
        FINGERPRINT: [row.tobytes() for row in _fingerprints(found)],
    }
    table = pa.table(columns, STAGED).replace_schema_metadata({_REPORT: json.dumps(asdict(report))})
    with replacing(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def _fingerprints(found: Sequence[tuple[_Parent, Structure]]) -> NDArray[np.uint8]:
    return pack_bits(morgan_bits_of([parent.molecule for parent, _ in found]))


def _one_line(name: str) -> str:
    return " ".join(name.replace("\0", " ").split())[:300]
