"""Writing through the API: by the road of ``specsearch index``, only where it is allowed, never seen half."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from bank_material import small_encoder
from fastapi.testclient import TestClient
from samples import BROKEN_MGF, library_state, mgf, spectra
from web_material import HOSTILE, KEY, LIBRARY, listening, small_app

from ingest.index import index_files
from specsearch.cli.serve_index import make_writer
from specsearch.cli.settings import StoreAt
from specsearch.encoder.embedder import Embedder
from specsearch.search.graph import GraphSettings
from specsearch.search.graph_files import build_graph
from specsearch.search.library_map import keep_map
from specsearch.search.snapshot import read_snapshot
from specsearch.spectra.spectrum import Spectrum
from specsearch.store import edge
from specsearch.store.store import open_store
from specsearch.web import uploads
from specsearch.web.records import SpectrumOut
from specsearch.web.served import Served

HERE = f"/v1/libraries/{LIBRARY}/spectra"
FIRST, MORE = spectra(12, seed=5), spectra(52, seed=5)[12:]
PAGE = {"accept": "text/html"}


@contextmanager
def writing(folder: Path, *keys: str) -> Iterator[TestClient]:
    """A server that writes, over what is in the folder: nothing at first."""
    network, card = small_encoder()
    with open_store(folder / "store") as store:
        collections = {name: store.open(name) for name in store.libraries()}
        served = Served(collections, {}, {}, {}, Embedder(network, card), network, None)
        writer = make_writer(StoreAt(str(folder / "store")), store, served)
        with TestClient(small_app(served, keys, writer=writer)) as client:
            yield client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    uploads.read_sent(mgf(FIRST[:1]).encode(), "first", 100)  # what reads takes seconds to begin
    with writing(tmp_path) as made:
        yield made


def send(client: TestClient, text: str, name: str = "my.mgf", path: str = HERE) -> httpx.Response:
    return client.post(path, files={"file": (name, text.encode())})


def first_hit(client: TestClient, spectrum: Spectrum) -> dict[str, object]:
    query = SpectrumOut.of(spectrum).model_dump()
    (answer,) = client.post("/v1/search", json={"spectra": [query], "any_ion_mode": True}).json()
    hit: dict[str, object] = answer["hits"][0]
    return hit


def test_what_is_written_is_found(client: TestClient) -> None:
    assert client.get("/v1/libraries").json() == []
    for records in (FIRST, MORE):
        told = send(client, mgf(records)).json()
        assert (told["n_read"], told["n_indexed"], told["skipped"]) == (len(records), len(records), [])
        for record in records[::9]:
            hit = first_hit(client, record)
            assert (hit["library"], hit["accession"]) == (LIBRARY, record.accession)
    assert told["n_in_library"] == client.get("/v1/libraries").json()[0]["spectra"] == 52
    assert f'specsearch_library_spectra{{library="{LIBRARY}"}} 52.0' in client.get("/metrics").text
    assert "52 spectra" in client.get("/", headers=PAGE).text


def test_the_end_is_that_of_the_command(tmp_path: Path) -> None:
    for records in (FIRST, MORE):  # into a new library, and by another server into one that is there
        with writing(tmp_path) as client:
            assert send(client, mgf(records)).status_code == 200
    other = tmp_path / "by-command"
    other.mkdir()
    (other / "a.mgf").write_text(mgf(FIRST))
    (other / "b.mgf").write_text(mgf(MORE))
    with open_store(other / "store") as store:
        files = [other / "a.mgf", other / "b.mgf"]
        index_files(files, store, LIBRARY, Embedder(*small_encoder()), other / "work")
        expected = library_state(store, LIBRARY)
    with open_store(tmp_path / "store") as store:
        found = library_state(store, LIBRARY)
    for values in (*found.values(), *expected.values()):
        del values[0]["source"]  # type: ignore[attr-defined]
    assert found == expected


def test_twice_is_once(client: TestClient) -> None:
    first, second = send(client, mgf(FIRST)), send(client, mgf(FIRST))
    assert first.json() == second.json()
    assert first.json()["n_in_library"] == len(FIRST)
    third = send(client, mgf([*FIRST, *MORE])).json()  # other bytes, some of the same records
    assert third["n_in_library"] == len(FIRST) + len(MORE)
    assert {one["reason"] for one in third["skipped"]} == {"already in the library"}
    assert [one["accession"] for one in third["skipped"]] == [one.accession for one in FIRST]


def test_bad_records_are_told_and_the_others_indexed(client: TestClient) -> None:
    told = send(client, mgf(FIRST) + BROKEN_MGF, name=HOSTILE).json()
    assert (told["n_read"], told["n_indexed"]) == (len(FIRST) + 3, len(FIRST))
    assert [one["accession"] for one in told["skipped"]] == ["empty", "negative", "silent"]
    assert {one["source"] for one in told["skipped"]} == {HOSTILE}
    refused = send(client, BROKEN_MGF, path="/v1/libraries/other/spectra")
    assert refused.status_code == 422
    assert "no peaks" in refused.json()["detail"]
    assert [one["library"] for one in client.get("/v1/libraries").json()] == [LIBRARY]


def test_more_than_is_taken_at_once_is_refused_whole(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_SPECTRA", len(FIRST))
    refused = send(client, mgf([*FIRST, MORE[0]]))
    assert refused.status_code == 422
    assert "ended after 12 spectra" in refused.json()["detail"]
    assert "parts" in refused.json()["next_step"]
    assert client.get("/v1/libraries").json() == []
    assert send(client, mgf(FIRST)).json()["n_in_library"] == len(FIRST)  # just as many as are allowed


@pytest.mark.parametrize("name", ["banks", "..%2Fother", "-x", ".hidden", "a b", "x" * 101])
def test_no_library_outside_its_folder(client: TestClient, tmp_path: Path, name: str) -> None:
    refused = send(client, mgf(FIRST), path=f"/v1/libraries/{name}/spectra")
    assert refused.status_code in (404, 422)
    assert refused.json()["next_step"]
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], ["store"])


def test_without_the_word_nothing_is_written(tmp_path: Path) -> None:
    network, card = small_encoder()
    served = Served({}, {}, {}, {}, Embedder(network, card), network, None)
    with TestClient(small_app(served)) as client:
        refused = send(client, mgf(FIRST))
    assert refused.status_code == 403
    assert "--allow-write" in refused.json()["next_step"]
    with writing(tmp_path, KEY) as client:
        assert send(client, mgf(FIRST)).status_code == 401
        client.headers["authorization"] = f"Bearer {KEY}"
        assert send(client, mgf(FIRST)).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_page_of_others_writes(client: TestClient, site: str) -> None:
    sent = {"file": ("my.mgf", mgf(FIRST))}
    assert client.post(HERE, files=sent, headers={"sec-fetch-site": site}).status_code == 403
    assert client.get("/v1/libraries").json() == []


def test_a_library_that_is_not_served_is_not_written(client: TestClient, tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        (tmp_path / "a.mgf").write_text(mgf(FIRST))
        index_files([tmp_path / "a.mgf"], store, "other", Embedder(*small_encoder()), tmp_path / "work")
        before = library_state(store, "other")
        refused = send(client, mgf(MORE), path="/v1/libraries/other/spectra")
        assert (refused.status_code, "not served" in refused.json()["detail"]) == (404, True)
        assert library_state(store, "other") == before


def test_what_was_made_of_a_library_before_it_grew_is_refused(client: TestClient) -> None:
    send(client, mgf(FIRST))
    served: Served = client.app.state.work.served  # type: ignore[attr-defined]
    snapshot = read_snapshot(served.collections[LIBRARY])
    served.graphs = {LIBRARY: build_graph(snapshot, GraphSettings(n_neighbours=3))[0]}
    keep_map(served.beside[LIBRARY], snapshot, snapshot.embeddings[:, :2])
    family, drawn = f"/v1/family/{LIBRARY}:S1", f"/map/{LIBRARY}"
    send(client, mgf(FIRST))  # nothing new
    assert client.post(family, json={}).status_code == 200
    assert "of 12 spectra" in client.get(drawn, headers=PAGE).text
    send(client, mgf(MORE))
    refused = client.post(family, json={})
    assert (refused.status_code, f"specsearch graph {LIBRARY}" in refused.json()["next_step"]) == (404, True)
    assert not client.get("/v1/libraries").json()[0]["has_graph"]
    assert "older than the library" in client.get(drawn, headers=PAGE).text


def test_nobody_sees_half_of_it(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "_UPSERT_BATCH", 2)
    send(client, mgf(FIRST))
    seen, is_done = set(), threading.Event()
    with listening(client.app) as address:  # type: ignore[arg-type]

        def look() -> None:
            while not is_done.is_set():
                found = httpx.get(f"{address}/v1/libraries", timeout=30)
                seen.add(found.json()[0]["spectra"] if found.status_code == 200 else found.text)

        looking = threading.Thread(target=look)
        looking.start()
        sent = httpx.post(f"{address}{HERE}", files={"file": ("my.mgf", mgf(MORE))}, timeout=60)
        is_done.set()
        looking.join()
        seen.add(httpx.get(f"{address}/v1/libraries").json()[0]["spectra"])
    assert sent.status_code == 200
    assert seen == {12, 52}


def test_a_write_that_fails_says_so_and_the_library_is_still_searched(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(client, mgf(FIRST))
    with monkeypatch.context() as patched:
        patched.setattr("specsearch.store.space.FLOOR_BYTES", 1 << 60)
        full = send(client, mgf(MORE))
    assert (full.status_code, full.headers["content-type"]) == (507, "application/problem+json")
    assert "space" in full.json()["next_step"]
    assert first_hit(client, FIRST[0])["accession"] == FIRST[0].accession
    assert send(client, mgf(MORE)).json()["n_in_library"] == 52
