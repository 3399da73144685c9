"""The graph against all comparisons: what an approximate search may cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from specsearch.spectra.spectrum import Spectrum
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.filters import Filter
from specsearch.store.planner import LARGE_INDEX, IndexSettings
from specsearch.store.points import Point, SparseVector, make_point, point_id
from specsearch.store.queries import VectorQuery
from specsearch.store.schema import TARGET_PROJECTION, Contract, Key

SIZE = 32
N_POINTS = 5000
# A threshold of 1 KB makes the engine walk the graph where it would otherwise compare with all.
WALK = IndexSettings(full_scan_threshold_kb=1, indexing_threshold_kb=10)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_recall_with_and_without_a_filter(
    share: float, clustered: tuple[EmbeddedStore, np.ndarray, np.ndarray]
) -> None:
    store, embeddings, mz = clustered
    window = None if share == 1.0 else Filter(precursor_mz=(100.0, 100.0 + 900.0 * share))
    inside = np.ones(len(mz), bool) if window is None else mz <= 100.0 + 900.0 * share
    rng = np.random.default_rng(8)
    queries = embeddings[rng.choice(N_POINTS, 60, replace=False)] + rng.normal(0, 0.02, (60, SIZE))
    with store.open("lib") as collection:
        asked = [
            VectorQuery("embedding", q.astype(np.float32), 10, window, exact)
            for exact in (False, True)
            for q in queries
        ]
        answers = collection.query(asked)
    expected = [set(np.argsort(-np.where(inside, embeddings @ q, -np.inf))[:10].astype(str)) for q in queries]
    approximate, exact = (
        [
            len({hit.payload["accession"] for hit in hits} & best) / 10
            for hits, best in zip(half, expected, strict=True)
        ]
        for half in (answers[:60], answers[60:])
    )
    assert np.mean(approximate) >= 0.97
    assert np.mean(exact) >= 0.98  # float16 may swap the last places


@pytest.fixture(scope="module")
def clustered(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[EmbeddedStore, np.ndarray, np.ndarray]:
    """Families of ten around random centres, closed and indexed; with embeddings and precursors."""
    root: Path = tmp_path_factory.mktemp("recall")
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(N_POINTS // 10, SIZE))
    embeddings = np.repeat(centres, 10, axis=0) + rng.normal(0, 0.35, (N_POINTS, SIZE))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    mz = rng.uniform(100, 1000, N_POINTS)
    store = EmbeddedStore(root, WALK)
    with store.create("lib", Contract("d", "state", SIZE, "c", "s")) as collection:
        batch = [
            make_point(
                "lib",
                Spectrum.checked([50.0], [1.0], accession=str(i), precursor_mz=float(mz[i])),
                embeddings[i],
                SparseVector(),
                SparseVector(),
            )
            for i in range(N_POINTS)
        ]
        collection.upsert(batch)
        assert collection.optimize()
        assert collection.info().n_indexed_vectors >= N_POINTS
    return store, embeddings, mz


def test_a_large_library_gets_the_larger_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large is ten points here; the engine's own configuration file tells which graph it was asked for."""
    monkeypatch.setattr("specsearch.store.edge.LARGE_LIBRARY", 10)
    rng = np.random.default_rng(3)
    embeddings = rng.normal(size=(20, SIZE)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    contract = Contract("d", "state", SIZE, "c", "s")
    with EmbeddedStore(tmp_path) as store:
        with store.create("lib", contract) as collection:
            for n_points in (9, 20):
                collection.upsert([_point(i, embedding) for i, embedding in enumerate(embeddings[:n_points])])
                collection.optimize()
                asked_for = json.loads((tmp_path / "lib" / "shard" / "edge_config.json").read_text())
                assert asked_for["hnsw_config"]["m"] == (16 if n_points < 10 else LARGE_INDEX.m)
        with store.open("lib") as collection:
            best = collection.query([VectorQuery("embedding", e, 1, None, None, True) for e in embeddings])
    assert [hits[0].payload["accession"] for hits in best] == [str(i) for i in range(20)]


def test_a_large_library_is_indexed_as_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every load has a graph of its own, built once: what is held unindexed has an end, and all is found."""
    n_load, n_loads = 300, 4
    monkeypatch.setattr("specsearch.store.edge.LARGE_LIBRARY", 10)
    monkeypatch.setattr("specsearch.store.edge.UNINDEXED_POINTS", n_load)
    monkeypatch.setattr("specsearch.store.edge.LARGE_INDEX", replace(WALK, segment_points=450))
    embeddings = np.random.default_rng(4).normal(size=(n_load * n_loads, SIZE)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    segments = tmp_path / "lib" / "shard" / "segments"
    with EmbeddedStore(tmp_path, WALK) as store:
        with store.create("lib", Contract("d", "state", SIZE, "c", "s")) as collection:
            graphs: set[str] = set()
            for start in range(0, len(embeddings), n_load):
                rows = range(start, start + n_load)
                collection.upsert([_point(i, embeddings[i]) for i in rows])
                assert collection.info().n_indexed_vectors >= start + n_load
                there = {path.parent.name for path in segments.glob("*/vector_index-embedding")}
                assert graphs < there
                graphs = there
            assert len(graphs) == n_loads
        with store.open("lib") as collection:
            queries = [VectorQuery("embedding", embedding, 10) for embedding in embeddings[::40]]
            answers = collection.query(queries)
    found = [{int(hit.payload["accession"]) for hit in hits} for hits in answers]
    true = np.argsort(-embeddings[::40] @ embeddings.T, axis=1)[:, :10]
    assert (
        np.mean([len(one & set(other)) / 10 for one, other in zip(found, true.tolist(), strict=True)]) > 0.97
    )


def test_candidates_are_indexed_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are: a bank has a graph only where somebody wants one."""
    monkeypatch.setattr("specsearch.store.edge.UNINDEXED_POINTS", 50)
    embeddings = np.random.default_rng(5).normal(size=(200, SIZE)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    payload = {Key.INCHIKEY14: "A" * 14, Key.EXACT_MASS: 100.0}
    with (
        EmbeddedStore(tmp_path, WALK) as store,
        store.create("bank", Contract("d", TARGET_PROJECTION, SIZE, "c", "s")) as collection,
    ):
        ids = [point_id("bank", str(row)) for row in range(len(embeddings))]
        pairs = zip(ids, embeddings, strict=True)
        collection.upsert([Point(i, e, SparseVector(), SparseVector(), payload) for i, e in pairs])
        assert collection.info().n_indexed_vectors == 0
        collection.optimize()
        assert collection.info().n_indexed_vectors == len(embeddings)


def _point(i: int, embedding: np.ndarray) -> Point:
    spectrum = Spectrum.checked([100.0 + i], [1.0], accession=str(i))
    return make_point("lib", spectrum, embedding, SparseVector(), SparseVector())
