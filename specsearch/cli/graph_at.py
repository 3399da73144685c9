"""Where a library's graph lies, and the library with it: what the commands on graphs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from specsearch.cli.settings import StoreAt

if TYPE_CHECKING:
    from rich.progress import Progress

    from specsearch.search.graph import GraphSettings
    from specsearch.search.graph_files import Build, Graph
    from specsearch.search.snapshot import Snapshot


def graph_folder(store: StoreAt, library: str) -> Path:
    """Folder of a library's graph: beside the collection, or for a server among the user's data."""
    return (
        store.work_folder(library).parent / "graph"
        if not store.is_server
        else store.work_folder(library) / "graph"
    )


def read_library(store: StoreAt, library: str, bar: Progress) -> Snapshot:
    """Read a library whole."""
    from specsearch.search.snapshot import read_snapshot

    with store.open() as opened, opened.open(library) as collection:
        task = bar.add_task(f"reading {library}", total=collection.count())
        return read_snapshot(collection, advance=lambda n: bar.advance(task, n))


def fresh_graph(
    store: StoreAt, library: str, snapshot: Snapshot, settings: GraphSettings | None, bar: Progress
) -> tuple[Graph, Build]:
    """The graph of a library as it is now; made, or brought up to date, where it is missing or older.

    Parameters
    ----------
    settings : GraphSettings, optional
        Those of the graph that is there, else the defaults.
    """
    from specsearch.search.graph import GraphSettings, Kind
    from specsearch.search.graph_files import Build, build_graph, find_graph, forget_stale, write_graph

    folder = graph_folder(store, library)
    old = find_graph(folder)
    settings = settings or (old.settings if old else GraphSettings())
    if old and old.is_of(snapshot) and old.settings == settings:
        forget_stale(folder)
        return old, Build(0, len(snapshot))
    task = bar.add_task("finding neighbours", total=len(Kind) * len(snapshot))
    graph, build = build_graph(snapshot, settings, old, lambda n: bar.advance(task, n))
    write_graph(folder, graph)
    return graph, build
