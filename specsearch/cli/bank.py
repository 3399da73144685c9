"""``specsearch bank``: molecules that an unknown could be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from specsearch.cli.bank_place import bank_folder, open_place
from specsearch.cli.settings import ModelAt, StoreAt, model_options, store_option
from specsearch.errors import InputFileError

if TYPE_CHECKING:
    from ingest.bank_summary import BankSummary

_GRAPH = click.option(
    "--graph",
    is_flag=True,
    help="Also build a search graph: searches of the whole bank are faster, building takes minutes.",
)


@click.group()
def bank() -> None:
    """Make and look after banks: candidate molecules for "specsearch identify"."""


@bank.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--name", required=True, metavar="NAME", help="Bank to fill; made where there is none.")
@click.option("--smiles-column", metavar="COLUMN", help="Column of SMILES.  [default: guessed]")
@click.option(
    "--name-column", metavar="COLUMN", help="Column, or data field of an SDF, of names.  [default: guessed]"
)
@click.option(
    "--inchikey-column", metavar="COLUMN", help="Column, or data field, of InChIKeys.  [default: guessed]"
)
@click.option(
    "--inchikeys",
    "keys",
    type=click.Choice(["check", "compute"]),
    default="check",
    show_default=True,
    help="Take the keys that files give after checking one in 16, or compute all: 1.6 times as slow.",
)
@click.option("--processes", type=click.IntRange(1, 256), help="[default: one for each core]")
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every skipped record and file to a table: .csv, .tsv, .jsonl or .parquet.",
)
@_GRAPH
@store_option
@model_options
def add(
    files: tuple[str, ...],
    name: str,
    smiles_column: str | None,
    name_column: str | None,
    inchikey_column: str | None,
    keys: Literal["check", "compute"],
    processes: int | None,
    report_path: Path | None,
    graph: bool,
    store: StoreAt,
    model_path: Path | None,
    key_map_path: Path | None,
) -> None:
    """Add the molecules in FILES to a bank.

    FILES are files, folders or patterns: SMILES (.smi), tables with a header (.csv, .tsv, .txt), SDF (.sdf),
    all also gzipped, and Parquet.

    Salts lose their counter ions and charges their protons; isotope-labelled molecules, radicals, mixtures
    and what has no organic part are left out, counted and named. A bank has one molecule for each first
    block of an InChIKey. Run twice, it changes nothing; interrupted, the same command goes on where it was.
    """
    from ingest.bank import add_to_bank
    from ingest.bank_records import Columns
    from specsearch.cli.bank_progress import BankBar
    from specsearch.cli.screen import progress_bar
    from specsearch.report.formats import format_of

    if report_path is not None:
        format_of(report_path)  # a wrong ending should not wait for the end of the work
    network, card = ModelAt(model_path, key_map_path).read()
    with open_place(store, name) as place, progress_bar() as bar:
        summary = add_to_bank(
            files,
            place,
            network,
            card,
            columns=Columns(smiles_column, name_column, inchikey_column),
            keys=keys,
            n_processes=processes,
            graph=graph,
            progress=BankBar(bar),
        )
    _show_summary(summary)
    if report_path is not None:
        _write_report(report_path, summary)
    if not summary.n_in_bank:
        raise InputFileError(
            "None of these records is a molecule that a bank can hold, so none was made.",
            "The reasons are above; --smiles-column names another column.",
        )


@bank.command("list")
@store_option
def list_banks(store: StoreAt) -> None:
    """List the banks: molecules, encoder, size on disk."""
    from specsearch.cli.screen import say, screen
    from specsearch.errors import StoreError
    from specsearch.report.tables import make_table
    from specsearch.store.bank import bank_names, open_bank
    from specsearch.store.space import used_bytes

    rows = []
    for name in bank_names(store.banks):
        try:
            card = open_bank(store.banks / name).card
            state = f"{card.n_molecules:,}", card.encoder_digest[:8]
        except StoreError as error:
            state = "?", f"cannot be opened: {error}"
        rows.append((name, *state, f"{used_bytes(store.banks / name) / 1e6:,.1f} MB"))
    if not rows:
        say(f'No bank in {store.location} yet. Make one: "specsearch bank add FILES --name NAME".')
        return
    columns = ("bank", "molecules", "encoder", "size")
    screen().print(make_table(f"Banks in {store.location}", columns, rows, right="molecules size"))


@bank.command()
@click.argument("name")
@store_option
def show(name: str, store: StoreAt) -> None:
    """Show what the bank NAME is made of: settings, encoder, files."""
    from specsearch.cli.screen import screen
    from specsearch.report.tables import make_table
    from specsearch.store.bank import open_bank

    opened = open_bank(bank_folder(store, name))
    card = opened.card
    settings = ", ".join(f"{key} = {value}" for key, value in card.fingerprint.items())
    rows: list[tuple[str, object]] = [
        ("molecules", f"{card.n_molecules:,}"),
        ("exact mass", f"{opened.exact_mass[0]:.4f} to {opened.exact_mass[-1]:.4f} Da"),
        ("digest", card.digest),
        ("recipe", card.recipe),
        ("fingerprints", settings),
        ("encoder", card.encoder_digest),
    ]
    for source in card.sources:
        told = f"{source['n_read']:,} records, {source['n_used']:,} used"
        keys = f"{source['n_keys_taken']:,} InChIKeys as given, {source['n_keys_wrong']:,} found wrong"
        rows.append((f"from {source['name']}", f"{told}; {keys}"))
    screen().print(make_table("", ("", f"bank {name}"), rows))


@bank.command()
@click.argument("name")
@_GRAPH
@store_option
@model_options
def bind(name: str, graph: bool, store: StoreAt, model_path: Path | None, key_map_path: Path | None) -> None:
    """Bind the bank NAME to another model: its projections are computed anew, its molecules stay."""
    from ingest.bank import bind_bank
    from specsearch.cli.bank_progress import BankBar
    from specsearch.cli.screen import progress_bar, say

    network, card = ModelAt(model_path, key_map_path).read()
    with open_place(store, name) as place, progress_bar() as bar:
        bound = bind_bank(place, network, card, graph=graph, progress=BankBar(bar))
    say(f"The bank {name!r} ({len(bound):,} molecules) belongs to the encoder {card.digest[:8]} now.")


@bank.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
def remove(name: str, yes: bool, store: StoreAt) -> None:
    """Remove the bank NAME; nothing of it is kept."""
    from ingest.bank import remove_bank
    from specsearch.cli.screen import say
    from specsearch.store.bank_files import CARD

    with open_place(store, name) as place:
        if (place.folder / CARD).is_file() and not yes:
            click.confirm(f"Remove the bank {name!r} from {store.location}?", abort=True, err=True)
        remove_bank(place)
    say(f"The bank {name!r} was removed.")


def _show_summary(summary: BankSummary) -> None:
    from specsearch.cli.screen import screen
    from specsearch.report.tables import make_table

    counts = [
        ("read", sum(source.n_read for source in summary.sources)),
        ("used", sum(source.n_used for source in summary.sources)),
        ("InChIKeys taken as given", sum(source.n_keys_taken for source in summary.sources)),
        ("InChIKeys found wrong, in a sample", sum(source.n_keys_wrong for source in summary.sources)),
        ("files passed over", len(summary.passed_over)),
        ("new molecules", summary.n_new),
        (f"in bank {summary.bank!r} now", summary.n_in_bank),
    ]
    console = screen()
    rows = [(name, f"{count:,}") for name, count in counts]
    console.print(make_table("", ("records", "count"), rows, right="count"))
    if skipped := summary.skipped_by_reason():
        reasons = [(reason, f"{count:,}", str(example)) for reason, count, example in skipped]
        console.print(make_table("Skipped", ("reason", "count", "for example"), reasons, right="count"))


def _write_report(path: Path, summary: BankSummary) -> None:
    from specsearch.cli.screen import say
    from specsearch.report.formats import format_of, write_rows
    from specsearch.report.rows import SKIPPED_COLUMNS, skipped_row

    n_rows = write_rows(path, map(skipped_row, summary.complaints), SKIPPED_COLUMNS, format_of(path))
    say(f"{n_rows:,} complaints are in {path}.")
