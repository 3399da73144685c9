"""Who gets in, how fast, and with how much; what every answer carries."""

from __future__ import annotations

import asyncio
import hmac
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from samples import mgf
from web_material import HOSTILE, KEY, LIBRARY, listening, records, small_app, small_server

from specsearch.web import guard
from specsearch.web.access import Access
from specsearch.web.app import Limits
from specsearch.web.served import Served

PAGE = {"accept": "text/html"}
OTHER_KEY = "another key of this test"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with small_server(tmp_path_factory.mktemp("web")) as made:
        yield made


@pytest.fixture(scope="module")
def open_door(served: Served) -> Iterator[TestClient]:
    with TestClient(small_app(served)) as made:
        yield made


@pytest.fixture
def locked(served: Served) -> Iterator[TestClient]:
    with TestClient(small_app(served, keys=(OTHER_KEY, KEY)), follow_redirects=False) as made:
        yield made


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {KEY}"},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": "ключ".encode()},
        {"cookie": "specsearch=" + KEY.replace(" ", "")},
    ],
)
def test_without_the_key_there_is_nothing(locked: TestClient, headers: dict[str, Any]) -> None:
    for path in ("/v1/libraries", "/metrics", "/openapi.json", f"/v1/spectra/{LIBRARY}:S1"):
        found = locked.get(path, headers=headers)
        assert found.status_code == 401
        assert found.headers["www-authenticate"] == "Bearer"
        assert KEY not in found.text
    assert locked.get("/health").status_code == 200


