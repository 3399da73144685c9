"""``specsearch search``: what looks like these spectra."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specsearch.cli.settings import ModelAt, StoreAt, ToleranceType, model_options, store_option
from specsearch.errors import LibraryNotFound

if TYPE_CHECKING:
    from specsearch.chemistry.tolerance import Tolerance
    from specsearch.search.similar import Answer, SearchSettings
    from specsearch.store.store import Store

_FORMATS = ("table", "csv", "tsv", "jsonl", "parquet")


@click.command()
@click.argument("queries", nargs=-1, required=True)
@click.option(
    "--library",
    "names",
    multiple=True,
    metavar="NAME",
    help="Library to search; may be repeated.  [default: the only one there is]",
)
@click.option(
    "--precursor",
    type=ToleranceType(),
    metavar="10ppm|0.02Da",
    help="Precursor window.  [default: open search]",
)
@click.option("--top", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Hits per query.")
@click.option(
    "--by",
    type=click.Choice(["fused", "embedding", "peaks"]),
    default="fused",
    show_default=True,
    help="Which scores rank: learned embedding, peaks and neutral losses, or both.",
)
@click.option("--adduct", multiple=True, help="Only hits with this adduct; may be repeated.")
@click.option("--formula", multiple=True, help="Only hits with this formula; may be repeated.")
@click.option("--instrument-type", multiple=True, help="Only hits of this instrument type; may be repeated.")
@click.option(
    "--inchikey14", multiple=True, help="Only hits with this first InChIKey block; may be repeated."
)
@click.option("--any-ion-mode", is_flag=True, help="Also hits of the other ion mode.")
@click.option(
    "--fragment",
    type=ToleranceType(),
    metavar="0.02Da",
    help="Tolerance of peaks in the exact scores.  [default: 0.02 Da]",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(_FORMATS),
    help="[default: by the ending of the output file, else table]",
)
@click.option(
    "-o", "--output", "output", type=click.Path(dir_okay=False, path_type=Path), help="File to write to."
)
@store_option
@model_options
def search(
    queries: tuple[str, ...],
    names: tuple[str, ...],
    output_format: str | None,
    output: Path | None,
    store: StoreAt,
    model_path: Path | None,
    key_map_path: Path | None,
    **looking_for: Any,
) -> None:
    """Search libraries for what looks like the spectra in QUERIES.

    QUERIES are files, folders or patterns in any format that "specsearch index" reads.
    """
    from specsearch.cli.queries import Outcome, answers
    from specsearch.cli.screen import progress_bar
    from specsearch.search.similar import SimilaritySearch

    output_format = _chosen_format(output_format, output)
    settings = _settings(**looking_for)
    with ExitStack() as stack:
        opened = stack.enter_context(store.open())
        names = names or (only_library(opened, store),)
        embedder = ModelAt(model_path, key_map_path).load()
        collections = [stack.enter_context(opened.open(name)) for name in dict.fromkeys(names)]
        outcome = Outcome(names, sum(collection.count() for collection in collections))
        # On a terminal the answers themselves show how far it is.
        bar = stack.enter_context(progress_bar(is_shown=output is not None or not sys.stdout.isatty()))
        found = answers(queries, SimilaritySearch(collections, embedder, settings), outcome, bar)
        _write(found, output_format, output)
    outcome.tell(settings)


def only_library(opened: Store, store: StoreAt) -> str:
    """The only library of the store.

    Raises
    ------
    LibraryNotFound
        If there is none, or more than one.
    """
    found = opened.libraries()
    if not found:
        raise LibraryNotFound(
            f"There is no library in {store.location}.", 'Make one: "specsearch index FILES --library NAME".'
        )
    if len(found) > 1:
        raise LibraryNotFound(
            "There is more than one library.", f"Choose with --library NAME: {', '.join(found)}."
        )
    return found[0]


def _chosen_format(asked: str | None, output: Path | None) -> str:
    """The output format.

    Raises
    ------
    click.UsageError
        For Parquet without a file.
    """
    ending = output.suffix.lower().lstrip(".") if output is not None else ""
    chosen = asked or (ending if ending in _FORMATS else "table")
    if chosen == "parquet" and output is None:
        raise click.UsageError("Parquet is not text: name a file with -o FILE.")
    return chosen


def _settings(
    precursor: Tolerance | None,
    fragment: Tolerance | None,
    top: int,
    by: str,
    any_ion_mode: bool,
    **values: Sequence[str],
) -> SearchSettings:
    from specsearch.search.fusion import FUSIONS
    from specsearch.search.similar import SearchSettings
    from specsearch.spectra.similarity import FRAGMENT_TOLERANCE
    from specsearch.store.filters import Filter

    return SearchSettings(
        top=top,
        precursor=precursor,
        same_ion_mode=not any_ion_mode,
        filter=Filter(**{name: tuple(given) for name, given in values.items() if given}),  # type: ignore[arg-type]
        weights=FUSIONS[by],
        n_candidates=max(100, top),
        fragment=fragment or FRAGMENT_TOLERANCE,
    )


def _write(found: Iterator[tuple[str, Answer]], output_format: str, output: Path | None) -> None:
    if output_format == "table":
        _write_tables(found, output)
        return
    from specsearch.report.formats import write_rows, write_text_rows
    from specsearch.report.rows import HIT_COLUMNS, hit_rows

    rows = (row for query_file, answer in found for row in hit_rows(answer, query_file))
    if output is not None:
        write_rows(output, rows, HIT_COLUMNS, output_format)  # type: ignore[arg-type]
    else:
        write_text_rows(sys.stdout, rows, HIT_COLUMNS, output_format)  # type: ignore[arg-type]


def _write_tables(found: Iterator[tuple[str, Answer]], output: Path | None) -> None:
    from specsearch.cli.screen import screen
    from specsearch.report.tables import hits_table
    from specsearch.spectra.writers.atomic import replacing_text

    with ExitStack() as stack:
        console = screen(stack.enter_context(replacing_text(output)) if output is not None else None)
        for _, answer in found:
            if answer.hits:
                console.print(hits_table(answer, console.width))
