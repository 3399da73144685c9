"""Mirror plots, maps, pages of families, and clusters written into a library."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from cli_runner import Commands, small_model
from graph_material import fill, spectra
from scipy.optimize import linear_sum_assignment

from specsearch.errors import InputFileError
from specsearch.report.family_page import family_content
from specsearch.report.mirror import DIRECT, SHIFTED, side_of, write_mirror
from specsearch.search.library_map import find_map, keep_map, lay_out, one_each
from specsearch.search.snapshot import read_snapshot
from specsearch.spectra.cleaning import RESCORING_RECIPE, Peaks, clean
from specsearch.spectra.similarity import match_peaks, modified_cosine
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra
from specsearch.store.store import open_store

PNG = b"\x89PNG\r\n"
HOSTILE = '</script><script>alert("$1_x")</script>'


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    folder = tmp_path_factory.mktemp("pictures")
    made = Commands(folder, small_model(folder / "model.safetensors"))
    records = spectra(6, 4)
    records[0] = replace(records[0], metadata={**records[0].metadata, "compound_name": HOSTILE})
    write_spectra(folder / "lib.msp", records)
    made.run("index", folder / "lib.msp", "--library", "lib")
    return made


def random_peaks(rng: np.random.Generator, precursor: float | None) -> Peaks:
    mz = np.sort(rng.uniform(50, 400, 15))
    return Peaks(mz, rng.uniform(0.01, 1, 15), precursor)


def test_matched_pairs_are_those_of_the_modified_cosine() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one = random_peaks(rng, 420.0)
        moved = one.mz + np.where(rng.random(15) < 0.4, 14.0157, 0) + rng.normal(0, 0.005, 15)
        order = np.argsort(moved)
        other = Peaks(moved[order], rng.uniform(0.01, 1, 15), 434.0157)
        pairs = match_peaks(one, other)
        score, n_matched = modified_cosine(one, [other])
        product = sum(np.sqrt(one.intensity[i] * other.intensity[j]) for i, j, _ in pairs)
        assert len(pairs) == n_matched[0]
        assert product / np.sqrt(one.intensity.sum() * other.intensity.sum()) == pytest.approx(score[0])
        assert len({i for i, _, _ in pairs}) == len({j for _, j, _ in pairs}) == len(pairs)
        for i, j, is_shifted in pairs:
            assert abs(one.mz[i] - other.mz[j] + 14.0157 * is_shifted) <= 0.02 + 1e-9
        assert len(pairs) <= _most_pairs(one, other, 14.0157)


def _most_pairs(one: Peaks, other: Peaks, shift: float) -> int:
    gap = one.mz[:, None] - other.mz[None]
    allowed = (np.abs(gap) <= 0.02) | (np.abs(gap + shift) <= 0.02)
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    return int(allowed[rows, columns].sum())


def test_colours_and_names_of_peaks(tmp_path: Path) -> None:
    """Two ethers 14.0157 apart share m/z 100 and a loss; phenol loses CO, by its own structure."""
    one = Spectrum.checked([100.0, 150.0], [1.0, 0.5], accession="a", precursor_mz=200.0, charge=1)
    other = Spectrum.checked([100.0, 164.0157], [1.0, 0.5], accession="b", precursor_mz=214.0157, charge=1)
    write_mirror(tmp_path / "m.svg", side_of(one), side_of(other))
    drawn = (tmp_path / "m.svg").read_text()
    # One peak of each kind on each side, and each kind once in the legend.
    assert drawn.count(f"stroke: {DIRECT}") == drawn.count(f"stroke: {SHIFTED}") == 3
    phenol = replace(
        Spectrum.checked([67.0542, 95.0491], [1.0, 0.5], accession="p", precursor_mz=95.0491, charge=1),
        adduct="[M+H]+",
        metadata={"smiles": "Oc1ccccc1"},
    )
    assert side_of(phenol).labels[1] == "C6H7O+"


def test_pictures_of_spectra(commands: Commands, tmp_path: Path) -> None:
    write_spectra(tmp_path / "q.mgf", spectra(2, 2))
    for name in ("m.png", "m.svg", "m.pdf"):
        commands.run("plot", "mirror", "lib:F0-0", tmp_path / "q.mgf", "-o", tmp_path / name)
    assert (tmp_path / "m.png").read_bytes().startswith(PNG)
    first = (tmp_path / "m.svg").read_bytes()
    commands.run("plot", "mirror", "lib:F0-0", f"{tmp_path / 'q.mgf'}#F0-0", "-o", tmp_path / "m.svg")
    assert (tmp_path / "m.svg").read_bytes() == first
    assert b"<script" not in first
    commands.run("plot", "mirror", "lib:F1-0", "-o", tmp_path / "one.svg")
    assert "nobody" in commands.run("plot", "mirror", "lib:nobody", "-o", tmp_path / "x.svg", code=1).stderr
    commands.run("plot", "mirror", f"{tmp_path / 'q.mgf'}#none", "-o", tmp_path / "x.svg", code=1)
    commands.run("plot", "mirror", "nothing", "-o", tmp_path / "x.svg", code=2)
    commands.run("plot", "mirror", "lib:F1-0", "-o", tmp_path / "x.gif", code=1)
    with pytest.raises(InputFileError, match="cannot be written"):
        write_mirror(tmp_path / "no" / "x.svg", side_of(spectra(1, 1)[0]))


@pytest.mark.filterwarnings("ignore")
def test_a_map_keeps_neighbourhoods() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 24))
    family = np.repeat(np.arange(6), 20)
    vectors = centres[family] + 0.1 * rng.normal(size=(120, 24))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    places = lay_out(vectors)
    assert places.shape == (120, 2)
    assert np.array_equal(places, lay_out(vectors))
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (family[distance.argmin(axis=1)] == family).mean() > 0.95
    for n_rows in (0, 1, 3, 4, 5):
        assert lay_out(vectors[:n_rows]).shape == (n_rows, 2)


@pytest.mark.filterwarnings("ignore")
def test_maps_as_pictures_and_tables(commands: Commands, tmp_path: Path) -> None:
    commands.run("plot", "map", "lib", "--colour", "precursor_mz", "-o", tmp_path / "m.png")
    assert (tmp_path / "m.png").read_bytes().startswith(PNG)
    commands.run("plot", "map", "lib", "--colour", "compound_name", "-o", tmp_path / "m.svg")
    commands.run("plot", "map", "lib", "-o", tmp_path / "m.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    assert all(np.isfinite([row["x"], row["y"]]).all() for row in rows)
    commands.run("plot", "map", "lib", "--colour", "taste", "-o", tmp_path / "x.png", code=2)
    commands.run("plot", "map", "nowhere", "-o", tmp_path / "x.png", code=1)


class _Scripts(HTMLParser):
    """The texts between script tags, as a browser would find them, and addresses of other places."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self._is_inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_inside = tag == "script"
        if self._is_inside:
            self.texts.append("")
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        self._is_inside = False

    def handle_data(self, data: str) -> None:
        if self._is_inside:
            self.texts[-1] += data


