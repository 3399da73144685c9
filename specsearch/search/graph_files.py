"""Graphs on disk, and bringing one up to date: Parquet files beside the library, tied to its content.

``graph.json`` names the two files, so it is written last: a build that was interrupted leaves the graph that
was there, or none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from specsearch.chemistry.tolerance import Tolerance
from specsearch.errors import ContractMismatch, LibraryNotFound, StoreDamaged, StoreError
from specsearch.search.graph import (
    EDGE_SCHEMA,
    Edges,
    GraphSettings,
    Kind,
    edge_table,
    find_edges,
    joined,
    merged,
)
from specsearch.search.nearest import Rows
from specsearch.search.snapshot import NODE_SCHEMA, POINT_ID, Snapshot
from specsearch.spectra.writers.atomic import replacing
from specsearch.store.integrity import read_json, write_json
from specsearch.store.schema import Contract, Key
from specsearch.store.space import require_free_space
from specsearch.store.store import Collection

GRAPH = "graph.json"
GRAPH_VERSION = 1
_AGAIN = 'Bring it up to date: "specsearch graph LIBRARY".'


@dataclass(frozen=True, eq=False)
class Graph:
    """A neighbour graph as stored.

    Parameters
    ----------
    nodes : pyarrow.Table
        Columns of `NODE_SCHEMA`; the row number is what edges speak of.
    edges : pyarrow.Table
        Columns of `EDGE_SCHEMA`, sorted by kind, source and rank.
    digest : str
        Of the library's content when it was made.
    contract : Contract
    settings : GraphSettings
    """

    nodes: pa.Table
    edges: pa.Table
    digest: str
    contract: Contract
    settings: GraphSettings

    def of(self, kind: Kind) -> pa.Table:
        """The edges of one kind."""
        return self.edges.filter(pc.equal(self.edges["kind"], kind.value))

    def row_of(self, spectrum_id: str) -> int:
        """The node of a spectrum.

        Raises
        ------
        LibraryNotFound
            If there is none.
        """
        row: int = pc.index(self.nodes[Key.SPECTRUM_ID], spectrum_id).as_py()
        if row < 0:
            raise LibraryNotFound(
                f"There is no spectrum {spectrum_id!r}.",
                'Ids are "LIBRARY:ACCESSION", as "specsearch search" shows them.',
            )
        return row

    def is_of(self, snapshot: Snapshot) -> bool:
        """Whether the graph speaks of just these spectra, by the vectors that they have."""
        return self.digest == snapshot.digest and self.contract.is_same(snapshot.contract)

    def require_size(self, collection: Collection) -> None:
        """Raise if the library has visibly changed: a check that costs nothing.

        Raises
        ------
        StoreError
        """
        if not self.contract.is_same(collection.contract):
            raise ContractMismatch(
                f"The graph of {collection.name!r} was made of the vectors of another encoder.",
                _AGAIN,
            )
        if self.nodes.num_rows != (now := collection.count()):
            raise StoreError(
                f"The graph of {collection.name!r} knows {self.nodes.num_rows:,} spectra, "
                f"the library has {now:,}.",
                _AGAIN,
            )


@dataclass(frozen=True)
class Build:
    """What bringing a graph up to date took.

    Parameters
    ----------
    n_asked : int
        Spectra whose neighbours were looked for among all; 0 where nothing had changed.
    n_kept : int
        Spectra whose old neighbours were kept, and compared with the new spectra alone.
    """

    n_asked: int
    n_kept: int


def build_graph(
    snapshot: Snapshot,
    settings: GraphSettings,
    old: Graph | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> tuple[Graph, Build]:
    """Make the graph of a library, from an older one where there is one that fits.

    Spectra that are new, or lost a neighbour, are asked about among all; the others only among the new.

    Parameters
    ----------
    snapshot : Snapshot
    settings : GraphSettings
    old : Graph, optional
        Of the same library at an earlier moment; one of another encoder or with other settings is not used.
    advance : callable
        Told how many spectra more are done, for each kind of edge.
    """
    rows = np.arange(len(snapshot))
    tables, build = [], Build(len(snapshot), 0)
    known = None if old is None or not _fits(old, snapshot, settings) else _Known(old, snapshot)
    for kind in Kind:
        if known is None:
            edges = find_edges(snapshot, settings, kind, rows, rows, advance)
        else:
            edges, build = known.brought_up(settings, kind, advance)
        tables.append(edge_table(snapshot, kind, edges))
    graph = Graph(snapshot.table, pa.concat_tables(tables), snapshot.digest, snapshot.contract, settings)
    return graph, build


def _fits(old: Graph, snapshot: Snapshot, settings: GraphSettings) -> bool:
    return old.contract.is_same(snapshot.contract) and old.settings == settings


class _Known:
    """What an old graph still says of a library."""

    def __init__(self, old: Graph, snapshot: Snapshot) -> None:
        self._old = old
        self._snapshot = snapshot
        now = {key: row for row, key in enumerate(_keys(snapshot.table))}
        self._row_of = np.array([now.get(key, -1) for key in _keys(old.nodes)], dtype=np.int64)
        is_new = np.ones(len(snapshot), dtype=bool)
        is_new[self._row_of[self._row_of >= 0]] = False
        self._new = np.flatnonzero(is_new)

    def brought_up(
        self, settings: GraphSettings, kind: Kind, advance: Callable[[int], None]
    ) -> tuple[Edges, Build]:
        rows = np.arange(len(self._snapshot))
        edges, lost = self._kept(kind)
        asked = np.union1d(self._new, lost)
        kept = np.setdiff1d(rows, asked)
        stay = edges if not len(asked) else _from(edges, kept)
        nearer = find_edges(self._snapshot, settings, kind, kept, self._new, advance)
        full = find_edges(self._snapshot, settings, kind, asked, rows, advance)
        return joined([merged([stay, nearer], settings.n_neighbours), full]), Build(len(asked), len(kept))

    def _kept(self, kind: Kind) -> tuple[Edges, Rows]:
        """Old edges between spectra that are still there, and the rows that lost one."""
        table = self._old.of(kind)
        source = self._row_of[table["source"].to_numpy()]
        target = self._row_of[table["target"].to_numpy()]
        here = (source >= 0) & (target >= 0)
        lost = np.unique(source[(source >= 0) & (target < 0)])
        scores = (table[name].to_numpy()[here] for name in ("score", "embedding", "fragments"))
        return Edges(source[here], target[here], *scores), lost


def _keys(nodes: pa.Table) -> list[tuple[str, str | None, str | None]]:
    columns = (nodes[key].to_pylist() for key in (POINT_ID, Key.CONTENT, Key.SPLASH))
    return list(zip(*columns, strict=True))


def _from(edges: Edges, sources: Rows) -> Edges:
    stay = np.isin(edges.source, sources)
    return replace(edges, **{name: getattr(edges, name)[stay] for name in Edges.__dataclass_fields__})


def write_graph(folder: Path, graph: Graph) -> None:
    """Write a graph; whatever happens, the folder then holds this one or the one before.

    Raises
    ------
    StoreFull
        If there is not enough free space.
    StoreError, InputFileError
        If the folder cannot be written.
    """
    require_free_space(folder, graph.nodes.nbytes + graph.edges.nbytes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    names = {}
    for part, table in (("nodes", graph.nodes), ("edges", graph.edges)):
        maker = graph.contract.encoder_digest[:8]
        names[part] = f"{part}-{graph.digest[:16]}-{maker}-{graph.settings.n_neighbours}.parquet"
        with replacing(folder / names[part]) as temporary:
            pq.write_table(table, temporary, compression="zstd")
    write_json(
        folder / GRAPH,
        {
            "version": GRAPH_VERSION,
            "digest": graph.digest,
            "contract": graph.contract.to_dict(),
            "n_neighbours": graph.settings.n_neighbours,
            "precursor": asdict(graph.settings.precursor),
            "files": names,
        },
    )
    forget_stale(folder)


def forget_stale(folder: Path) -> None:
    """Remove tables that ``graph.json`` does not name: of the graph before, or of a build that was killed."""
    named = {folder / Path(str(name)).name for name in read_json(folder / GRAPH)["files"].values()}
    for stale in set(folder.glob("*.parquet")) - named:
        stale.unlink()


def read_graph(folder: Path) -> Graph:
    """Read a graph.

    Raises
    ------
    StoreError
        If there is none yet.
    StoreDamaged
        If its files are missing or not what they should be.
    """
    if not (folder / GRAPH).is_file():
        raise StoreError(f"There is no neighbour graph in {folder}.", 'Make it: "specsearch graph LIBRARY".')
    values = read_json(folder / GRAPH)
    if values.get("version") != GRAPH_VERSION:
        raise StoreError(f"The graph in {folder} was made by another version.", _AGAIN)
    try:
        settings = GraphSettings(values["n_neighbours"], Tolerance(**values["precursor"]))
        nodes = _read_table(folder, values, "nodes", NODE_SCHEMA)
        edges = _read_table(folder, values, "edges", EDGE_SCHEMA)
        return Graph(nodes, edges, values["digest"], Contract.from_dict(values["contract"]), settings)
    except (KeyError, TypeError, OSError, pa.ArrowException) as error:
        message = f"The graph in {folder} is damaged ({error})."
        raise StoreDamaged(message, f"Remove that folder. {_AGAIN}") from error


def _read_table(folder: Path, values: dict[str, Any], part: str, schema: pa.Schema) -> pa.Table:
    name = Path(str(values["files"][part])).name  # never a path from the file
    return pq.read_table(folder / name, memory_map=True).select(schema.names).cast(schema)


def find_graph(folder: Path) -> Graph | None:
    """The graph that is there, or None; one that cannot be read counts as none."""
    try:
        return read_graph(folder)
    except StoreError:
        return None
