"""Faults of a server and of the way to it: the end is that of an undisturbed run, or a refusal that helps.

Against the stand-in of `server_standin`: our calls and retries are real, Qdrant is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from samples import embedder, library_state, mgf, spectra
from server_standin import (
    FAULTS,
    Fault,
    FaultyWay,
    StandInServer,
    broken,
    connected,
    cut_off,
    from_request,
    half_done,
    once,
    refused,
    scattered,
    timed_out,
)
from store_material import CONTRACT, points

from ingest.index import index_files
from ingest.plan import windows
from specsearch.errors import StoreError
from specsearch.store.schema import SPECTRA
from specsearch.store.server_retry import N_TRIES, ask
from specsearch.store.server_terms import INDEXING_ON, payload_indexes

State = dict[str, tuple[Any, ...]]

EMBEDDER = embedder()
SOME = spectra(12, seed=11)
FIELDS = set(payload_indexes(SPECTRA))


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """No waiting, and windows so small that there are several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("specsearch.store.server_retry.FIRST_WAIT_S", 0.0)
        patch.setattr("specsearch.store.server_indexing.POLL_S", 0.0)
        patch.setattr("ingest.index.windows", partial(windows, size=4))
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "a.mgf"
    path.write_text(mgf(SOME))
    return path


def index(way: httpx.BaseTransport, file: Path, work: Path) -> None:
    with connected(way) as store:
        index_files([file], store, "lib", EMBEDDER, work)


def state(server: StandInServer) -> State:
    return library_state(connected(server), "lib")


@pytest.fixture(scope="module")
def undisturbed(file: Path, tmp_path_factory: pytest.TempPathFactory) -> State:
    server = StandInServer()
    index(server, file, tmp_path_factory.mktemp("work"))
    assert len(state(server)) == len(SOME)
    return state(server)


def require_whole(server: StandInServer, expected: State) -> None:
    """The library of an undisturbed run, with all its indexes asked for.

    The local mode gives an embedding that is written twice another last bit; Qdrant keeps float16 of it.
    """
    found = state(server)
    assert found.keys() == expected.keys()
    for point, (payload, embedding, *sparse) in found.items():
        assert [payload, *sparse] == [expected[point][0], *expected[point][2:]]
        kept, sent = (np.frombuffer(raw, np.float32) for raw in (embedding, expected[point][1]))
        np.testing.assert_allclose(kept, sent, atol=1e-6)
    assert server.indexed_fields("lib") == FIELDS
    assert server.threshold("lib") == INDEXING_ON


def require_helpful(error: StoreError) -> None:
    assert error.message.endswith(".")
    assert error.next_step.endswith(".")


@pytest.mark.parametrize("share", [0.25, 0.6])
@pytest.mark.parametrize("seed", range(12))
def test_faults_by_chance(file: Path, tmp_path: Path, undisturbed: State, seed: int, share: float) -> None:
    server = StandInServer()
    way = FaultyWay(server, scattered(seed, share))
    try:
        index(way, file, tmp_path)
        require_whole(server, undisturbed)
    except StoreError as error:
        require_helpful(error)
    assert way.n_faults
    index(server, file, tmp_path)
    require_whole(server, undisturbed)


@pytest.mark.parametrize("fault", [refused, cut_off, half_done])
def test_a_server_that_goes_away_for_good(
    file: Path, tmp_path: Path, undisturbed: State, fault: Fault
) -> None:
    """After any number of requests; the same command ends what the first began."""
    unharmed = StandInServer()
    index(unharmed, file, tmp_path / "unharmed")
    for n in range(0, len(unharmed.asked), 4):
        server = StandInServer()
        with pytest.raises(StoreError) as raised:
            index(FaultyWay(server, from_request(n, fault)), file, tmp_path / str(n))
        require_helpful(raised.value)
        index(server, file, tmp_path / str(n))
        require_whole(server, undisturbed)


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_not_noticed(fault: Fault) -> None:
    """In the life of a library that is made, filled, changed, read and dropped.

    The kinds take turns, so that each request meets one or two of them.
    """
    server = StandInServer()
    live(server)
    for n in range(FAULTS.index(fault) % 5, len(server.asked), 5):
        way = FaultyWay(StandInServer(), once([*[None] * n, fault]))
        assert live(way) == 6
        assert way.n_faults == 1
        assert not way.server.local.get_collections().collections


