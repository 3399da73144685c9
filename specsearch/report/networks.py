"""Networks for Cytoscape and others: everything known stands on nodes and edges."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa

from specsearch.chemistry.common_structure import scaffold
from specsearch.chemistry.mass_differences import name_difference
from specsearch.errors import InputFileError
from specsearch.report.formats import write_rows
from specsearch.report.rows import Columns, Row
from specsearch.search.families import Family
from specsearch.search.similar import Answer, SimilarHit
from specsearch.spectra.writers.atomic import replacing
from specsearch.store.schema import Key

_FROM_NODE: Mapping[str, type] = MappingProxyType(
    {
        Key.COMPOUND_NAME: str,
        Key.SMILES: str,
        Key.INCHIKEY14: str,
        Key.FORMULA: str,
        Key.ADDUCT: str,
        Key.PRECURSOR_MZ: float,
        Key.CHARGE: int,
        Key.ION_MODE: str,
        Key.INSTRUMENT_TYPE: str,
        Key.COLLISION_ENERGY: str,
        Key.N_PEAKS: int,
    }
)
NODE_COLUMNS: Columns = MappingProxyType(
    {
        "spectrum_id": str,
        **_FROM_NODE,
        "hop": int,
        "path_score": float,
        "scaffold": str,
        "suggested_smiles": str,
        "suggested_by": str,
        "suggestion_score": float,
    }
)
"""One row a member; a suggestion is the structure of the best annotated neighbour of one without."""

FORMATS = (".graphml", ".cyjs", ".csv", ".tsv", ".jsonl", ".parquet")
_EDGE_SCORES = ("score", "embedding", "fragments", "entropy_similarity", "modified_cosine")


def node_rows(nodes: pa.Table, family: Family) -> list[Row]:
    """What is known of each member, in the family's order."""
    columns = nodes.take(pa.array(family.rows)).to_pydict()
    rows: list[Row] = []
    for i in range(len(family.rows)):
        row = {name: columns[name][i] for name in (Key.SPECTRUM_ID, *_FROM_NODE)}
        row |= {"hop": int(family.hop[i]), "path_score": round(float(family.path_score[i]), 4)}
        row |= {"scaffold": scaffold(row[Key.SMILES]) or None if row[Key.SMILES] else None}
        rows.append({**row, "suggested_smiles": None, "suggested_by": None, "suggestion_score": None})
    _suggest(rows, family)
    return rows


def _suggest(rows: list[Row], family: Family) -> None:
    """Write the best annotated neighbour's structure beside members that have none."""
    place = {int(row): i for i, row in enumerate(family.rows)}
    best: dict[int, tuple[float, int]] = defaultdict(lambda: (0.0, -1))
    columns = (family.edges[name].to_pylist() for name in ("source", "target", "score"))
    for source, target, score in zip(*columns, strict=True):
        for one, other in ((place[source], place[target]), (place[target], place[source])):
            if not rows[one][Key.SMILES] and rows[other][Key.SMILES]:
                best[one] = max(best[one], (score, other))
    for one, (score, other) in best.items():
        rows[one]["suggested_smiles"] = rows[other][Key.SMILES]
        rows[one]["suggested_by"] = rows[other][Key.SPECTRUM_ID]
        rows[one]["suggestion_score"] = round(score, 4)


def network_of(rows: Sequence[Row], family: Family) -> nx.Graph:
    """The family as a networkx graph; node names are spectrum ids, unknown values are left out.

    It keeps no direction: how the precursors of two neighbours differ is told by `directed_edges`.
    """
    network = nx.Graph()
    names = [str(row["spectrum_id"]) for row in rows]
    for name, row in zip(names, rows, strict=True):
        network.add_node(name, **{key: value for key, value in row.items() if value is not None})
    place = {int(row): i for i, row in enumerate(family.rows)}
    for edge in family.edges.to_pylist():
        network.add_edge(names[place[edge["source"]]], names[place[edge["target"]]], **_edge_values(edge))
    return network