@pytest.mark.parametrize("headers", [{"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}])
def test_the_key_opens(locked: TestClient, headers: dict[str, str]) -> None:
    assert locked.get("/v1/libraries", headers=headers).status_code == 200


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the standard library's comparison, and by nothing before it."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest
    monkeypatch.setattr("hmac.compare_digest", lambda *pair: compared.append(pair) or real(*pair))
    access, given = Access((KEY, OTHER_KEY), "1/second"), ("", KEY[:-1], KEY)
    assert [access.is_key(one) for one in given] == [False, False, True]
    assert compared == [(one.encode(), key.encode()) for one in given for key in (KEY, OTHER_KEY)]


def test_a_single_key_is_not_taken_for_many_of_a_letter() -> None:
    with pytest.raises(TypeError, match="each letter would be a key"):
        Access(KEY, "1/second")  # type: ignore[arg-type]


def test_a_browser_is_asked_and_remembered_without_the_key_itself(locked: TestClient) -> None:
    asked = locked.get("/search?id=lib:S1", headers=PAGE)
    assert asked.status_code == 303
    assert asked.headers["location"] == "/login?next=/search%3Fid%3Dlib%3AS1"
    assert locked.post("/login", data={"key": "wrong", "next": "/"}).status_code == 401
    entered = locked.post("/login", data={"key": KEY, "next": "/search?id=lib:S1"})
    assert entered.headers["location"] == "/search?id=lib:S1"
    cookie = entered.headers["set-cookie"]
    assert KEY not in cookie
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert locked.get("/search?id=lib:S1", headers=PAGE).status_code == 200


@pytest.mark.parametrize("place", ["//elsewhere.org", "https://elsewhere.org", "/\\elsewhere.org", "", "x"])
def test_the_way_in_leads_nowhere_else(locked: TestClient, place: str) -> None:
    assert locked.post("/login", data={"key": KEY, "next": place}).headers["location"] == "/"


def test_too_many_requests_are_slowed(served: Served) -> None:
    with TestClient(small_app(served, limits=Limits(rate="3/minute"))) as client:
        statuses = [client.get("/v1/libraries").status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        assert client.get("/v1/libraries").headers["retry-after"] == "1"
        assert client.get("/health").status_code == 200


def test_each_key_has_its_own_pace(served: Served) -> None:
    app = small_app(served, keys=(KEY, OTHER_KEY), limits=Limits(rate="3/minute"))
    with TestClient(app) as client:
        for key in (KEY, OTHER_KEY):
            shown = {"authorization": f"Bearer {key}"}
            statuses = [client.get("/v1/libraries", headers=shown).status_code for _ in range(4)]
            assert statuses == [200, 200, 200, 429]
        # Who guesses is counted by address, whatever is guessed.
        guesses = [{"x-api-key": f"guess {n}"} for n in range(4)]
        statuses = [client.get("/v1/libraries", headers=guess).status_code for guess in guesses]
        assert statuses == [401, 401, 401, 429]


@pytest.mark.parametrize("path", ["/", "/health", "/v1/libraries", "/static/page.css", "/nowhere", "/search"])
def test_every_answer_is_armoured(open_door: TestClient, path: str) -> None:
    headers = open_door.get(path, headers=PAGE | {"origin": "https://elsewhere.org"}).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert not [name for name in headers if name.startswith("access-control")]


def test_only_its_own_names_are_answered_to(open_door: TestClient) -> None:
    assert open_door.get("/health", headers={"host": "rebound.org"}).status_code == 400
    assert open_door.get("/health", headers={"host": "localhost:8765"}).status_code == 200


def test_another_site_cannot_send_forms(open_door: TestClient) -> None:
    sent = {"spectrum_id": "lib:S1"}
    assert open_door.post("/read", data=sent, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert open_door.post("/read", data=sent, headers={"sec-fetch-site": "same-origin"}).status_code == 200


@pytest.mark.parametrize(
    ("site", "mode", "place", "status"),
    [
        ("cross-site", "navigate", "document", 200),  # a link
        ("cross-site", "no-cors", "image", 403),
        ("cross-site", "no-cors", "script", 403),
        ("cross-site", "cors", "empty", 403),
        ("cross-site", "navigate", "iframe", 403),
        ("same-site", "no-cors", "image", 403),  # another port of this machine
        ("same-origin", "cors", "empty", 200),
        ("none", "navigate", "document", 200),  # an address that was typed
    ],
)
def test_another_site_may_link_here_but_starts_no_search(
    open_door: TestClient, site: str, mode: str, place: str, status: int
) -> None:
    sent = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": place}
    for address in (f"/search?id={LIBRARY}:S1", "/v1/libraries", "/ready"):
        assert open_door.get(address, headers=PAGE | sent).status_code == status


@pytest.mark.parametrize("name", ["../app.py", "..%2f..%2fapp.py", "page.css/../../app.py", "%2e%2e/app.py"])
def test_no_other_file_is_given(open_door: TestClient, name: str) -> None:
    found = open_door.get(f"/static/{name}")
    assert found.status_code == 404
    assert "def make_app" not in found.text


def test_a_hostile_name_stays_a_name(open_door: TestClient) -> None:
    for path in (
        f"/search?id={LIBRARY}:S3",
        f"/identify?id={LIBRARY}:S3",
        f"/family?id={LIBRARY}:S3&least=0",
    ):
        found = open_door.get(path, headers=PAGE)
        assert found.status_code == 200
        assert "alert(" in found.text
        assert HOSTILE not in found.text


@pytest.mark.parametrize(
    ("kind", "limit"), [("application/json", "_MOST_OTHER_BYTES"), ("multipart/form-data", "MOST_BYTES")]
)
def test_a_body_has_an_end(served: Served, monkeypatch: pytest.MonkeyPatch, kind: str, limit: str) -> None:
    monkeypatch.setattr(guard, limit, 10_000)
    sent: dict[str, Any] = {"headers": {"content-type": kind}}
    with listening(small_app(served)) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc)
        connection.request("POST", "/v1/search", body=b"x" * 10_001, **sent)
        told = connection.getresponse()
        assert (told.status, told.getheader("content-type")) == (413, "application/problem+json")
        told.read()
        connection.close()
        connection.request("POST", "/v1/search", body=iter([b"x" * 4000] * 4), encode_chunked=True, **sent)
        told = connection.getresponse()
        assert told.status == 413
        assert "in several parts" in json.loads(told.read())["next_step"]
        connection.close()
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200


def test_only_a_file_may_be_large(open_door: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_MOST_OTHER_BYTES", 500)
    monkeypatch.setattr(guard, "_MOST_COMMAS", 5)
    text = mgf(records()[:4]).replace("BEGIN IONS", "# a, b, c\nBEGIN IONS")
    found = open_door.post("/v1/read", files={"file": ("some.mgf", text)})
    assert len(found.json()["spectra"]) == 4
    (spectrum,) = (one for one in found.json()["spectra"][:1])
    assert open_door.post("/v1/embed", json={"spectra": [spectrum]}).status_code == 413


def test_a_request_has_at_most_200_000_peaks(open_door: TestClient) -> None:
    peaks = [[100 + n / 100, 1.5] for n in range(20_000)]
    most = open_door.post("/v1/embed", json={"spectra": [{"peaks": peaks, "precursor_mz": 350.5}] * 10})
    assert (most.status_code, len(most.json())) == (200, 10)
    found = open_door.post("/v1/embed", json={"spectra": [{"peaks": peaks}] * 11})
    assert (found.status_code, found.json()["detail"]) == (413, "This has more than 200,000 peaks.")


def test_a_body_may_not_take_for_ever(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_MOST_SECONDS_PER_CHUNK", 0.2)
    with listening(small_app(served)) as address:
        host, port = urlsplit(address).netloc.split(":")
        with socket.create_connection((host, int(port)), 10) as slow:
            slow.sendall(b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
            assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_nor_may_it_come_byte_by_byte(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_MOST_SECONDS", 0.5)
    with listening(small_app(served)) as address:
        host, port = urlsplit(address).netloc.split(":")
        with socket.create_connection((host, int(port)), 0.1) as slow:
            slow.sendall(b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")
            for _ in range(100):
                try:
                    told = slow.recv(100)
                    break
                except TimeoutError:
                    slow.sendall(b" ")
            assert told.startswith(b"HTTP/1.1 408")


def test_waiting_for_a_client_to_hang_up_is_no_slow_body() -> None:
    async def late() -> dict[str, object]:
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async def whole() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def asked() -> dict[str, object]:
        messages = iter([whole, late])
        receive = guard._bounded(lambda: next(messages)(), is_file=False)
        await receive()
        return await receive()  # type: ignore[return-value]

    assert asyncio.run(asked())["type"] == "http.disconnect"