def live(way: httpx.BaseTransport) -> int:
    """The life of a library; how many points it had at last."""
    stored = points(8)
    with connected(way) as store:
        with store.create("lib", CONTRACT) as collection:
            collection.upsert(stored)
            collection.delete([point.point_id for point in stored[:2]])
            collection.annotate({stored[2].point_id: {"note": "changed"}})
            collection.optimize()
            changed = collection.fetch([stored[2].point_id])[stored[2].point_id]
            assert changed.payload["note"] == "changed"
            n_points = len(list(collection.scroll(with_vectors=True)))
        with store.making("copy", CONTRACT) as made:
            made.upsert(stored)
        assert store.libraries() == ["copy", "lib"]
        store.drop("lib")
        store.drop("copy")
    return n_points


def test_a_creation_whose_answer_was_lost_is_our_own() -> None:
    server = StandInServer()
    create = sum(1 for _ in requests_before(server, "PUT", "/collections/lib@1"))
    for fault in (timed_out, cut_off):
        way = FaultyWay(StandInServer(), once([*[None] * create, fault]))
        with connected(way) as store:
            store.create("lib", CONTRACT).close()
            with pytest.raises(StoreError, match="already has a library"):
                store.create("lib", CONTRACT)


def requests_before(server: StandInServer, method: str, path: str) -> Iterator[Any]:
    connected(server).create("lib", CONTRACT).close()
    for asked in server.asked:
        if asked[:2] == (method, path):
            return
        yield asked
    raise AssertionError(f"{method} {path} was never asked")


def test_a_creation_of_another_is_not_ours() -> None:
    """It was made between our look and our creation, and its points stay."""
    server = StandInServer()

    def overtaken(request: httpx.Request, server: StandInServer) -> httpx.Response:
        with connected(server).create("lib", CONTRACT) as others:
            others.upsert(points(3))
        return server.handle_request(request)

    n = sum(1 for _ in requests_before(StandInServer(), "PUT", "/collections/lib@1"))
    with pytest.raises(StoreError, match="Another command made"):
        connected(FaultyWay(server, once([*[None] * n, overtaken]))).create("lib", CONTRACT)
    assert connected(server).open("lib").count() == 3


# How often, and how long


class Waits:
    """In place of sleeping."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waited: list[float] = []
        monkeypatch.setattr("time.sleep", self.waited.append)
        monkeypatch.setattr("specsearch.store.server_retry.FIRST_WAIT_S", 0.25)


def test_waits_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Waits(monkeypatch)
    way = FaultyWay(StandInServer(), from_request(0, broken))
    with pytest.raises(StoreError, match=r"HTTP 500.*something broke.*server's log"):
        connected(way).exists("lib")
    assert way.n_faults == N_TRIES
    for i, wait in enumerate(waits.waited):
        assert 0.25 * 2**i <= wait <= 0.25 * 2**i + 0.25
    assert sum(waits.waited) < 30


@pytest.mark.parametrize(("status", "asked"), [(429, "3"), (503, "3")])
def test_a_server_that_says_when(monkeypatch: pytest.MonkeyPatch, status: int, asked: str) -> None:
    waits = Waits(monkeypatch)

    def later(request: httpx.Request, server: StandInServer) -> httpx.Response:
        return httpx.Response(status, headers={"Retry-After": asked}, json={"status": {"error": "later"}})

    way = FaultyWay(StandInServer(), once([later]))
    assert not connected(way).exists("lib")
    assert waits.waited == [3.0]


def test_a_server_that_wants_more_patience_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Waits(monkeypatch)

    def much_later(request: httpx.Request, server: StandInServer) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": "600"}, json={"status": {"error": "later"}})

    with pytest.raises(StoreError, match=r"too busy.*again in 600 seconds"):
        connected(FaultyWay(StandInServer(), from_request(0, much_later))).exists("lib")
    assert waits.waited == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_what_does_not_pass_is_not_tried_again(status: int) -> None:
    def refusing(request: httpx.Request, server: StandInServer) -> httpx.Response:
        return httpx.Response(status, json={"status": {"error": "no"}})

    way = FaultyWay(StandInServer(), from_request(0, refusing))
    with pytest.raises(StoreError):
        ask("look", connected(way)._client.get_collections)
    assert way.n_faults == 1
