"""The job behind ``specsearch bank add``: files of molecules into a bank. Twice is the same as once.

In three steps, each of which a killed run takes up where it was: structures are worked on in windows
(`bank_staging`), windows and bank are merged into a new bank that replaces the old one at a stroke
(`bank_merge`), and projections of what is new go to the collection beside it (`bank_vectors`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ingest.bank_merge import bank_table, merge_molecules
from ingest.bank_records import Columns
from ingest.bank_staging import MoleculeSource, stage
from ingest.bank_summary import BankSummary, SourceReport, find_molecule_files
from ingest.bank_vectors import bring_up_to_date, note_pending, require_predicting
from ingest.bank_window import Keys, read_window
from specsearch.chemistry.fingerprints import DEFAULT_MORGAN
from specsearch.chemistry.parents import RECIPE
from specsearch.encoder.checkpoint import Card
from specsearch.encoder.network import Encoder
from specsearch.errors import ContractMismatch, InputFileError, StoreLocked
from specsearch.store.bank import Bank, open_bank
from specsearch.store.bank_files import CARD, BankCard, write_bank, write_card
from specsearch.store.space import require_free_space
from specsearch.store.store import Store

_STAGING, _REPORTS, _LOCK = "staging", "reports", "lock"
_BYTES_PER_MOLECULE = 1500  # of a bank's files, the staged windows and the collection


@dataclass(frozen=True)
class BankPlace:
    """Where a bank lies.

    Parameters
    ----------
    folder : Path
        Of its files; its name is the bank's.
    store : Store
    collection : str
        Of its projections in the store.
    """

    folder: Path
    store: Store
    collection: str


class BankProgress:
    """What a build tells whoever watches; this one says nothing."""

    def reading(self, path: Path) -> None:
        """A file's records are being worked on."""

    def prepared(self, n_records: int) -> None:
        """So many more records are done."""

    def merging(self) -> None:
        """The bank's files are being written."""

    def projected(self, n_done: int, n_molecules: int) -> None:
        """So many molecules of those that are new are in the collection; a graph comes last."""


def add_to_bank(
    paths: Iterable[str | Path],
    place: BankPlace,
    network: Encoder,
    card: Card,
    *,
    columns: Columns | None = None,
    keys: Keys = "check",
    n_processes: int | None = None,
    graph: bool = False,
    progress: BankProgress | None = None,
) -> BankSummary:
    """Add the molecules of files to a bank, made where there is none.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, folders and patterns.
    place : BankPlace
    network : Encoder
        In evaluation mode, on the CPU.
    card : Card
        Of the network; the bank is bound to its digest.
    columns : Columns, optional
        Where they cannot be guessed.
    keys : {"check", "compute"}
        What to do with InChIKeys that the files give, see `ingest.bank_window`.
    n_processes : int, optional
        As many as there are cores, unless there is little to do.
    graph : bool
        Also build a search graph over the projections, see `ingest.bank_vectors.bring_up_to_date`.
    progress : BankProgress, optional

    Raises
    ------
    InputFileError
        If a file that was named cannot be read; the bank is not touched then.
    ContractMismatch
        If the bank was built by another encoder or another RDKit.
    StoreError
        As the store says.
    """
    require_predicting(network)
    progress = progress or BankProgress()
    files, passed_over = find_molecule_files(paths)
    if not files:
        raise InputFileError("No file with molecules was found.", "Name files, folders or patterns.")
    with _locked(place.folder):
        require_free_space(place.folder, 0)
        before = _existing(place.folder, card)
        sources = {
            s.digest: s for s in (MoleculeSource.of(path, columns or Columns(), keys) for path in files)
        }
        known = {entry["digest"] for entry in (before.card.sources if before else ())}
        todo = [source for source in sources.values() if source.digest not in known]
        n_workers = n_processes or os.cpu_count() or 1
        staged = [path for source in todo for path in _staged(source, place.folder, n_workers, progress)]
        progress.merging()
        after = _merged(place.folder, before, staged, todo, card) if todo else before
        if after is not None:
            _project(after, place, network, progress, graph)
        shutil.rmtree(place.folder / _STAGING, ignore_errors=True)
        reports = [_report(place.folder, source) for source in sources.values()]
        n_before, n_after = (len(bank) if bank else 0 for bank in (before, after))
        return BankSummary(place.folder.name, reports, n_after, n_after - n_before, passed_over)


