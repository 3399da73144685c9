"""Whatever goes wrong is told in the same form, with a next step; and the server goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from qdrant_client import QdrantClient
from web_material import KEY, LIBRARY, small_app, small_server

from specsearch.store.server_collection import ServerCollection
from specsearch.web import guard
from specsearch.web.app import Limits
from specsearch.web.records import SearchIn
from specsearch.web.served import Served

PAGE = {"accept": "text/html"}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with small_server(tmp_path_factory.mktemp("web")) as made:
        yield made


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(small_app(served)) as made:
        yield made


def check_problem(found: Any, status: int) -> None:
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    told = found.json()
    assert set(told) == {"type", "status", "title", "detail", "next_step"}
    assert (told["type"], told["status"]) == ("about:blank", status)
    assert all(told[name] for name in ("title", "detail", "next_step"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/nowhere", 404),
        ("GET", "/static/nothing.js", 404),
        ("GET", f"/v1/spectra/{LIBRARY}:nobody", 404),
        ("POST", f"/v1/family/{LIBRARY}:nobody", 404),
        ("GET", "/map/nope", 404),
        ("GET", "/receipt/nope", 404),
        ("GET", "/v1/search", 405),
        ("DELETE", f"/v1/spectra/{LIBRARY}:S1", 405),
        ("PUT", f"/v1/libraries/{LIBRARY}/spectra", 405),
        ("POST", "/v1/read", 422),
        ("GET", "/search?top=0", 422),
    ],
)
def test_every_refusal_has_the_same_form(client: TestClient, method: str, path: str, status: int) -> None:
    found = client.request(method, path, json={} if method == "POST" and "family" in path else None)
    check_problem(found, status)
    assert ("allow" in found.headers) == (status == 405)


def test_those_of_the_door_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestClient(small_app(served, (KEY,))) as client:
        check_problem(client.get("/v1/libraries"), 401)
    with TestClient(small_app(served, limits=Limits(rate="1/hour"))) as client:
        assert client.get("/v1/libraries").status_code == 200
        slow = client.get("/v1/libraries")
        check_problem(slow, 429)
        assert int(slow.headers["retry-after"]) >= 1
        monkeypatch.setattr(guard, "_MOST_OTHER_BYTES", 10)
        check_problem(client.post("/v1/search", content=b"x" * 11), 413)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_other_methods_open_nothing(served: Served, method: str) -> None:
    preflight = {"origin": "https://elsewhere.org", "access-control-request-method": "POST"}
    with TestClient(small_app(served, (KEY,))) as client:
        for path in ("/", "/v1/libraries", "/v1/search", "/metrics"):
            found = client.request(method, path, headers=preflight)
            assert found.status_code == 401
            assert "default-src 'none'" in found.headers["content-security-policy"]
            found = client.request(method, path, headers=preflight | {"authorization": f"Bearer {KEY}"})
            assert found.status_code == 405
            assert not [name for name in found.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"spectra": [{"peaks": [[NaN, 1]]}]}', 422),
        ('{"spectra": [{"peaks": [[100, Infinity]]}]}', 422),
        ('{"spectra": [{"peaks": [[100, 1]], "precursor_mz": -Infinity}]}', 422),
        ('{"spectra": [{"peaks": [[1e999, 1]]}]}', 422),
        ('{"spectra": [{"peaks": [[100, 1]], "charge": 1e400}]}', 422),
        ('{"spectra": [{"peaks": [' + "[100.5, 1]," * 99_999 + "[100.5, 1]]}]}", 422),
        ('{"spectra": [{"peaks": [' + "[100.5, 1]," * 999_999 + "[100.5, 1]]}]}", 413),
        ('{"spectra": [{"peaks": [' + "[1,1]," * 499_999 + "[1,1]]}]}", 413),
        ('{"spectra": [' + '{"peaks": [[100, 1]]},' * 256 + '{"peaks": [[100, 1]]}]}', 422),
        ('{"spectra": ' + "[" * 200_000 + "]" * 200_000 + "}", 400),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, 400),
        ('{"spectra": [{"peaks": [[100, 1]], "charge": ' + "9" * 10_000 + "}]}", 400),
        ('{"spectra": [{"peaks": [[-1, 1]]}]}', 422),
        ("{", 422),
        ("", 422),
    ],
    ids=lambda value: str(value)[:60],
)
def test_numbers_and_nestings_that_no_spectrum_has(client: TestClient, body: str, status: int) -> None:
    for path in ("/v1/search", "/v1/identify", "/v1/embed"):
        found = client.post(path, content=body, headers=JSON)
        check_problem(found, status)
        assert len(found.content) < 2000  # what was sent does not come back
    assert client.get("/ready").status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        {"spectra": [{"peaks": [["", ""]] * 10_000}] * 9},
        {"spectra": [{"peaks": [[100, 1]]}], **dict.fromkeys(map(str, range(100_000)))},
        {"spectra": [{"peaks": [[100, 1]], **dict.fromkeys(map(str, range(10_000)))}] * 9},
    ],
    ids=["peaks", "names", "names of spectra"],
)
def test_of_many_faults_only_the_first_are_written_down(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as told:
        SearchIn.model_validate(given)
    assert told.value.error_count() <= 2


def away(served: Served) -> ServerCollection:
    """The library on a server that is not there: nobody listens at this port."""
    client = QdrantClient(url="http://127.0.0.1:9", check_compatibility=False, timeout=5)
    contract = served.collections[LIBRARY].contract
    return ServerCollection(client, LIBRARY, contract, place=LIBRARY, find_place=str, write=False)


def test_a_library_that_is_gone_takes_no_other_with_it(served: Served) -> None:
    one = replace(served)
    with TestClient(small_app(one)) as client:
        one.collections = {"gone": away(served), **served.collections}
        listed = client.get("/v1/libraries")
        assert listed.status_code == 200
        assert {row["library"]: row["spectra"] for row in listed.json()} == {"gone": None, LIBRARY: 61}
        page = client.get("/", headers=PAGE)
        assert page.status_code == 200
        assert page.text.count("cannot be asked") == 1
        assert "61 spectra" in page.text
        assert page.text.count(f"/search?id={LIBRARY}%3A") == 3
        assert "127.0.0.1" not in listed.text + page.text


def test_a_store_that_is_gone_is_told_and_come_back_it_is_asked_again(served: Served) -> None:
    one = replace(served)
    with TestClient(small_app(one)) as client:
        assert client.get("/ready").json() == {"status": "ready"}
        one.collections, end = {LIBRARY: away(served)}, time.monotonic() + 60
        query = {"spectra": [{"peaks": [[100.1, 1], [110.1, 2]]}]}
        for found in (
            client.post("/v1/search", json=query),
            client.get("/v1/libraries"),
            client.get(f"/v1/spectra/{LIBRARY}:S1"),
        ):
            check_problem(found, 503)
            assert found.headers["retry-after"] == "1"
            assert "127.0.0.1" not in found.text  # where the store is, is nobody's business
        page = client.get("/", headers=PAGE)
        assert (page.status_code, "Begin again" in page.text) == (503, True)
        ready = client.get("/ready")
        while ready.status_code == 200 and time.monotonic() < end:  # an answer is good for a second
            ready = client.get("/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "without its store"})
        assert client.get("/health").status_code == client.get("/metrics").status_code == 200
        one.collections = served.collections
        assert client.post("/v1/search", json=query).status_code == 200
        while client.get("/ready").status_code != 200:
            assert time.monotonic() < end
