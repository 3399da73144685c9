"""Families, networks, and the commands that write them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import Commands, small_model
from click.testing import CliRunner
from graph_material import spectra, turned_family

from specsearch.chemistry.common_structure import common_substructure, scaffold, shared_scaffold
from specsearch.chemistry.mass_differences import name_difference
from specsearch.cli import main
from specsearch.errors import InputFileError
from specsearch.report.family_page import family_content
from specsearch.report.networks import write_network
from specsearch.search.families import FamilySettings, find_family, undirected
from specsearch.search.graph import EDGE_SCHEMA
from specsearch.spectra.readers import read_spectra
from specsearch.spectra.writers import write_spectra


def edge_table(links: list[tuple[int, int, float]]) -> pa.Table:
    """Edges of which only the ends and the score matter."""
    rows = [
        {"source": a, "target": b, "score": s, "kind": "everywhere", "precursor_difference": float(b - a)}
        for a, b, s in links
    ]
    return pa.Table.from_pylist([{**dict.fromkeys(EDGE_SCHEMA.names), **row} for row in rows], EDGE_SCHEMA)


def test_family_is_that_of_dijkstra() -> None:
    rng = np.random.default_rng(0)
    links = [(int(a), int(b), float(rng.uniform(0.2, 1))) for a, b in rng.integers(0, 40, (90, 2)) if a != b]
    network = nx.Graph()
    for a, b, score in links:
        if score >= 0.35 and score > network.get_edge_data(a, b, {"score": 0})["score"]:
            network.add_edge(a, b, score=score, cost=-np.log(score))
    found = find_family(
        edge_table(links), [None] * 40, {links[0][0]: 1.0}, FamilySettings(hops=10, most_members=40)
    )
    distance = nx.single_source_dijkstra_path_length(network, links[0][0], weight="cost")
    assert set(found.rows.tolist()) == set(distance)
    for row, score in zip(found.rows, found.path_score, strict=True):
        assert -np.log(score) == pytest.approx(distance[row], abs=1e-6)
    assert found.edges.num_rows == network.subgraph(distance).number_of_edges()


def test_hops_and_members_are_limits() -> None:
    chain = edge_table([(i, i + 1, 0.9) for i in range(20)])
    assert find_family(chain, [None] * 21, {5: 1.0}, FamilySettings(hops=2)).rows.tolist() == [5, 4, 6, 3, 7]
    assert len(find_family(chain, [None] * 21, {5: 1.0}, FamilySettings(hops=9, most_members=4)).rows) == 4
    assert find_family(chain, [None] * 21, {5: 1.0}, FamilySettings(least_score=0.95)).rows.tolist() == [5]


def test_steps_within_a_molecule_are_free() -> None:
    chain = edge_table([(i, i + 1, 0.9) for i in range(20)])
    molecules = ["A"] * 8 + ["B"] * 3 + [None] * 10
    found = find_family(chain, molecules, {0: 1.0}, FamilySettings(hops=2))
    hops = dict(zip(found.rows.tolist(), found.hop.tolist(), strict=True))
    assert hops == {**dict.fromkeys(range(8), 0), **dict.fromkeys(range(8, 11), 1), 11: 2}


def test_pairs_stand_once_with_the_better_score() -> None:
    table = undirected(edge_table([(3, 1, 0.9), (1, 3, 0.5), (2, 4, 0.1)]), 0.2)
    assert table.select(["source", "target"]).to_pylist() == [{"source": 1, "target": 3}]
    assert table["score"].to_pylist() == pytest.approx([0.9])
    assert table["precursor_difference"].to_pylist() == [2.0]


@pytest.mark.parametrize(
    ("difference", "name"),
    [
        (15.9949, "+O"),
        (-15.9949, "-O"),
        (162.0528, "+hexose"),
        (176.0321, "+glucuronide"),
        (33.961, "H to Cl"),
        (-33.961, "H to Cl, reversed"),
        (0.002, "same mass"),
        (3.3, ""),
    ],
)
def test_differences_have_names(difference: float, name: str) -> None:
    assert name_difference(difference) == name


def test_what_structures_share() -> None:
    phenols = ["Oc1ccccc1C", "Oc1ccccc1CC", "Oc1ccccc1Cl"]
    assert scaffold("Oc1ccccc1C") == "c1ccccc1"
    assert shared_scaffold([*phenols, "CCO", "no smiles"]) == ("c1ccccc1", 3)
    assert shared_scaffold(["CCO"]) == ("", 0)
    assert common_substructure(phenols).count("#6") == 6
    assert common_substructure(["CCO"]) == ""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    folder = tmp_path_factory.mktemp("families")
    made = Commands(folder, small_model(folder / "model.safetensors"))
    write_spectra(folder / "lib.mgf", spectra())
    made.run("index", folder / "lib.mgf", "--library", "lib")
    return made


def test_graph_says_what_it_did(commands: Commands) -> None:
    first = commands.run("graph", "lib", "--neighbours", 7).stderr
    assert "48 spectra" in first
    assert "the nearest 7" in first
    assert "Nothing has changed" in commands.run("graph", "lib").stderr
    commands.run("graph", "nowhere", code=1)


def test_cluster_writes_tables_and_spectra(commands: Commands, tmp_path: Path) -> None:
    commands.run("cluster", "lib", "--similarity", 0.5, "-o", tmp_path / "c.parquet")
    rows = pq.read_table(tmp_path / "c.parquet").to_pylist()
    assert len(rows) == 48
    families = {row["cluster"]: row["spectrum_id"].split("-")[0] for row in rows}
    assert len(families) == len(set(families.values())) == 8
    for which in ("medoid", "best", "consensus"):
        commands.run(
            "cluster", "lib", "--similarity", 0.5, "--representative", which, "-o", tmp_path / "r.mgf"
        )
        kept = list(read_spectra(tmp_path / "r.mgf"))
        assert len(kept) == 8
        assert {record.metadata["cluster_size"] for record in kept} == {"6"}
    commands.run("cluster", "lib", "-o", tmp_path / "c.docx", code=1)


def test_dedup_applied_and_undone(commands: Commands, tmp_path: Path) -> None:
    made = Commands(tmp_path, Path(commands.env["SPECSEARCH_MODEL"]))
    twice = [r for r in spectra(4, 2)] + [_renamed(r) for r in spectra(4, 2)]
    write_spectra(tmp_path / "twice.mgf", twice)
    made.run("index", tmp_path / "twice.mgf", "--library", "lib")
    out = made.run(
        "dedup",
        "lib",
        "-o",
        tmp_path / "u.mgf",
        "--report",
        tmp_path / "r.html",
        "--dropped",
        tmp_path / "d.csv",
    )
    assert "structures: 4 before, 4 after: 0 lost" in out.stderr
    assert len(list(read_spectra(tmp_path / "u.mgf"))) == 8
    assert len(list(csv.DictReader((tmp_path / "d.csv").open()))) == 8
    page = (tmp_path / "r.html").read_text()
    assert page.count("identical") == 8
    before = made.run("cluster", "lib").stderr
    assert "16 spectra" in before
    applied = made.run("dedup", "lib", "--apply").stderr
    assert "Took 8 spectra" in applied
    assert "8 spectra" in made.run("graph", "lib").stderr
    made.run("verify", "lib")
    made.run("index", tmp_path / "twice.mgf", "--library", "lib")  # what was taken out does not come back
    assert "8 spectra" in made.run("graph", "lib").stderr
    assert "Put 8 spectra back" in made.run("dedup", "lib", "--undo").stderr
    assert "Nothing was taken out" in made.run("dedup", "lib", "--undo").stderr
    assert made.run("cluster", "lib").stderr == before


def _renamed(record):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(record, accession=f"{record.accession}-again")


def test_family_by_id_and_by_file(commands: Commands, tmp_path: Path) -> None:
    commands.run("family", "lib:F1-0", "--hops", 1, "-o", tmp_path / "f.graphml")
    network = nx.read_graphml(tmp_path / "f.graphml")
    assert "lib:F1-0" in network
    assert network.nodes["lib:F1-0"]["hop"] == 0
    assert {data["change"] for _, _, data in network.edges(data=True)} >= {"same mass"}
    commands.run("family", "lib:F1-0", "-o", tmp_path / "f.cyjs")
    cytoscape = json.loads((tmp_path / "f.cyjs").read_text())
    assert {node["data"]["id"] for node in cytoscape["elements"]["nodes"]} >= {"lib:F1-0"}
    write_spectra(tmp_path / "q.mgf", spectra()[6:7])
    shown = commands.run("family", tmp_path / "q.mgf", "--library", "lib", "-o", tmp_path / "f.csv").stdout
    assert "lib:F1-" in shown
    commands.run("family", "lib:nobody", code=1)
    commands.run("family", "nobody", code=2)
    commands.run("family", tmp_path / "q.mgf", code=2)


def test_a_change_is_told_from_the_first_end_to_the_second(tmp_path: Path) -> None:
    network, rows = turned_family()
    content = family_content(network, rows, {})
    names = [node["row"]["compound_name"] for node in content["nodes"]]
    known, unknown = content["edges"]
    assert (names[known["a"]], names[known["b"]], known["precursor_difference"]) == (
        "heavy",
        "light",
        -14.01565,
    )
    assert (known["change"], known["change_back"]) == ("-CH2", "+CH2")
    assert not {"change", "change_back", "precursor_difference"} & set(unknown)
    write_network(tmp_path / "f.graphml", network, rows)
    told = nx.read_graphml(tmp_path / "f.graphml").edges(data="change")
    assert sorted(told, key=str) == [("lib:heavy", "lib:light", "-CH2"), ("lib:heavy", "lib:unknown", None)]


def test_every_difference_in_a_file_is_that_of_its_ends(commands: Commands, tmp_path: Path) -> None:
    write_spectra(tmp_path / "q.mgf", spectra()[8:9])
    for start in (tmp_path / "q.mgf", "lib:F2-3"):
        commands.run(
            "family", start, "--library", "lib", "--least", 0, "--hops", 4, "-o", tmp_path / "f.cyjs"
        )
        elements = json.loads((tmp_path / "f.cyjs").read_text())["elements"]
        precursor = {node["data"]["id"]: node["data"]["precursor_mz"] for node in elements["nodes"]}
        signs = set()
        for edge in (one["data"] for one in elements["edges"]):
            difference = precursor[edge["target"]] - precursor[edge["source"]]
            assert edge["precursor_difference"] == pytest.approx(difference, abs=1e-5)
            signs.add(difference > 0)
        assert signs == {True, False}


def test_members_without_structure_are_given_a_suggestion(commands: Commands, tmp_path: Path) -> None:
    from dataclasses import replace

    made = Commands(tmp_path, Path(commands.env["SPECSEARCH_MODEL"]))
    records = spectra(1, 3)
    write_spectra(tmp_path / "a.mgf", [replace(records[0], metadata={}), *records[1:]])
    made.run("index", tmp_path / "a.mgf", "--library", "lib")
    made.run("family", "lib:F0-0", "-o", tmp_path / "f.jsonl")
    rows = {
        row["spectrum_id"]: row for row in map(json.loads, (tmp_path / "f.jsonl").read_text().splitlines())
    }
    assert rows["lib:F0-0"]["suggested_smiles"] == "C"
    assert rows["lib:F0-0"]["suggested_by"] in ("lib:F0-1", "lib:F0-2")
    assert rows["lib:F0-1"]["suggested_smiles"] is None


def test_network_has_families(commands: Commands, tmp_path: Path) -> None:
    commands.run("network", "lib", "--least", 0.6, "-o", tmp_path / "n.graphml")
    network = nx.read_graphml(tmp_path / "n.graphml")
    assert network.number_of_nodes() == 48
    assert all("family" in data for _, data in network.nodes(data=True))
    parts = {name: data["family"] for name, data in network.nodes(data=True)}
    assert all(parts[a] == parts[b] for a, b in network.edges if a.split("-")[0] == b.split("-")[0])


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    network = nx.Graph()
    network.add_node("a", compound_name="<script>\x01\ufffe& é", size=np.float32(1.5))
    write_network(tmp_path / "n.graphml", network, [])
    assert nx.read_graphml(tmp_path / "n.graphml").nodes["a"] == {"compound_name": "<script>& é", "size": 1.5}
    with pytest.raises(InputFileError, match="ending of a network"):
        write_network(tmp_path / "n.xlsx", network, [])


def test_help_teaches() -> None:
    for name in ("graph", "cluster", "dedup", "family", "network"):
        shown = CliRunner().invoke(main, [name, "--help"]).output
        assert "Usage" in shown
