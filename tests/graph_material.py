"""A library of families in sight: spectra of a few parents, each measured several times with noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from specsearch.report.networks import network_of, node_rows
from specsearch.report.rows import Row
from specsearch.search.families import Family
from specsearch.search.graph import EDGE_SCHEMA
from specsearch.search.snapshot import NODE_SCHEMA, Snapshot, read_snapshot
from specsearch.spectra.cleaning import ENCODER_RECIPE, clean
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.points import make_point
from specsearch.store.schema import Contract
from specsearch.store.store import open_store
from specsearch.store.vectors import sparse_vectors

SIZE = 24
CONTRACT = Contract("digest-1", "state", SIZE, "encoder-1", "binned-1")


def spectra(
    n_families: int = 8, n_each: int = 6, seed: int = 0, n_without_precursor: int = 0
) -> list[Spectrum]:
    """Families of like spectra; a family shares peaks, precursor and structure key."""
    rng = np.random.default_rng(seed)
    made = []
    for family in range(n_families):
        precursor = 300.0 + 10 * family
        mz = np.sort(rng.uniform(50, precursor - 5, 12))
        height = rng.uniform(0.1, 1.0, 12)
        for copy in range(n_each):
            keep = rng.random(12) > 0.15
            keep[:2] = True
            made.append(
                Spectrum.checked(
                    mz[keep] + rng.normal(0, 0.001, keep.sum()),
                    height[keep] * rng.uniform(0.8, 1.2, keep.sum()),
                    accession=f"F{family}-{copy}",
                    precursor_mz=None
                    if len(made) < n_without_precursor
                    else precursor * (1 + rng.normal(0, 1e-6)),
                    charge=1 if family % 4 else -1,
                    adduct="[M+H]+" if family % 4 else "[M-H]-",
                    metadata={
                        "inchikey": f"{'ABCDEFGHIJKLMN'[family % 14] * 14}-UHFFFAOYSA-N",
                        "smiles": "C" * (family + 1),
                    },
                )
            )
    return made


def embeddings(records: Sequence[Spectrum], seed: int = 1) -> NDArray[np.float32]:
    """Unit vectors, those of a family near each other."""
    rng = np.random.default_rng(seed)
    centres = {name: rng.normal(size=SIZE) for name in sorted({r.accession.split("-")[0] for r in records})}
    vectors = np.array([centres[r.accession.split("-")[0]] for r in records])
    vectors += 0.05 * np.array([np.random.default_rng(_number(r)).normal(size=SIZE) for r in records])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _number(record: Spectrum) -> int:
    return int.from_bytes(record.accession.encode()[:8], "big") % 2**32


def fill(folder: Path, records: Sequence[Spectrum], name: str = "lib") -> None:
    """Store spectra; those that are there are replaced."""
    prepared = [clean(record, ENCODER_RECIPE) for record in records]
    peaks, losses = sparse_vectors(prepared)
    parts = zip(records, embeddings(records), peaks, losses, strict=True)
    points = [
        make_point(name, record, vector, p, loss, {"content": record.splash})
        for record, vector, p, loss in parts
    ]
    with open_store(folder) as store:
        opened = store.open(name, write=True) if store.exists(name) else store.create(name, CONTRACT)
        with opened as collection:
            collection.upsert(points)


def snapshot_of(folder: Path, name: str = "lib") -> Snapshot:
    with open_store(folder) as store, store.open(name) as collection:
        return read_snapshot(collection)


def turned_family() -> tuple[nx.Graph, list[Row]]:
    """Of three spectra the heavy one is nearest, and the graph keeps its edge from light to heavy."""
    nodes = [("light", 200.0), ("unknown", None), ("heavy", 214.01565)]
    known = [{"spectrum_id": f"lib:{name}", "compound_name": name, "precursor_mz": mz} for name, mz in nodes]
    edge = {**dict.fromkeys(EDGE_SCHEMA.names, 0.5), "kind": "everywhere", "rank": 1, "n_matched": 4}
    ends = [(0, 2, 14.01565), (1, 2, None)]
    links = [{**edge, "source": a, "target": b, "precursor_difference": d} for a, b, d in ends]
    family = Family(
        np.array([2, 0, 1]), np.array([0, 1, 1]), np.ones(3), pa.Table.from_pylist(links, EDGE_SCHEMA)
    )
    rows = node_rows(pa.Table.from_pylist(known, NODE_SCHEMA), family)
    return network_of(rows, family), rows
