"""Files that the pages offer: each holds what the API answers, whatever its format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import networkx as nx
import pytest
from fastapi.testclient import TestClient
from web_material import CAFFEINE, LIBRARY, small_app, small_server

from specsearch.web.records import SpectrumOut

ID = f"{LIBRARY}:caffeine"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with small_server(tmp_path_factory.mktemp("web")) as served, TestClient(small_app(served)) as made:
        yield made


def file(client: TestClient, path: str, ending: str, **asked: Any) -> str:
    found = client.get(path, params={"id": ID, "format": ending, **asked})
    assert found.status_code == 200, found.text
    name = {"/search": "hits", "/identify": "candidates", "/family": "family"}[path]
    assert found.headers["content-disposition"] == f'attachment; filename="{name}.{ending}"'
    return found.text


def answered(client: TestClient, path: str) -> list[dict[str, Any]]:
    """What the API says of the same spectrum."""
    if path == "/family":
        found = client.post(f"/v1/family/{ID}", json={}).json()
        members: list[dict[str, Any]] = found["members"]
        return members
    one = client.get(f"/v1/spectra/{ID}").json()
    (found,) = client.post(f"/v1{path}", json={"spectra": [one]}).json()
    rows: list[dict[str, Any]] = found["hits" if path == "/search" else "candidates"]
    return rows


@pytest.mark.parametrize("path", ["/search", "/identify", "/family"])
def test_rows_are_those_of_the_api(client: TestClient, path: str) -> None:
    expected = answered(client, path)
    name = {"/search": "spectrum_id", "/identify": "smiles", "/family": "spectrum_id"}[path]
    lines = [json.loads(line) for line in file(client, path, "jsonl").splitlines()]
    table = list(csv.DictReader(io.StringIO(file(client, path, "csv"), newline="")))
    assert expected
    for rows in (lines, table):
        assert [row[name] for row in rows[: len(expected)]] == [row[name] for row in expected[: len(rows)]]
    assert set(table[0]) == set(lines[0])


def test_a_family_is_a_network_of_the_same_members(client: TestClient) -> None:
    network = nx.parse_graphml(file(client, "/family", "graphml"))
    assert set(network) == {row["spectrum_id"] for row in answered(client, "/family")}


def test_candidates_for_mztab_are_those_of_the_api(client: TestClient) -> None:
    table = file(client, "/identify", "mztab").splitlines()
    evidence = [line.split("\t") for line in table if line.startswith("SME\t")]
    names = [row["name"] for row in answered(client, "/identify")]
    assert evidence
    assert all(name in line for name, line in zip(names, evidence, strict=False))


def test_lines_of_candidates_are_the_records_one_by_one(client: TestClient) -> None:
    record = SpectrumOut.of(CAFFEINE).model_dump()
    asked = {"spectra": [record] * 6, "top": 3}
    whole = client.post("/v1/identify", json=asked).json()
    lines = client.post("/v1/identify", json=asked, headers={"accept": "application/x-ndjson"})
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == whole
    assert len(whole) == 6