def bind_bank(
    place: BankPlace,
    network: Encoder,
    card: Card,
    *,
    graph: bool = False,
    progress: BankProgress | None = None,
) -> Bank:
    """Compute the projections of a bank anew, with another encoder; the rest as for `add_to_bank`.

    Raises
    ------
    LibraryNotFound, StoreDamaged, StoreError
    """
    require_predicting(network)
    open_bank(place.folder)  # a bank that is not there gets no lock
    with _locked(place.folder):
        bank = open_bank(place.folder)
        if bank.card.encoder_digest != card.digest:
            write_card(place.folder, replace(bank.card, encoder_digest=card.digest))
            if place.store.exists(place.collection):
                place.store.drop(place.collection)
            bank = open_bank(place.folder)
        _project(bank, place, network, progress or BankProgress(), graph)
        return bank


def remove_bank(place: BankPlace) -> None:
    """Remove a bank and its collection.

    Raises
    ------
    LibraryNotFound, StoreLocked, StoreError
    """
    if not (place.folder / CARD).is_file():
        open_bank(place.folder)  # says what there is instead
    with _locked(place.folder):
        (place.folder / CARD).unlink()
        if place.store.exists(place.collection):
            place.store.drop(place.collection)
    shutil.rmtree(place.folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK, timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise StoreLocked(
            f"The bank {folder.name!r} is being changed by another process.", "Wait until it is done."
        ) from error


def _existing(folder: Path, card: Card) -> Bank | None:
    """The bank as it is, if it may be added to."""
    if not (folder / CARD).is_file():
        return None
    bank = open_bank(folder, card.digest)
    theirs, ours = (bank.card.recipe, bank.card.fingerprint), (RECIPE, DEFAULT_MORGAN.to_dict())
    if theirs != ours:
        raise ContractMismatch(
            f"The bank {folder.name!r} was built by another recipe or RDKit ({theirs[0]}, "
            f"{theirs[1].get('rdkit')} there; {RECIPE}, {ours[1]['rdkit']} here).",
            "It can be searched, but not added to: build a new one from your files.",
        )
    return bank


def _staged(source: MoleculeSource, folder: Path, n_processes: int, progress: BankProgress) -> list[Path]:
    progress.reading(source.path)
    return stage(source, folder / _STAGING, n_processes, progress.prepared)


def _merged(
    folder: Path, before: Bank | None, staged: Sequence[Path], sources: Sequence[MoleculeSource], card: Card
) -> Bank | None:
    """The bank with the windows in it; None where there is no molecule at all."""
    reports = {source.digest: SourceReport(str(source.path)) for source in sources}
    by_prefix = {digest[:32]: report for digest, report in reports.items()}
    tables = [] if before is None else [bank_table(before)]
    for path in staged:
        table, window = read_window(path)
        by_prefix[path.name.split("-")[0]].add(window)
        tables.append(table)
    for digest, report in reports.items():
        report.save(folder / _REPORTS / f"{digest}.json")
    merged, packed = merge_molecules(tables)
    if not len(merged):
        return None
    require_free_space(folder, _BYTES_PER_MOLECULE * len(merged))
    keys = [key[:14] for key in merged["inchikey"].to_pylist()]
    note_pending(folder, before, keys, merged["smiles"].to_pylist())
    told = [_told(digest, report) for digest, report in reports.items()]
    earlier = before.card.sources if before else ()
    recipe = BankCard(RECIPE, DEFAULT_MORGAN.to_dict(), card.digest, sources=(*earlier, *told))
    write_bank(folder, merged, packed, recipe)
    return open_bank(folder, card.digest)


def _told(digest: str, report: SourceReport) -> dict[str, Any]:
    """A source as the bank's card names it."""
    return {
        "name": Path(report.name).name,
        "digest": digest,
        "n_read": report.n_read,
        "n_used": report.n_used,
        "n_keys_taken": report.n_keys_taken,
        "n_keys_wrong": report.n_keys_wrong,
    }


def _project(bank: Bank, place: BankPlace, network: Encoder, progress: BankProgress, graph: bool) -> None:
    told = progress.projected
    bring_up_to_date(bank, place.folder, place.store, place.collection, network, told, graph=graph)


def _report(folder: Path, source: MoleculeSource) -> SourceReport:
    return SourceReport.load(folder / _REPORTS / f"{source.digest}.json")
