"""``specsearch cluster``: spectra of one compound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.settings import StoreAt, ToleranceType, store_option

if TYPE_CHECKING:
    from specsearch.chemistry.tolerance import Tolerance
    from specsearch.report.rows import Row
    from specsearch.search.clusters import Clusters
    from specsearch.search.snapshot import Snapshot

_WRITTEN = 1_000


@click.command()
@click.argument("library")
@click.option(
    "--precursor",
    type=ToleranceType(),
    metavar="20ppm",
    help="No two of a cluster are further apart.  [default: 20 ppm]",
)
@click.option(
    "--similarity",
    type=click.FloatRange(0.0, 1.0),
    help="No two of a cluster are less alike.  [default: as measured at 1 % incorrectly clustered]",
)
@click.option(
    "--representative",
    type=click.Choice(("medoid", "best", "consensus")),
    default="medoid",
    show_default=True,
    help="What stands for a cluster: its most typical spectrum, the one with most peaks, or their consensus.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Table of all spectra (.parquet, .csv, .tsv, .jsonl), or the representatives (.mgf, .msp).",
)
@click.option(
    "--apply",
    "is_applied",
    is_flag=True,
    help="Write number, size and representative of its cluster to every spectrum of the library.",
)
@store_option
def cluster(
    library: str,
    precursor: Tolerance | None,
    similarity: float | None,
    representative: str,
    output: Path | None,
    is_applied: bool,
    store: StoreAt,
) -> None:
    """Cluster the spectra of LIBRARY: one cluster, one compound.

    By complete linkage of peaks and neutral losses, within a precursor window, a charge and an ion mode; the
    result does not depend on the order of input.
    """
    from specsearch.cli.graph_at import fresh_graph, read_library
    from specsearch.cli.screen import progress_bar
    from specsearch.search.clusters import ClusterSettings, find_clusters
    from specsearch.search.graph import Kind

    usual = ClusterSettings()
    settings = ClusterSettings(
        usual.least_similarity if similarity is None else similarity,
        precursor or usual.precursor,
    )
    with progress_bar() as bar:
        snapshot = read_library(store, library, bar)
        graph, _ = fresh_graph(store, library, snapshot, None, bar)
        edges = graph.of(Kind.WINDOW)
        task = bar.add_task("clustering", total=len(snapshot))
        source, target = (edges[name].to_numpy().astype("int64") for name in ("source", "target"))
        clusters = find_clusters(snapshot, source, target, settings, lambda n: bar.advance(task, n))
    _tell(clusters)
    if output is not None:
        _write(output, snapshot, clusters, representative)
    if is_applied:
        _apply(snapshot, clusters, representative, store)


def _apply(snapshot: Snapshot, clusters: Clusters, representative: str, store: StoreAt) -> None:
    from specsearch.cli.screen import progress_bar, say
    from specsearch.report.cluster_rows import cluster_notes
    from specsearch.search.representatives import Representative, representatives

    notes = cluster_notes(
        snapshot, clusters, representatives(snapshot, clusters, Representative(representative))
    )
    points = list(notes)
    with (
        store.open() as opened,
        opened.open(snapshot.library, write=True) as collection,
        progress_bar() as bar,
    ):
        task = bar.add_task("writing clusters", total=len(points))
        for start in range(0, len(points), _WRITTEN):
            batch = points[start : start + _WRITTEN]
            collection.annotate({point: notes[point] for point in batch})
            bar.advance(task, len(batch))
        collection.flush()
    say(f"Wrote the clusters of {len(points):,} spectra into {snapshot.library!r}.")


def _tell(clusters: Clusters) -> None:
    from specsearch.cli.screen import say

    size, settings = clusters.size, clusters.settings
    n_all, n_clustered = len(size), int((size > 1).sum())
    n_clusters = len(set(clusters.number[size > 1].tolist()))
    say(
        f"{n_all:,} spectra: {n_clustered:,} ({n_clustered / max(1, n_all):.0%}) in {n_clusters:,} clusters, "
        f"the largest of {int(size.max(initial=0)):,}; {n_all - n_clustered:,} alone."
    )
    say(
        f"No two of a cluster less alike than {settings.least_similarity:.2f}, none further apart than "
        f"{settings.precursor}."
    )


def _write(output: Path, snapshot: Snapshot, clusters: Clusters, representative: str) -> None:
    from specsearch.cli.screen import say
    from specsearch.report.cluster_rows import CLUSTER_COLUMNS, cluster_rows, representative_spectra
    from specsearch.report.formats import format_of, write_rows
    from specsearch.search.representatives import Representative, representatives
    from specsearch.spectra.writers import write_spectra

    which = Representative(representative)
    chosen = representatives(snapshot, clusters, which)
    if output.suffix in (".mgf", ".msp"):
        n_written = write_spectra(output, representative_spectra(snapshot, clusters, chosen, which))
        say(f"Wrote {n_written:,} representatives to {output}.")
        return
    rows: Iterator[Row] = cluster_rows(snapshot, clusters, chosen)
    say(f"Wrote {write_rows(output, rows, CLUSTER_COLUMNS, format_of(output)):,} rows to {output}.")
