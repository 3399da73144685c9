"""``specsearch graph``: the neighbour graph of a library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from specsearch.cli.settings import StoreAt, ToleranceType, store_option

if TYPE_CHECKING:
    from specsearch.chemistry.tolerance import Tolerance


@click.command()
@click.argument("library")
@click.option(
    "--neighbours", type=click.IntRange(1, 1000), help="Most neighbours of a spectrum.  [default: 20]"
)
@click.option(
    "--precursor",
    type=ToleranceType(),
    metavar="20ppm",
    help="Window of the neighbours that may be the same compound.  [default: 20 ppm]",
)
@store_option
def graph(library: str, neighbours: int | None, precursor: Tolerance | None, store: StoreAt) -> None:
    """Build or refresh the neighbour graph of LIBRARY.

    For every spectrum its best few others, everywhere and within a precursor window, scored as in search and
    rescored exactly. "cluster", "family" and "network" stand on it, and build it themselves where it is
    missing. After spectra were added only those are looked up.
    """
    from specsearch.cli.graph_at import fresh_graph, graph_folder, read_library
    from specsearch.cli.screen import progress_bar, say
    from specsearch.search.graph import N_NEIGHBOURS, PRECURSOR, GraphSettings, Kind
    from specsearch.search.graph_files import find_graph

    old = find_graph(graph_folder(store, library))
    usual = old.settings if old else GraphSettings(N_NEIGHBOURS, PRECURSOR)
    settings = GraphSettings(neighbours or usual.n_neighbours, precursor or usual.precursor)
    with progress_bar() as bar:
        snapshot = read_library(store, library, bar)
        made, build = fresh_graph(store, library, snapshot, settings, bar)
    counts = {kind: made.of(kind).num_rows for kind in Kind}
    say(
        f"{len(snapshot):,} spectra, {counts[Kind.EVERYWHERE]:,} edges to the nearest "
        f"{settings.n_neighbours} everywhere, {counts[Kind.WINDOW]:,} within {settings.precursor}."
    )
    if not build.n_asked:
        say("Nothing has changed since it was built.")
    elif build.n_kept:
        say(f"{build.n_asked:,} spectra were looked up, {build.n_kept:,} kept their neighbours.")
