"""``specsearch dedup``: what is said twice, and what dropping it costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.graph_at import graph_folder, read_library
from specsearch.cli.settings import StoreAt, store_option

if TYPE_CHECKING:
    from specsearch.search.duplicates import Duplicates
    from specsearch.search.snapshot import Snapshot
    from specsearch.spectra.spectrum import Spectrum

_FETCHED = 1_000


@click.command()
@click.argument("library")
@click.option(
    "--level",
    type=click.Choice(("identical", "measurement", "condition")),
    default="measurement",
    show_default=True,
    help="identical: the same peaks. measurement: nearly, at one adduct and energy. condition: the same "
    "molecule, adduct, energy and kind of instrument. Each includes those before.",
)
@click.option(
    "--entropy",
    type=click.FloatRange(0.0, 1.0),
    default=0.90,
    show_default=True,
    help="Spectral entropy similarity from which two measurements are the same.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What stays (.mgf, .msp, .parquet).",
)
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="The receipt as a page (.html)."
)
@click.option(
    "--dropped",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Every spectrum that goes, with the one kept (.csv, .tsv, .jsonl, .parquet).",
)
@click.option("--apply", "is_applied", is_flag=True, help="Take the duplicates out of the library.")
@click.option(
    "--undo", "is_undone", is_flag=True, help="Put back what --apply took out, and do nothing else."
)
@store_option
def dedup(
    library: str,
    level: str,
    entropy: float,
    output: Path | None,
    report: Path | None,
    dropped: Path | None,
    is_applied: bool,
    is_undone: bool,
    store: StoreAt,
) -> None:
    """Find what LIBRARY says twice, and what dropping it would cost.

    The receipt counts spectra and structures before and after, and right answers of a search on queries that
    were held back. Nothing is taken out of the library without --apply; --undo puts it back.
    """
    from specsearch.cli.screen import progress_bar, say
    from specsearch.evaluation.library_recall import make_receipt
    from specsearch.report.receipt import RECEIPT, receipt_lines, write_receipt
    from specsearch.search.duplicates import DuplicateSettings, Level, find_duplicates

    if is_undone:
        _undo(library, store)
        return
    settings = DuplicateSettings(Level(level), entropy)
    if is_applied:
        _finish(library, store)
    with progress_bar() as bar:
        snapshot = read_library(store, library, bar)
        duplicates = find_duplicates(snapshot, settings)
        receipt = make_receipt(snapshot, duplicates.kept, settings)
    for name, figure in receipt_lines(receipt):
        say(f"{name}: {figure}")
    kept = graph_folder(store, library) / RECEIPT
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_receipt(kept, snapshot, duplicates, settings, receipt)
    if report is not None:
        write_receipt(report, snapshot, duplicates, settings, receipt)
        say(f"Wrote the receipt to {report}.")
    if dropped is not None:
        _write_dropped(dropped, snapshot, duplicates)
    if output is not None:
        _write_kept(output, snapshot, duplicates, store)
    if is_applied:
        _apply(snapshot, duplicates, store)


def _write_dropped(path: Path, snapshot: Snapshot, duplicates: Duplicates) -> None:
    from specsearch.cli.screen import say
    from specsearch.report.formats import format_of, write_rows
    from specsearch.report.receipt import DROPPED_COLUMNS, dropped_rows

    n_rows = write_rows(path, dropped_rows(snapshot, duplicates), DROPPED_COLUMNS, format_of(path))
    say(f"Wrote {n_rows:,} rows to {path}.")


def _write_kept(path: Path, snapshot: Snapshot, duplicates: Duplicates, store: StoreAt) -> None:
    from specsearch.cli.screen import say
    from specsearch.spectra.writers import write_spectra

    with store.open() as opened, opened.open(snapshot.library) as collection:
        stay = [
            point_id
            for point_id, is_kept in zip(snapshot.point_ids, duplicates.stays, strict=True)
            if is_kept
        ]

        def spectra() -> Iterator[Spectrum]:
            from specsearch.store.spectra import spectrum_of

            for start in range(0, len(stay), _FETCHED):
                yield from map(spectrum_of, collection.fetch(stay[start : start + _FETCHED]).values())

        say(f"Wrote {write_spectra(path, spectra()):,} spectra to {path}.")


def _finish(library: str, store: StoreAt) -> None:
    """Go on where an interrupted --apply ended, before the library is looked at."""
    from specsearch.cli.screen import say
    from specsearch.store.set_aside import finish_setting_aside

    if not store.set_aside_folder(library).is_dir():
        return
    with store.open() as opened, opened.open(library, write=True) as collection:
        if n_points := finish_setting_aside(collection, store.set_aside_folder(library)):
            say(f"Took out the rest of {n_points:,} spectra that an interrupted run had begun with.")


def _apply(snapshot: Snapshot, duplicates: Duplicates, store: StoreAt) -> None:
    from specsearch.cli.screen import say
    from specsearch.store.set_aside import set_aside

    gone = [i for i, is_kept in zip(snapshot.point_ids, duplicates.stays, strict=True) if not is_kept]
    if not gone:
        say("Nothing to take out.")
        return
    with store.open() as opened, opened.open(snapshot.library, write=True) as collection:
        set_aside(
            collection, gone, store.set_aside_folder(snapshot.library) / f"{snapshot.digest[:16]}.parquet"
        )
    say(
        f"Took {len(gone):,} spectra out of {snapshot.library!r}; "
        f'"specsearch dedup {snapshot.library} --undo{store.option()}" puts them back.'
    )


def _undo(library: str, store: StoreAt) -> None:
    from specsearch.cli.screen import say
    from specsearch.store.set_aside import put_back

    files = sorted(store.set_aside_folder(library).glob("*.parquet"))
    if not files:
        say(f"Nothing was taken out of {library!r}.")
        return
    with store.open() as opened, opened.open(library, write=True) as collection:
        n_back = sum(put_back(collection, path) for path in files)
        collection.optimize()
    for path in files:
        path.unlink()
    say(f"Put {n_back:,} spectra back into {library!r}.")
