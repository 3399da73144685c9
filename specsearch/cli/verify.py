"""``specsearch verify``: a check of a library that its users can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.settings import ModelAt, StoreAt, model_options, store_option

if TYPE_CHECKING:
    from rich.progress import Progress

    from specsearch.search.self_check import Finding
    from specsearch.search.snapshot import Snapshot

_MARKS = {True: "good", False: "BAD", None: "not checked"}


@click.command()
@click.argument("library")
@click.option(
    "--sample",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="Spectra to embed again, and to search for.",
)
@click.option(
    "--repair",
    "is_repaired",
    is_flag=True,
    help="First take back what a killed run left unfinished, make the ledger again if it is wrong, and build "
    "the search indexes. Spectra that were acknowledged are not touched.",
)
@store_option
@model_options
def verify(
    library: str,
    sample: int,
    is_repaired: bool,
    store: StoreAt,
    model_path: Path | None,
    key_map_path: Path | None,
) -> None:
    """Check LIBRARY: files, counts, vectors, and whether searches find what is there.

    Opening it compares every file with the checksum written when it was last closed. Exit code 1 if anything
    is bad.
    """
    from specsearch.cli.screen import progress_bar, screen
    from specsearch.report.tables import make_table

    if is_repaired:
        _repair(library, store)
    with progress_bar() as bar:
        findings = _findings(library, sample, store, ModelAt(model_path, key_map_path), bar)
    rows = [
        (found.check, _MARKS[found.is_good], f"{found.detail}. {found.next_step}".rstrip(". ") + ".")
        for found in findings
    ]
    screen().print(make_table(f"Library {library}", ("check", "verdict", "what was found"), rows))
    if n_bad := sum(found.is_good is False for found in findings):
        raise click.ClickException(f"{n_bad} of {len(findings)} checks of {library!r} are bad.")


def _findings(library: str, sample: int, store: StoreAt, model: ModelAt, bar: Progress) -> list[Finding]:
    import numpy as np

    from specsearch.search.self_check import check_encoder, check_recall, check_records, check_state
    from specsearch.search.snapshot import read_snapshot

    with store.open() as opened, opened.open(library) as collection:
        n_all = collection.count()
        findings = list(check_state(collection.info()))
        task = bar.add_task(f"reading {library}", total=n_all)
        snapshot = read_snapshot(collection, advance=lambda n: bar.advance(task, n))
        findings.append(_ledger(library, store, snapshot))
        findings += check_records(snapshot, n_all)
        rows = np.sort(np.random.default_rng(0).permutation(len(snapshot))[:sample])
        bar.add_task("embedding and searching a sample", total=None)
        findings += check_encoder(collection, model.load(), [snapshot.point_ids[row] for row in rows])
        findings += check_recall(collection, snapshot, rows)
    return findings


def _ledger(library: str, store: StoreAt, snapshot: Snapshot) -> Finding:
    from ingest.ledger import Ledger
    from ingest.settling import ledger_path
    from ingest.verify import compare_names
    from specsearch.search.self_check import Finding
    from specsearch.store.schema import Key
    from specsearch.store.set_aside import count_set_aside

    path = ledger_path(store.work_folder(library))
    if not path.exists():
        return Finding("ledger", None, "there is none on this machine")
    with Ledger(path) as ledger:
        n_open, n_known = len(ledger.unfinished()), ledger.n_spectra()
        found = compare_names(ledger, snapshot.texts(Key.ACCESSION))
    n_all, n_aside = len(snapshot), count_set_aside(store.set_aside_folder(library))
    detail = f"{n_known:,} spectra, {n_open:,} of a run that was not finished; the library has {n_all:,}"
    detail += f", and {n_aside:,} are set aside" if n_aside else ""
    if not n_open and not found.n_only_library and found.n_only_ledger in (0, n_aside):
        return Finding("ledger", True, detail)
    detail += f"; only in the ledger: {found.n_only_ledger:,}, only in the library: {found.n_only_library:,}"
    detail += f", for example {', '.join(found.examples)}" if found.examples else ""
    if not n_open and n_known in (n_all, n_all + n_aside):  # counts are what a repair goes by
        step = f"Remove {path}: it is made again from the library when the same files are indexed again"
    else:
        step = f"specsearch verify {library} --repair, or index the same files again"
    return Finding("ledger", False, detail, step)


def _repair(library: str, store: StoreAt) -> None:
    from ingest.settling import held_ledger, ledger_path, settle

    with store.open() as opened, opened.open(library, write=True) as collection:
        work = store.work_folder(library)
        if ledger_path(work).exists():
            with held_ledger(library, work) as ledger:
                settle(library, collection, ledger, store.set_aside_folder(library))
        collection.optimize()