def test_the_page_of_a_family(commands: Commands, tmp_path: Path) -> None:
    commands.run("family", "lib:F0-0", "-o", tmp_path / "f.html")
    commands.run("family", "lib:F0-0", "-o", tmp_path / "f.graphml")
    network = nx.read_graphml(tmp_path / "f.graphml")
    found = _Scripts()
    found.feed((tmp_path / "f.html").read_text())
    data, script = found.texts
    content = json.loads(data)
    names = [node["row"]["spectrum_id"] for node in content["nodes"]]
    assert set(names) == set(network)
    assert {frozenset((names[e["a"]], names[e["b"]])) for e in content["edges"]} == set(
        map(frozenset, network.edges)
    )
    assert content["nodes"][0]["row"]["compound_name"] == HOSTILE
    assert all(content["drawings"][node["drawing"]].startswith("<svg") for node in content["nodes"])
    by_name = {r.accession: r for r in spectra(6, 4)}
    edge = content["edges"][0]
    one, other = (clean(by_name[names[edge[end]].split(":")[1]], RESCORING_RECIPE) for end in "ab")
    assert len(edge["pairs"]) == len(match_peaks(one, other)) > 0
    assert found.addresses == []
    assert not re.search("innerHTML|document.write|eval", script)


def test_a_molecule_too_large_to_lay_out_is_not_drawn() -> None:
    """Its layout grows with the square of its atoms: others would wait for it."""
    network = nx.Graph()
    network.add_nodes_from("ab")
    smiles = {"a": "C" * 400, "b": "C" * 401}
    rows = [{"spectrum_id": name, "smiles": smiles[name], "suggested_smiles": ""} for name in "ab"]
    content = family_content(network, rows, {})
    first, second = (node["drawing"] for node in content["nodes"])
    assert content["drawings"][first].startswith("<svg")
    assert second == -1


