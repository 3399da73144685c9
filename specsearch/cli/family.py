"""``specsearch family`` and ``specsearch network``: who belongs together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.graph_at import fresh_graph, graph_folder, read_library
from specsearch.cli.settings import ModelAt, StoreAt, model_options, store_option

if TYPE_CHECKING:
    import networkx as nx

    from specsearch.report.rows import Row
    from specsearch.search.graph_files import Graph
    from specsearch.search.similar import Answer

_OUTPUT_HELP = ".graphml or .cyjs (Cytoscape), or the nodes as .csv, .tsv, .jsonl, .parquet."
_PAGE_HELP = ".html (a page to look at), " + _OUTPUT_HELP
_N_SHOWN = 30


@click.command()
@click.argument("start", metavar="LIBRARY:ACCESSION|FILE")
@click.option("--library", help="Library to look in, where START is a file of spectra.")
@click.option(
    "--hops",
    type=click.IntRange(0, 10),
    default=2,
    show_default=True,
    help="How far to walk; steps among spectra of one molecule are free.",
)
@click.option(
    "--least",
    type=click.FloatRange(0.0, 1.0),
    default=0.35,
    show_default=True,
    help="Fused score below which an edge is not followed.",
)
@click.option(
    "--most",
    type=click.IntRange(1, 5000),
    default=100,
    show_default=True,
    help="Most members; the nearest stay.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help=_PAGE_HELP)
@store_option
@model_options
def family(
    start: str,
    library: str | None,
    hops: int,
    least: float,
    most: int,
    output: Path | None,
    store: StoreAt,
    model_path: Path | None,
    key_map_path: Path | None,
) -> None:
    """Show the structure family around a spectrum.

    START is a spectrum of a library, as "mylab:ACCESSION", or a file of spectra together with --library. A
    member without a structure is given that of its nearest neighbour, which is a suggestion and not more: of
    best hits of molecules new to a library one in five is alike (Tanimoto 0.6), whatever the score.
    """
    from specsearch.report.networks import network_of, node_rows, with_queries, write_network
    from specsearch.search.families import FamilySettings, find_family, seeds_of
    from specsearch.search.graph import Kind
    from specsearch.store.schema import Key

    name, is_file = _library_of(start, library)
    graph = _graph(store, name)
    answers = _answers(start, name, store, ModelAt(model_path, key_map_path)) if is_file else []
    seeds = seeds_of(graph, answers) if is_file else {graph.row_of(start): 1.0}
    settings = FamilySettings(max(0, hops - is_file), least, most)  # a file's hits are one hop away
    molecules = graph.nodes[Key.INCHIKEY14].to_pylist()
    found = find_family(graph.of(Kind.EVERYWHERE), molecules, seeds, settings)
    rows = node_rows(graph.nodes, found)
    made = network_of(rows, found)
    rows = with_queries(made, rows, answers)
    _show(rows, made.number_of_edges())
    if output is None:
        return
    if output.suffix.lower() == ".html":
        _write_page(output, f"The family of {start}", made, rows, name, store, answers)
    else:
        write_network(output, made, rows)


@click.command()
@click.argument("library")
@click.option(
    "--least",
    type=click.FloatRange(0.0, 1.0),
    default=0.60,
    show_default=True,
    help="Fused score below which two spectra are not joined.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help=_OUTPUT_HELP
)
@store_option
def network(library: str, least: float, output: Path, store: StoreAt) -> None:
    """Write the molecular network of LIBRARY for Cytoscape.

    Every spectrum with its metadata, its edges, and the number of its community as "family".
    """
    import numpy as np

    from specsearch.cli.screen import progress_bar, say
    from specsearch.report.networks import add_communities, network_of, node_rows, write_network
    from specsearch.search.families import Family, undirected
    from specsearch.search.graph import Kind

    with progress_bar() as bar:
        snapshot = read_library(store, library, bar)
        graph, _ = fresh_graph(store, library, snapshot, None, bar)
        bar.add_task("finding communities", total=None)
        n_nodes = graph.nodes.num_rows
        pairs = undirected(graph.of(Kind.EVERYWHERE), least)
        all_rows = Family(np.arange(n_nodes), np.zeros(n_nodes, np.int64), np.ones(n_nodes), pairs)
        rows = node_rows(graph.nodes, all_rows)
        made = network_of(rows, all_rows)
        n_families = add_communities(made)
        write_network(output, made, rows)
    say(f"Wrote {n_nodes:,} spectra, {pairs.num_rows:,} edges, {n_families:,} communities to {output}.")


def _library_of(start: str, library: str | None) -> tuple[str, bool]:
    """Name of the library, and whether the walk starts from a file."""
    if Path(start).exists():
        if library is None:
            raise click.UsageError("Name the library to look in: --library NAME.")
        return library, True
    name, colon, _ = start.partition(":")
    if not colon:
        raise click.UsageError(f'{start!r} is neither a file nor "LIBRARY:ACCESSION".')
    return name, False


def _graph(store: StoreAt, library: str) -> Graph:
    """The graph of a library, which must not be visibly older than it; made where there is none."""
    from specsearch.cli.screen import progress_bar
    from specsearch.search.graph_files import find_graph

    graph = find_graph(graph_folder(store, library))
    if graph is None:
        with progress_bar() as bar:
            return fresh_graph(store, library, read_library(store, library, bar), None, bar)[0]
    with store.open() as opened, opened.open(library) as collection:
        graph.require_size(collection)
    return graph


def _answers(file: str, library: str, store: StoreAt, model: ModelAt) -> list[Answer]:
    """The best hits of every spectrum of a file."""
    from specsearch.cli.screen import say
    from specsearch.search.families import N_SEEDS
    from specsearch.search.similar import SearchSettings, SimilaritySearch
    from specsearch.spectra.readers import read_spectra
    from specsearch.spectra.spectrum import Spectrum

    records = list(read_spectra(file))
    queries = [record for record in records if isinstance(record, Spectrum)]
    if n_skipped := len(records) - len(queries):
        say(f"{n_skipped:,} records of {file} could not be read.")
    with store.open() as opened, opened.open(library) as collection:
        search = SimilaritySearch([collection], model.load(), SearchSettings(top=N_SEEDS))
        answers = [answer for answer in search.search(queries) if answer.hits]
    if not answers:
        raise click.UsageError(f"No spectrum of {file} has a hit in {library!r}.")
    return answers


def _write_page(
    path: Path,
    title: str,
    made: nx.Graph,
    rows: list[Row],
    library: str,
    store: StoreAt,
    answers: list[Answer],
) -> None:
    from specsearch.cli.screen import say
    from specsearch.report.family_page import write_family_page
    from specsearch.report.networks import query_name
    from specsearch.store.points import point_id
    from specsearch.store.spectra import spectrum_of

    members = {str(row["spectrum_id"]) for row in rows}
    ids = {point_id(library, name.partition(":")[2]): name for name in sorted(members)}
    with store.open() as opened, opened.open(library) as collection:
        spectra = {ids[point]: spectrum_of(record) for point, record in collection.fetch(list(ids)).items()}
    spectra |= {query_name(number, answer): answer.query for number, answer in enumerate(answers, start=1)}
    write_family_page(path, title, made, rows, spectra)
    say(f"Wrote the page to {path}.")


def _show(rows: list[Row], n_edges: int) -> None:
    from specsearch.chemistry.common_structure import common_substructure, shared_scaffold
    from specsearch.cli.screen import say, screen
    from specsearch.report.tables import make_table, plain, shortened

    structures = [str(row["smiles"]) for row in rows if row["smiles"]]
    cells = [
        (
            plain(row["spectrum_id"]),
            str(row["hop"]),
            f"{row['path_score']:.2f}",
            "" if row["precursor_mz"] is None else f"{row['precursor_mz']:.4f}",
            shortened(plain(row["compound_name"] or ""), 30),
            shortened(plain(row["smiles"] or ""), 40) if row["smiles"] else _suggestion(row),
        )
        for row in rows[:_N_SHOWN]
    ]
    columns = ("spectrum", "hop", "path", "precursor m/z", "name", "structure")
    screen().print(make_table("Family", columns, cells, right="hop path precursor m/z"))
    n_more = len(rows) - len(cells)
    say(f"{len(rows):,} members ({n_more:,} not shown), {n_edges:,} edges.")
    name, count = shared_scaffold(structures)
    if name:
        say(f"Scaffold of {count} of {len(structures)} annotated members: {name}")
    if common := common_substructure(structures):
        say(f"Common substructure of most of them (SMARTS): {common}")


def _suggestion(row: Row) -> str:
    from specsearch.report.tables import shortened

    if row["suggested_smiles"] is None:
        return "?"
    return f"like {shortened(str(row['suggested_smiles']), 30)} ({row['suggestion_score']:.2f})"
