"""``specsearch identify``: what these spectra could be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specsearch.cli.bank_place import bank_folder, open_place
from specsearch.cli.ranker import find_ranker
from specsearch.cli.settings import ModelAt, StoreAt, ToleranceType, model_options, store_option
from specsearch.errors import ParseError

if TYPE_CHECKING:
    from specsearch.chemistry.tolerance import Tolerance
    from specsearch.encoder.embedder import Embedder
    from specsearch.report.candidate_mztab import Answer
    from specsearch.report.candidate_rows import Provenance
    from specsearch.search.candidates import CandidateSettings
    from specsearch.search.decision import DecisionLayer
    from specsearch.search.similar import SimilaritySearch

_FORMATS = ("table", "csv", "tsv", "jsonl", "parquet", "html", "mztab", "selective")
_FILES_ONLY = ("parquet", "html", "mztab")


@click.command()
@click.argument("queries", nargs=-1, required=True)
@click.option("--bank", "bank_name", required=True, metavar="NAME", help="Bank of candidate molecules.")
@click.option(
    "--mass",
    "window",
    type=ToleranceType(),
    default="10ppm",
    show_default=True,
    metavar="10ppm|0.01Da",
    help="Window around the neutral mass that precursor and adduct say.",
)
@click.option("--whole-bank", is_flag=True, help="No mass window: the best of all molecules.")
@click.option("--top", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Per query.")
@click.option("--formula", "formulas", multiple=True, help="Only this formula; may be repeated.")
@click.option("--elements", metavar="CHNOPS", help="Only molecules of these elements, hydrogen besides.")
@click.option(
    "--adduct",
    metavar="[M+H]+",
    help="Adduct of all queries.  [default: each record's own, else those common in its ion mode]",
)
@click.option(
    "--library",
    "libraries",
    multiple=True,
    metavar="NAME",
    help="Library whose spectra take part: structures like those of similar spectra; may be repeated.",
)
@click.option(
    "--fragments",
    "n_fragmented",
    type=click.IntRange(0, 10_000),
    default=50,
    show_default=True,
    help="How many of the first candidates are taken apart, to see which peaks they explain.",
)
@click.option(
    "--ranker",
    "ranker_name",
    metavar="none|FILE",
    help="What ranks the candidates and says how sure that is; none takes a fixed rule, without "
    "probabilities.  [default: the one shipped for the model]",
)
@click.option(
    "--risk",
    metavar="5%|10%|20%|30%|50%",
    help='Share of wrong answers you accept: less sure lists are rated "cannot say".',
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(_FORMATS),
    help='"selective" is query_id,candidate_id,rank,score as CSV.  [default: by the ending of the output '
    "file, else table]",
)
@click.option(
    "-o", "--output", "output", type=click.Path(dir_okay=False, path_type=Path), help="File to write to."
)
@store_option
@model_options
def identify(
    queries: tuple[str, ...],
    bank_name: str,
    libraries: tuple[str, ...],
    ranker_name: str | None,
    output_format: str | None,
    output: Path | None,
    store: StoreAt,
    model_path: Path | None,
    key_map_path: Path | None,
    **looking_for: Any,
) -> None:
    """Look up what the spectra in QUERIES could be, among the molecules of a bank.

    QUERIES are files, folders or patterns in any format that "specsearch index" reads. Make a bank with
    "specsearch bank add FILES --name NAME".

    The answer is a candidate shortlist, not an identification: the true molecule may not be in the bank.
    Each list is rated: of those rated "high" at least nine in ten have the right molecule first, where the
    bank has it, and where it has not, about one list in twenty is rated so; "medium" is right at least in
    every second case at its edge, "low" in every fifth, and below that the answer is "cannot say". A
    probability is that of a candidate if the bank has the right molecule.
    """
    from specsearch.cli.identify_queries import Identified, shortlists
    from specsearch.cli.screen import progress_bar
    from specsearch.encoder.embedder import Embedder
    from specsearch.report.candidate_rows import made_by
    from specsearch.search.candidates import CandidateSearch
    from specsearch.store.bank import open_bank

    output_format = _chosen_format(output_format, output)
    network, card = ModelAt(model_path, key_map_path).read()
    decision = find_ranker(ranker_name, card.digest)
    settings = _settings(decision=decision, **looking_for)
    bank = open_bank(bank_folder(store, bank_name), card.digest)
    embedder = Embedder(network, card)
    with ExitStack() as stack:
        similar = _similarity(stack, store, libraries, embedder)
        collection = None
        if settings.window is None:
            place = stack.enter_context(open_place(store, bank_name))
            collection = stack.enter_context(place.store.open(place.collection))
        search = CandidateSearch(bank, embedder, network, settings, similar, collection)
        made_with = made_by(bank, card.digest, decision)
        outcome = Identified(bank_name, len(bank))
        # On a terminal the answers themselves show how far it is.
        bar = stack.enter_context(progress_bar(is_shown=output is not None or not sys.stdout.isatty()))
        found = shortlists(queries, search, outcome, bar)
        _write(found, made_with, output_format, output)
    outcome.tell()


def _chosen_format(asked: str | None, output: Path | None) -> str:
    """The output format.

    Raises
    ------
    click.UsageError
        For a format that is no stream of lines, without a file.
    """
    ending = output.suffix.lower().lstrip(".") if output is not None else ""
    chosen = asked or (ending if ending in _FORMATS else "table")
    if chosen in _FILES_ONLY and output is None:
        raise click.UsageError(f"The format {chosen} needs a file: name one with -o FILE.")
    return chosen


def _settings(
    window: Tolerance,
    whole_bank: bool,
    top: int,
    formulas: tuple[str, ...],
    elements: str | None,
    adduct: str | None,
    n_fragmented: int,
    decision: DecisionLayer | None,
    risk: str | None,
) -> CandidateSettings:
    from specsearch.chemistry.adducts import parse_adduct
    from specsearch.search.candidates import CandidateSettings
    from specsearch.search.constraints import Constraints, parse_elements, parse_formulas

    known = () if decision is None else decision.risks
    if risk is not None and risk not in known:
        advice = f"choose one of {', '.join(known)}" if known else "it needs a ranker"
        raise click.UsageError(f"There is no threshold for a risk of {risk}: {advice}.")
    try:
        constraints = Constraints(
            parse_formulas(formulas), None if elements is None else parse_elements(elements)
        )
        canonical = None if adduct is None else str(parse_adduct(adduct))
    except ParseError as error:
        raise click.UsageError(str(error)) from error
    return CandidateSettings(
        top=top,
        window=None if whole_bank else window,
        adduct=canonical,
        constraints=constraints,
        n_from_bank=max(200, top),
        n_fragmented=n_fragmented,
        decision=decision,
        risk=risk,
    )


def _similarity(
    stack: ExitStack, store: StoreAt, libraries: tuple[str, ...], embedder: Embedder
) -> SimilaritySearch | None:
    """An open search of the libraries, or None where there are none."""
    if not libraries:
        return None
    from specsearch.search.library_evidence import N_NEIGHBOURS
    from specsearch.search.similar import SearchSettings, SimilaritySearch

    opened = stack.enter_context(store.open())
    collections = [stack.enter_context(opened.open(name)) for name in dict.fromkeys(libraries)]
    return SimilaritySearch(collections, embedder, SearchSettings(top=N_NEIGHBOURS, n_candidates=100))


def _write(found: Iterator[Answer], provenance: Provenance, output_format: str, output: Path | None) -> None:
    if output_format == "table":
        _write_tables(found, output)
    elif output_format in ("html", "mztab"):
        assert output is not None  # required beforehand
        _write_document(found, provenance, output_format, output)
    else:
        _write_lines(found, provenance, output_format, output)


def _write_document(
    found: Iterator[Answer], provenance: Provenance, output_format: str, output: Path
) -> None:
    from specsearch.report.candidate_mztab import write_candidate_mztab
    from specsearch.report.candidate_page import write_page

    if output_format == "mztab":
        write_candidate_mztab(output, found, provenance)
    else:
        write_page(output, ((file, shortlist) for file, _, shortlist in found), provenance)


def _write_lines(
    found: Iterator[Answer], provenance: Provenance, output_format: str, output: Path | None
) -> None:
    from specsearch.report.candidate_rows import (
        CANDIDATE_COLUMNS,
        SELECTIVE_COLUMNS,
        candidate_rows,
        selective_rows,
    )
    from specsearch.report.formats import write_rows, write_text_rows

    if output_format == "selective":
        columns, output_format = SELECTIVE_COLUMNS, "csv"
        rows = (row for _, _, shortlist in found for row in selective_rows(shortlist))
    else:
        columns = CANDIDATE_COLUMNS
        rows = (row for file, _, shortlist in found for row in candidate_rows(shortlist, provenance, file))
    if output is not None:
        write_rows(output, rows, columns, output_format)  # type: ignore[arg-type]
    else:
        write_text_rows(sys.stdout, rows, columns, output_format)  # type: ignore[arg-type]


def _write_tables(found: Iterator[Answer], output: Path | None) -> None:
    from specsearch.cli.screen import screen
    from specsearch.report.candidate_tables import shortlist_table
    from specsearch.spectra.writers.atomic import replacing_text

    with ExitStack() as stack:
        console = screen(stack.enter_context(replacing_text(output)) if output is not None else None)
        for _, _, shortlist in found:
            if shortlist.candidates:
                console.print(shortlist_table(shortlist, console.width))