def test_queries_stand_in_their_family(commands: Commands, tmp_path: Path) -> None:
    query = replace(spectra(6, 4)[8], accession="mine", metadata={})
    write_spectra(tmp_path / "q.mgf", [query])
    commands.run("family", tmp_path / "q.mgf", "--library", "lib", "--hops", 2, "-o", tmp_path / "f.graphml")
    network = nx.read_graphml(tmp_path / "f.graphml")
    values = network.nodes["query::mine"]
    assert values["hop"] == 0
    assert values["suggested_by"].startswith("lib:F2-")
    assert values["suggested_smiles"] == "CCC"
    assert {network.nodes[name]["hop"] for name in network["query::mine"]} == {1}
    assert max(hop for _, hop in network.nodes(data="hop")) <= 2
    commands.run("family", tmp_path / "q.mgf", "--library", "lib", "-o", tmp_path / "f.html")
    assert "query::mine" in (tmp_path / "f.html").read_text()


def test_clusters_written_into_the_library(commands: Commands, tmp_path: Path) -> None:
    words = ("cluster", "lib", "--similarity", 0.5, "-o", tmp_path / "c.jsonl")
    commands.run(*words)
    rows = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    for _ in range(2):
        assert "24 spectra into" in commands.run("cluster", "lib", "--similarity", 0.5, "--apply").stderr
        with open_store(commands.store) as store, store.open("lib") as collection:
            stored = {r.payload["spectrum_id"]: r.payload for r in collection.scroll()}
        for row in rows:
            payload = stored[row["spectrum_id"]]
            assert payload["cluster"] == row["cluster"]
            assert payload["cluster_size"] == row["cluster_size"]
            assert payload["cluster_representative"] == row["representative"]
    commands.run(*words)
    assert [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()] == rows
    assert "Nothing has changed" in commands.run("graph", "lib").stderr


def test_a_kept_map_shows_every_molecule_first(tmp_path: Path) -> None:
    records = spectra(n_families=6, n_each=5)
    fill(tmp_path, records)
    with open_store(tmp_path) as store, store.open("lib") as collection:
        snapshot = read_snapshot(collection)
    places = np.arange(2 * len(records), dtype=np.float32).reshape(-1, 2)
    assert find_map(tmp_path / "beside") is None
    keep_map(tmp_path / "beside", snapshot, places)
    kept = find_map(tmp_path / "beside")
    assert kept is not None
    assert kept["x"].to_pylist() == places[:, 0].tolist()
    for most in (6, 10, 100):
        rows = one_each(kept, most)
        shown = {kept["inchikey14"][int(row)].as_py() for row in rows}
        assert (len(rows), len(set(rows.tolist())), len(shown)) == (min(most, 30), min(most, 30), 6)
