"""The neighbour graph against brute force, and against itself after changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graph_material import fill, snapshot_of, spectra

from specsearch.errors import ContractMismatch, SpecsearchError, StoreDamaged, StoreError
from specsearch.search import graph as graphs
from specsearch.search import nearest
from specsearch.search.fusion import FUSIONS, fuse
from specsearch.search.graph import GraphSettings, Kind
from specsearch.search.graph_files import GRAPH, build_graph, read_graph, write_graph
from specsearch.search.snapshot import Snapshot
from specsearch.spectra.similarity import entropy_similarity, modified_cosine
from specsearch.store.points import SparseVector
from specsearch.store.store import open_store

SETTINGS = GraphSettings(n_neighbours=5)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    fill(tmp_path, spectra(n_without_precursor=3))
    return tmp_path


def brute_force(folder: Path, kind: Kind) -> dict[tuple[str, str], float]:
    """Scores of the best five by comparing everything with everything, from the stored vectors."""
    with open_store(folder) as store, store.open("lib") as collection:
        records = list(collection.scroll(with_vectors=True))
    best = {}
    for one in records:
        asked = frozenset(
            n for n in ("embedding", "peaks", "losses") if n == "embedding" or len(getattr(one, n))
        )
        found = []
        for other in records:
            if other is one or other.payload["ion_mode"] != one.payload["ion_mode"]:
                continue
            if kind is Kind.WINDOW:
                a, b = one.payload.get("precursor_mz"), other.payload.get("precursor_mz")
                if a is None or b is None or abs(a - b) > 20e-6 * a:
                    continue
            scores = {
                n: np.array([_dot(getattr(one, n), getattr(other, n))])
                for n in ("embedding", "peaks", "losses")
            }
            found.append((float(fuse(scores, FUSIONS["fused"], asked)[0]), other.point_id))
        for score, name in sorted(found, key=lambda entry: (-entry[0], entry[1]))[:5]:
            if score >= 0.05:
                best[one.point_id, name] = score
    return best


def _dot(a: object, b: object) -> float:
    if isinstance(a, SparseVector) and isinstance(b, SparseVector):
        right = dict(zip(b.indices.tolist(), b.values.tolist(), strict=True))
        return sum(right.get(i, 0.0) * v for i, v in zip(a.indices.tolist(), a.values.tolist(), strict=True))
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


@pytest.mark.parametrize("kind", list(Kind))
def test_edges_are_those_of_brute_force(library: Path, kind: Kind) -> None:
    snapshot = snapshot_of(library)
    graph, _ = build_graph(snapshot, SETTINGS)
    edges = graph.of(kind).to_pydict()
    names = snapshot.point_ids
    found = {
        (names[s], names[t]): score
        for s, t, score in zip(edges["source"], edges["target"], edges["score"], strict=True)
    }
    expected = brute_force(library, kind)
    assert len(expected) > 100
    assert len(found) == len(expected)
    assert sorted(found.values()) == pytest.approx(sorted(expected.values()), abs=1e-4)
    shared = found.keys() & expected.keys()  # scores that tie to 1e-4 may swap places
    assert len(shared) >= 0.98 * len(expected)
    for pair in shared:
        assert found[pair] == pytest.approx(expected[pair], abs=1e-4)


def test_edges_are_rescored_as_in_search(library: Path) -> None:
    snapshot = snapshot_of(library)
    edges = build_graph(snapshot, SETTINGS)[0].edges
    for edge in edges.slice(0, 60).to_pylist():
        query, other = snapshot.peaks_of(edge["source"]), snapshot.peaks_of(edge["target"])
        cosine, n_matched = modified_cosine(query, [other])
        assert edge["entropy_similarity"] == pytest.approx(entropy_similarity(query, [other])[0], abs=1e-5)
        assert edge["modified_cosine"] == pytest.approx(cosine[0], abs=1e-5)
        assert edge["n_matched"] == n_matched[0]


def test_large_libraries_find_nearly_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fill(tmp_path, spectra(n_families=14, n_each=20))
    snapshot = snapshot_of(tmp_path)
    exact = _pairs(build_graph(snapshot, SETTINGS)[0].of(Kind.EVERYWHERE))
    monkeypatch.setattr(nearest, "DENSE_EXACT_BELOW", 0)
    by_graph = _pairs(build_graph(snapshot, SETTINGS)[0].of(Kind.EVERYWHERE))
    monkeypatch.setattr(graphs, "SKETCH_FROM", 0)
    by_sketch = _pairs(build_graph(snapshot, SETTINGS)[0].of(Kind.EVERYWHERE))
    assert len(exact & by_graph) >= 0.98 * len(exact)
    assert len(exact & by_sketch) >= 0.9 * len(exact)


def _pairs(edges) -> set[tuple[int, int]]:  # type: ignore[no-untyped-def]
    return set(zip(edges["source"].to_pylist(), edges["target"].to_pylist(), strict=True))


def test_refreshed_graph_is_that_of_a_new_build(tmp_path: Path) -> None:
    records = spectra()
    fill(tmp_path, records[:40])
    old, _ = build_graph(snapshot_of(tmp_path), SETTINGS)
    fill(tmp_path, records[40:])
    now = snapshot_of(tmp_path)
    fresh, _ = build_graph(now, SETTINGS)
    refreshed, build = build_graph(now, SETTINGS, old)
    assert (build.n_asked, build.n_kept) == (8, 40)
    _assert_same(fresh, refreshed)


def test_spectra_that_went_leave_no_edge(tmp_path: Path) -> None:
    fill(tmp_path, spectra())
    old, _ = build_graph(snapshot_of(tmp_path), SETTINGS)
    with open_store(tmp_path) as store, store.open("lib", write=True) as collection:
        collection.delete(old.nodes["point_id"].to_pylist()[::5])
    now = snapshot_of(tmp_path)
    _assert_same(build_graph(now, SETTINGS)[0], build_graph(now, SETTINGS, old)[0])


def _assert_same(one, other) -> None:  # type: ignore[no-untyped-def]
    assert one.digest == other.digest
    columns = ["source", "target", "kind", "rank"]
    assert one.edges.select(columns).equals(other.edges.select(columns))
    assert np.allclose(one.edges["score"].to_numpy(), other.edges["score"].to_numpy(), atol=1e-6)


def test_order_of_input_is_of_no_matter(tmp_path: Path) -> None:
    records = spectra()
    fill(tmp_path / "a", records)
    fill(tmp_path / "b", records[::-1])
    a, b = snapshot_of(tmp_path / "a"), snapshot_of(tmp_path / "b")
    assert a.digest == b.digest
    assert build_graph(a, SETTINGS)[0].edges.equals(build_graph(b, SETTINGS)[0].edges)


def test_written_and_read(library: Path) -> None:
    snapshot = snapshot_of(library)
    graph, _ = build_graph(snapshot, SETTINGS)
    write_graph(library / "graph", graph)
    write_graph(library / "graph", graph)
    again = read_graph(library / "graph")
    assert again.edges.equals(graph.edges)
    assert again.nodes.equals(graph.nodes)
    assert again.settings == SETTINGS
    assert again.is_of(snapshot)
    assert len(list((library / "graph").iterdir())) == 3


def test_old_or_foreign_graphs_are_refused(library: Path) -> None:
    graph, _ = build_graph(snapshot_of(library), SETTINGS)
    fill(library, spectra(n_families=9)[48:])
    assert not graph.is_of(snapshot_of(library))
    with (
        open_store(library) as store,
        store.open("lib") as collection,
        pytest.raises(StoreError, match="knows 48"),
    ):
        graph.require_size(collection)
    from dataclasses import replace

    foreign = replace(graph, contract=replace(graph.contract, encoder_digest="another"))
    assert not foreign.is_of(snapshot_of(library))
    with (
        open_store(library) as store,
        store.open("lib") as collection,
        pytest.raises(ContractMismatch, match=r"vectors of another encoder.*specsearch graph"),
    ):
        foreign.require_size(collection)


@pytest.mark.parametrize("fault", ["truncate", "remove", "json", "version"])
def test_damaged_graphs_say_so(library: Path, fault: str) -> None:
    folder = library / "graph"
    write_graph(folder, build_graph(snapshot_of(library), SETTINGS)[0])
    edges = next(folder.glob("edges-*"))
    if fault == "truncate":
        edges.write_bytes(edges.read_bytes()[:100])
    elif fault == "remove":
        edges.unlink()
    elif fault == "json":
        (folder / GRAPH).write_text("{")
    else:
        (folder / GRAPH).write_text('{"version": 0}')
    with pytest.raises(SpecsearchError) as error:
        read_graph(folder)
    assert isinstance(error.value, StoreDamaged if fault != "version" else StoreError)
    assert "specsearch" in str(error.value) or "again" in str(error.value)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_spectra(tmp_path: Path, n: int) -> None:
    if not n:
        fill(tmp_path, spectra(1, 1))
        with open_store(tmp_path) as store, store.open("lib", write=True) as collection:
            collection.delete([record.point_id for record in collection.scroll()])
    else:
        fill(tmp_path, spectra(1, n))
    snapshot: Snapshot = snapshot_of(tmp_path)
    graph, _ = build_graph(snapshot, SETTINGS)
    assert len(snapshot) == n
    assert graph.of(Kind.EVERYWHERE).num_rows == n * (n - 1)


def test_thousands_of_identical_spectra(tmp_path: Path) -> None:
    """Everything ties, and every spectrum still has its five neighbours."""
    from dataclasses import replace

    [record] = spectra(1, 1)
    fill(tmp_path, [replace(record, accession=f"F0-{i}") for i in range(2_000)])
    with_noise = snapshot_of(tmp_path)
    alike = replace(with_noise, embeddings=np.repeat(with_noise.embeddings[:1], len(with_noise), axis=0))
    graph, _ = build_graph(alike, SETTINGS)
    for kind in Kind:
        edges = graph.of(kind)
        assert edges.num_rows == 5 * 2_000
        assert edges["entropy_similarity"].to_numpy() == pytest.approx(1.0, abs=1e-5)


def test_interrupted_build_leaves_the_graph_that_was_there(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from specsearch.search import graph_files

    snapshot = snapshot_of(library)
    graph, _ = build_graph(snapshot, SETTINGS)
    write_graph(library / "graph", graph)
    fill(library, spectra(n_families=9)[48:])
    larger, _ = build_graph(snapshot_of(library), SETTINGS)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(graph_files, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            write_graph(library / "graph", larger)
    assert read_graph(library / "graph").edges.equals(graph.edges)
    write_graph(library / "graph", larger)
    assert read_graph(library / "graph").edges.equals(larger.edges)
    assert len(list((library / "graph").iterdir())) == 3