def directed_edges(network: nx.Graph) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Edges with what the second spectrum's precursor has more than the first's, where both are known."""
    for one, other, values in network.edges(data=True):
        here, there = (network.nodes[name].get(Key.PRECURSOR_MZ) for name in (one, other))
        if here is None or there is None:
            yield one, other, dict(values)
            continue
        difference = float(there) - float(here)
        change = {"precursor_difference": round(difference, 5), "change": name_difference(difference)}
        yield one, other, {**values, **change}


def query_name(number: int, answer: Answer) -> str:
    """The node of a query, counted from 1; no id of a library has two colons at its start."""
    return f"query::{answer.query.accession or number}"


def with_queries(network: nx.Graph, rows: list[Row], answers: Sequence[Answer]) -> list[Row]:
    """Join queries to their hits in a network; the rows with theirs before, all others one hop further.

    Parameters
    ----------
    network : networkx.Graph
        Changed in place.
    rows : list of Row
    answers : sequence of Answer
        Empty where the walk did not begin from queries.
    """
    if not answers:
        return rows
    direct = {hit.spectrum_id for answer in answers for hit in answer.hits}
    further = [
        {**row, "hop": 1 if row["spectrum_id"] in direct else int(str(row["hop"])) + 1} for row in rows
    ]
    queries: list[Row] = []
    for number, answer in enumerate(answers, start=1):
        name = query_name(number, answer)
        hits = [hit for hit in answer.hits if hit.spectrum_id in network]
        queries.append(_query_row(name, answer, hits))
        network.add_node(name, **{key: value for key, value in queries[-1].items() if value is not None})
        for hit in hits:
            network.add_edge(name, hit.spectrum_id, **_hit_values(hit))
    for row in further:
        network.nodes[str(row["spectrum_id"])]["hop"] = row["hop"]
    return [*queries, *further]


def _query_row(name: str, answer: Answer, hits: Sequence[SimilarHit]) -> Row:
    query = answer.query
    row: Row = dict.fromkeys(NODE_COLUMNS)
    row |= {"spectrum_id": name, "hop": 0, "path_score": 1.0, Key.N_PEAKS: len(query.mz)}
    row |= {Key.PRECURSOR_MZ: query.precursor_mz, Key.CHARGE: query.charge, Key.ADDUCT: query.adduct}
    row |= {Key.COMPOUND_NAME: query.metadata.get("compound_name"), Key.SMILES: query.metadata.get("smiles")}
    known = next((hit for hit in hits if hit.payload.get(Key.SMILES)), None)
    if known is not None and not row[Key.SMILES]:
        row["suggested_smiles"] = known.payload[Key.SMILES]
        row["suggested_by"] = known.spectrum_id
        row["suggestion_score"] = round(known.score, 4)
    return row


def _hit_values(hit: SimilarHit) -> dict[str, object]:
    return {
        "score": round(hit.score, 4),
        "embedding": round(hit.embedding, 4),
        "entropy_similarity": round(hit.entropy_similarity, 4),
        "modified_cosine": round(hit.modified_cosine, 4),
        "n_matched": hit.matched_peaks,
    }


def _edge_values(edge: Mapping[str, object]) -> dict[str, object]:
    values: dict[str, object] = {name: round(float(edge[name]), 4) for name in _EDGE_SCORES}  # type: ignore[arg-type]
    return {**values, "n_matched": edge["n_matched"]}


def add_communities(network: nx.Graph) -> int:
    """Number each node's community as ``family``: Louvain, J. Stat. Mech. P10008 (2008); how many."""
    # The seed and the order of nodes make the answer repeat.
    parts = nx.community.louvain_communities(network, weight="score", seed=0)
    for number, members in enumerate(sorted(parts, key=lambda part: (-len(part), min(part))), start=1):
        for name in members:
            network.nodes[name]["family"] = number
    return len(parts)


def write_network(path: Path, network: nx.Graph, rows: Iterable[Row]) -> None:
    """Write GraphML, Cytoscape JSON, or a table of the nodes, by the file's ending.

    Raises
    ------
    InputFileError
        If the ending is none of `FORMATS` or the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise InputFileError(f"{path.name} has no ending of a network.", f"Use {', '.join(FORMATS)}.")
    if ending == ".graphml":
        with replacing(path) as temporary:
            nx.write_graphml(_without_controls(_with_changes(network)), temporary)
    elif ending == ".cyjs":
        with replacing(path) as temporary:
            data = nx.cytoscape_data(_with_changes(network))
            temporary.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    else:
        write_rows(path, rows, NODE_COLUMNS, ending[1:])  # type: ignore[arg-type]


def _with_changes(network: nx.Graph) -> nx.Graph:
    """The same nodes in the same order, so that files name the ends of an edge as `directed_edges` does."""
    written = nx.Graph()
    written.add_nodes_from(network.nodes(data=True))
    written.add_edges_from(directed_edges(network))
    return written


def _without_controls(network: nx.Graph) -> nx.Graph:
    """Texts without characters that XML forbids."""
    clean = nx.Graph()
    for name, values in network.nodes(data=True):
        clean.add_node(_xml(name), **{key: _xml(value) for key, value in values.items()})
    for one, other, values in network.edges(data=True):
        clean.add_edge(_xml(one), _xml(other), **{key: _xml(value) for key, value in values.items()})
    return clean


def _xml(value: object) -> object:
    if not isinstance(value, str):
        return value.item() if isinstance(value, np.generic) else value
    return "".join(
        c
        for c in value
        if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )
