"""The API: the same records as a direct search, typed, and an answer to everything that is described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from samples import mgf
from web_material import BANK, CAFFEINE, LIBRARY, records, small_app, small_server

from specsearch.report.candidate_rows import candidate_rows
from specsearch.report.rows import hit_rows
from specsearch.search.candidates import CandidateSettings
from specsearch.search.similar import SearchSettings
from specsearch.web.records import SpectrumOut
from specsearch.web.served import Served

LINES = {"accept": "application/x-ndjson"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with small_server(tmp_path_factory.mktemp("web")) as made:
        yield made


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(small_app(served)) as made:
        yield made


def sent(spectrum: Any) -> dict[str, Any]:
    return SpectrumOut.of(spectrum).model_dump()


def test_search_gives_the_records_of_a_direct_search(client: TestClient, served: Served) -> None:
    queries = records()[:20]  # more than a person waits for: the other lane
    for asked in (queries[:2], queries):
        found = client.post("/v1/search", json={"spectra": [sent(one) for one in asked], "top": 7})
        assert found.status_code == 200
        direct = served.search([LIBRARY], SearchSettings(top=7, n_candidates=100), asked)
        assert [one["hits"] for one in found.json()] == [list(hit_rows(answer)) for answer in direct]
        assert [one["reason"] for one in found.json()] == [answer.reason for answer in direct]


def test_conditions_reach_the_search(client: TestClient, served: Served) -> None:
    asked = {"spectra": [sent(CAFFEINE)], "precursor": "20ppm", "any_ion_mode": True, "by": "peaks"}
    (answer,) = client.post("/v1/search", json=asked).json()
    assert [hit["accession"] for hit in answer["hits"]] == ["caffeine"]
    (answer,) = client.post("/v1/search", json={"spectra": [sent(CAFFEINE)], "formula": ["C3H4"]}).json()
    assert {hit["formula"] for hit in answer["hits"]} == {"C3H4"}


def test_identify_gives_the_records_of_a_direct_search(client: TestClient, served: Served) -> None:
    found = client.post("/v1/identify", json={"spectra": [sent(CAFFEINE)], "top": 5}).json()
    bank = served.banks[BANK]
    (direct,) = served.identify(bank, [LIBRARY], CandidateSettings(top=5), [CAFFEINE])
    assert found[0]["candidates"] == list(candidate_rows(direct, served.provenance(bank)))
    assert found[0]["candidates"][0]["name"] == "caffeine"
    assert found[0]["n_candidates"] == len(direct)


def test_a_spectrum_without_candidates_says_what_would_find_some(client: TestClient) -> None:
    far = {**sent(CAFFEINE), "precursor_mz": 900.0}
    (answer,) = client.post("/v1/identify", json={"spectra": [far]}).json()
    assert not answer["candidates"]
    assert "Da away" in answer["advice"]
    (answer,) = client.post("/v1/identify", json={"spectra": [{**far, "precursor_mz": None}]}).json()
    assert "precursor" in answer["reason"]


def test_lines_are_the_records_one_by_one(client: TestClient) -> None:
    asked = {"spectra": [sent(one) for one in records()[:30]], "top": 3}
    whole = client.post("/v1/search", json=asked).json()
    lines = client.post("/v1/search", json=asked, headers=LINES)
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == whole


def test_embeddings_are_those_of_the_library(client: TestClient, served: Served) -> None:
    found = client.post("/v1/embed", json={"spectra": [sent(CAFFEINE)]}).json()
    (embedding,) = (one["embedding"] for one in found)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
    hit = client.post("/v1/search", json={"spectra": [sent(CAFFEINE)], "by": "embedding"}).json()[0]["hits"][
        0
    ]
    assert hit["accession"] == "caffeine"
    assert hit["embedding_score"] == pytest.approx(1, abs=2e-3)


def test_one_spectrum_by_its_id(client: TestClient) -> None:
    found = client.get(f"/v1/spectra/{LIBRARY}:caffeine").json()
    assert [mz for mz, _ in found["peaks"]] == pytest.approx(CAFFEINE.mz.tolist(), abs=1e-4)
    assert found["metadata"]["compound_name"] == "Caffeine"
    missing = client.get(f"/v1/spectra/{LIBRARY}:nobody")
    assert missing.status_code == 404
    assert "LIBRARY:ACCESSION" in missing.json()["next_step"]


def test_a_family_has_its_edges_among_its_members(client: TestClient) -> None:
    found = client.post(f"/v1/family/{LIBRARY}:S1", json={"hops": 1, "least": 0.0}).json()
    names = {member["spectrum_id"] for member in found["members"]}
    assert f"{LIBRARY}:S1" in names
    assert all({edge["source"], edge["target"]} <= names for edge in found["edges"])
    precursor = {member["spectrum_id"]: member["precursor_mz"] for member in found["members"]}
    differences = [edge["precursor_difference"] for edge in found["edges"]]
    assert differences == pytest.approx(
        [precursor[edge["target"]] - precursor[edge["source"]] for edge in found["edges"]], abs=1e-5
    )
    assert min(differences) < 0 < max(differences)


def test_a_spectrum_of_its_own_has_a_family_through_its_hits(client: TestClient) -> None:
    asked = {"spectrum": sent(replace(CAFFEINE, accession="mine")), "hops": 1, "least": 0.0}
    found = client.post("/v1/family", json=asked).json()
    (hits,) = client.post("/v1/search", json={"spectra": [sent(CAFFEINE)], "top": 10}).json()
    assert found["members"][0]["spectrum_id"] == "query::mine"
    neighbours = {edge["target"] for edge in found["edges"] if edge["source"] == "query::mine"}
    neighbours |= {edge["source"] for edge in found["edges"] if edge["target"] == "query::mine"}
    assert neighbours == {hit["spectrum_id"] for hit in hits["hits"]}


def test_a_file_becomes_what_other_requests_take(client: TestClient) -> None:
    text = mgf(records()[:4]) + "BEGIN IONS\nPEPMASS=100\nEND IONS\n"
    found = client.post("/v1/read", files={"file": ("../../etc/some.mgf", text)}).json()
    assert len(found["spectra"]) == 4
    assert [one["reason"] for one in found["skipped"]] == ["no peaks"]
    assert found["is_complete"]
    assert found["spectra"][0]["metadata"]["smiles"]
    for path in ("search", "identify", "embed"):
        answers = client.post(f"/v1/{path}", json={"spectra": found["spectra"]}).json()
        assert [one["query"] for one in answers] == [one["accession"] for one in found["spectra"]]


def test_what_a_library_gives_is_taken(client: TestClient) -> None:
    stored = client.get(f"/v1/spectra/{LIBRARY}:caffeine").json()
    (answer,) = client.post("/v1/search", json={"spectra": [stored]}).json()
    assert answer["hits"][0]["accession"] == "caffeine"
    family = client.post("/v1/family", json={"spectrum": stored}).json()
    assert family["members"][0]["smiles"] == CAFFEINE.metadata["smiles"]


def test_metadata_that_is_too_much_is_left_out_of_a_file_and_refused_in_a_request(client: TestClient) -> None:
    fields = "".join(f"FIELD{i}={i}\n" for i in range(300))
    text = f"BEGIN IONS\nPEPMASS=100\nNAME=x\nCOMMENT={'c' * 5001}\n{fields}50 1\nEND IONS\n"
    (found,) = client.post("/v1/read", files={"file": ("some.mgf", text)}).json()["spectra"]
    assert len(found["metadata"]) == 200
    assert "c" * 5000 not in str(found)
    assert client.post("/v1/search", json={"spectra": [found]}).status_code == 200
    for more in ({"one": "more"}, {"field1": "x" * 5001}):
        refused = {**found, "metadata": {**found["metadata"], **more}}
        assert client.post("/v1/search", json={"spectra": [refused]}).status_code == 422


def test_what_is_served_and_how_it_is(client: TestClient) -> None:
    (library,) = client.get("/v1/libraries").json()
    assert (library["library"], library["spectra"], library["has_graph"]) == (LIBRARY, 61, True)
    (bank,) = client.get("/v1/banks").json()
    assert bank["molecules"] == 14
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    metrics = client.get("/metrics").text
    assert f'specsearch_library_spectra{{library="{LIBRARY}"}} 61.0' in metrics
    assert 'specsearch_requests_total{route="/v1/libraries",status="200"}' in metrics


def test_the_examples_of_the_description_are_true(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    tried = 0
    for path, methods in described["paths"].items():
        body = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if body is None or "$ref" not in body["schema"]:
            continue
        schema = described["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        for example in schema.get("examples", []):
            found = client.post(path, json=example)
            assert found.status_code == 200, (path, found.text)
            tried += 1
    assert tried >= 3


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "spectra"),
        ({"spectra": []}, "at least 1"),
        ({"spectra": [{"peaks": []}]}, "at least 1"),
        ({"spectra": [{"peaks": [[-1, 1]]}]}, "m/z not positive"),
        ({"spectra": [{"peaks": [[100, 0]]}]}, "all intensities zero"),
        ({"spectra": [{"peaks": [[100, 1]], "precursor": 3}]}, "precursor"),
        ({"spectra": [{"peaks": [[100, 1]]}], "precursor": "10 miles"}, "10 miles"),
        ({"spectra": [{"peaks": [[100, 1]]}], "top": 10**9}, "less than or equal"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(client: TestClient, body: object, what: str) -> None:
    found = client.post("/v1/search", json=body)
    assert found.status_code == 422
    assert found.headers["content-type"] == "application/problem+json"
    told = found.json()
    assert what in told["detail"]
    assert set(told) == {"type", "status", "title", "detail", "next_step"}


@pytest.mark.parametrize("mass", ["1.1Da", "9999Da", "3001ppm", "1e9ppm", "1001mDa"])
def test_a_mass_window_that_takes_the_whole_bank_is_refused(client: TestClient, mass: str) -> None:
    found = client.post("/v1/identify", json={"spectra": [sent(CAFFEINE)], "mass": mass})
    assert found.status_code == 422
    assert "too wide" in found.json()["detail"]
    page = client.get("/identify", params={"id": f"{LIBRARY}:caffeine", "mass": mass})
    assert (page.status_code, "too wide" in page.text) == (422, True)


@pytest.mark.parametrize("mass", ["1Da", "3000ppm", "1000mDa"])
def test_the_widest_mass_window_is_searched(client: TestClient, mass: str) -> None:
    found = client.post("/v1/identify", json={"spectra": [sent(CAFFEINE)], "mass": mass})
    assert found.json()[0]["candidates"][0]["name"] == "caffeine"


@pytest.mark.parametrize("path", ["/v1/search", "/v1/identify"])
def test_names_that_are_not_served_are_told_what_is(client: TestClient, path: str) -> None:
    found = client.post(path, json={"spectra": [sent(CAFFEINE)], "libraries": ["nope"]})
    assert found.status_code == 404
    assert LIBRARY in found.json()["next_step"]
    found = client.post("/v1/identify", json={"spectra": [sent(CAFFEINE)], "bank": "nope"})
    assert found.status_code == 404
    assert BANK in found.json()["next_step"]
