"""More than there is time for, or an engine that fails: a clear word to each, and the server goes on."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from web_material import CAFFEINE, LIBRARY, listening, records, small_app, small_server

from specsearch.errors import StoreDamaged, StoreError
from specsearch.spectra.spectrum import Spectrum
from specsearch.web import bounds
from specsearch.web.app import Limits
from specsearch.web.desk import Batches, Lane
from specsearch.web.records import SpectrumOut
from specsearch.web.served import Served

LINES = {"accept": "application/x-ndjson"}
PAGE = {"accept": "text/html"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with small_server(tmp_path_factory.mktemp("web")) as made:
        yield made


def asked(spectra: Sequence[Spectrum]) -> dict[str, Any]:
    return {"spectra": [SpectrumOut.of(one).model_dump(exclude={"metadata"}) for one in spectra], "top": 3}


ONE, MANY = asked([CAFFEINE]), asked(records()[:60])


@contextmanager
def engine(monkeypatch: pytest.MonkeyPatch, before: Callable[[], object]) -> Iterator[list[int]]:
    """Searches that first do something; how many spectra each was asked for."""
    sizes: list[int] = []
    search = Served.search

    def slowed(self: Served, libraries: Any, settings: Any, spectra: Sequence[Spectrum], *more: Any) -> Any:
        sizes.append(len(spectra))
        before()
        return search(self, libraries, settings, spectra, *more)

    with monkeypatch.context() as patched:
        patched.setattr(Served, "search", slowed)
        yield sizes


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_full_queue_sends_away_and_answers_who_waited(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, n_places = threading.Event(), 3
    app = small_app(served, limits=Limits(rate="1000/second", n_places=n_places))
    with listening(app) as address, ThreadPoolExecutor(20) as pool, engine(monkeypatch, gate.wait):
        work = app.state.work
        sent = [pool.submit(httpx.post, f"{address}/v1/search", json=MANY, timeout=30) for _ in range(8)]
        until(lambda: sum(one.done() for one in sent) == 8 - n_places)
        assert work.waiting["slow"] == n_places
        assert httpx.get(f"{address}/health").status_code == 200
        gate.set()
        answers = [one.result() for one in sent]
        away = [one for one in answers if one.status_code == 503]
        assert len(away) == 8 - n_places
        assert {one.headers["retry-after"] for one in away} == {"1"}
        assert {one.headers["content-type"] for one in away} == {"application/problem+json"}
        assert [len(one.json()) for one in answers if one.status_code == 200] == [60] * n_places
        assert httpx.post(f"{address}/v1/search", json=ONE, timeout=30).status_code == 200
        assert set(work.waiting.values()) == {0}


def test_short_questions_wait_in_a_queue_with_an_end(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    app = small_app(served, limits=Limits(rate="1000/second", n_places=4))
    with listening(app) as address, ThreadPoolExecutor(20) as pool, engine(monkeypatch, gate.wait) as sizes:
        first = pool.submit(httpx.post, f"{address}/v1/search", json=ONE, timeout=30)
        until(lambda: bool(sizes))
        sent = [pool.submit(httpx.post, f"{address}/v1/search", json=ONE, timeout=30) for _ in range(9)]
        until(lambda: sum(one.done() for one in sent) == 5)
        gate.set()
        statuses = sorted(one.result().status_code for one in (first, *sent))
    assert statuses == [200] * 5 + [503] * 5
    assert sizes == [1, 4]  # who waited was answered together


def test_a_page_does_not_wait_for_long_jobs(served: Served) -> None:
    gate = threading.Event()
    with TestClient(small_app(served)) as client:
        work = client.app.state.work  # type: ignore[attr-defined]
        assert client.portal is not None
        held = client.portal.start_task_soon(work.slow.run, lambda: gate.wait(60))
        until(lambda: work.waiting["slow"] == 1)
        work._patience_s = 15.0
        for address in (
            f"/search?id={LIBRARY}:S1",
            f"/search?id={LIBRARY}:S1&format=csv",
            f"/map/{LIBRARY}",
            "/",
            "/v1/libraries",
        ):
            assert client.get(address, headers=PAGE).status_code == 200, address
        pasted = client.post("/read", data={"peaks": "100.1 1\n110.1 2"}, headers=PAGE)
        assert pasted.status_code == 200
        assert 'specsearch_waiting{lane="slow"} 1.0' in client.get("/metrics").text
        gate.set()
        assert held.result(20)


def test_strangers_who_ask_whether_it_is_ready_take_one_place(served: Served) -> None:
    gate = threading.Event()
    with TestClient(small_app(served, limits=Limits(rate="1000/second", n_places=3))) as client:
        work = client.app.state.work  # type: ignore[attr-defined]
        assert client.portal is not None
        held = client.portal.start_task_soon(work.quick.run, lambda: gate.wait(60))
        probes = [client.portal.start_task_soon(work.state) for _ in range(20)]
        until(lambda: work.waiting["quick"] == 2)
        time.sleep(0.1)
        assert work.waiting["quick"] == 2
        gate.set()
        assert held.result(20)
        assert {one.result(20) for one in probes} == {"ready"}
        assert client.get("/ready").json() == {"status": "ready"}


@pytest.mark.parametrize("lane", ["quick", "slow", "pages", "files"])
def test_each_lane_is_counted(served: Served, lane: str) -> None:
    gate = threading.Event()
    with TestClient(small_app(served)) as client:
        work = client.app.state.work  # type: ignore[attr-defined]
        assert client.portal is not None
        held = [
            client.portal.start_task_soon(getattr(work, lane).run, lambda: gate.wait(60)) for _ in range(2)
        ]
        until(lambda: work.waiting[lane] == 2)
        shown = [one for one in client.get("/metrics").text.splitlines() if "specsearch_waiting{" in one]
        gate.set()
        assert all(one.result(20) for one in held)
    counts = dict.fromkeys(("quick", "slow", "pages", "files"), 0.0) | {lane: 2.0}
    assert set(shown) == {f'specsearch_waiting{{lane="{name}"}} {n}' for name, n in counts.items()}


@pytest.mark.parametrize("body", [ONE, MANY])
def test_patience_has_an_end(served: Served, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]) -> None:
    gate = threading.Event()
    limits = Limits(rate="1000/second", patience_s=0.3)
    with TestClient(small_app(served, limits=Limits(rate="1000/second"))) as client:
        client.app.state.work._patience_s = limits.patience_s  # type: ignore[attr-defined]
        with engine(monkeypatch, gate.wait):
            found = client.post("/v1/search", json=body)
            assert (found.status_code, found.headers["retry-after"]) == (503, "1")
            assert "longer than this server waits" in found.json()["detail"]
            gate.set()
        client.app.state.work._patience_s = 30.0  # type: ignore[attr-defined]
        assert client.post("/v1/search", json=body).status_code == 200


def test_checking_many_spectra_keeps_nobody_waiting(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, begun, check = threading.Event(), threading.Event(), bounds.within_bounds

    def held(spectrum: Spectrum) -> Spectrum:
        begun.set()
        gate.wait(20)
        return check(spectrum)

    monkeypatch.setattr("specsearch.web.records.within_bounds", held)
    with listening(small_app(served)) as address, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(httpx.post, f"{address}/v1/search", json=MANY, timeout=30)
        assert begun.wait(20)
        assert httpx.get(f"{address}/health", timeout=10).status_code == 200
        gate.set()
        assert sent.result().status_code == 200


def test_who_hangs_up_on_lines_stops_what_is_left(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        listening(small_app(served)) as address,
        engine(monkeypatch, lambda: time.sleep(0.3)) as sizes,
    ):
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        headers = {**LINES, "content-type": "application/json"}
        connection.request("POST", "/v1/search", json.dumps(MANY), headers)
        answer = connection.getresponse()
        assert json.loads(answer.readline())["query"] == "S0"
        answer.close()
        connection.close()
        time.sleep(1.5)
        assert len(sizes) < 4  # of sixty, sixteen at a time
        assert httpx.post(f"{address}/v1/search", json=ONE, timeout=30).status_code == 200


def test_who_hangs_up_on_a_batch_stops_what_is_left(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, app = threading.Event(), small_app(served)
    with listening(app) as address, engine(monkeypatch, lambda: gate.wait(20)) as sizes:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        connection.request("POST", "/v1/search", json.dumps(MANY), {"content-type": "application/json"})
        until(lambda: bool(sizes))
        connection.close()
        time.sleep(0.2)
        gate.set()
        ended = 'specsearch_requests_total{route="/v1/search",status="499"} 1.0'
        until(lambda: ended in app.state.metrics.text().decode())
        assert sizes == [16]  # of sixty
        assert httpx.post(f"{address}/v1/search", json=ONE, timeout=30).status_code == 200


def test_what_was_given_up_before_its_turn_is_not_asked(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, app = threading.Event(), small_app(served)
    with (
        listening(app) as address,
        ThreadPoolExecutor(6) as pool,
        engine(monkeypatch, lambda: gate.wait(20)) as sizes,
    ):
        app.state.work._patience_s = 0.5
        sent = [pool.submit(httpx.post, f"{address}/v1/search", json=MANY, timeout=30) for _ in range(6)]
        assert [one.result().status_code for one in sent] == [503] * 6
        until(lambda: app.state.work.waiting["slow"] == 1)  # the one that runs
        gate.set()
        until(lambda: app.state.work.waiting["slow"] == 0)
    assert sizes == [16]


def test_embeddings_are_made_slice_by_slice(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, embed = [], Served.embed

    def counted(self: Served, spectra: Sequence[Spectrum]) -> list[list[float] | None]:
        sizes.append(len(spectra))
        return embed(self, spectra)

    with TestClient(small_app(served)) as client:
        monkeypatch.setattr(Served, "embed", counted)
        found = client.post("/v1/embed", json={"spectra": MANY["spectra"]}).json()
    assert [one["query"] for one in found] == [f"S{n}" for n in range(60)]
    whole = embed(served, records()[:60])
    assert np.array([one["embedding"] for one in found]) == pytest.approx(np.array(whole), abs=1e-5)
    assert sizes == [32, 28]


def test_lines_that_break_off_say_why(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))

    def fail_later() -> None:
        if next(calls) == 1:
            raise StoreDamaged("/inside/file is gone.", "Look for it.")

    with TestClient(small_app(served)) as client, engine(monkeypatch, fail_later):
        lines = client.post("/v1/search", json=MANY, headers=LINES).text.splitlines()
        *answers, last = (json.loads(line) for line in lines)
    assert [one["query"] for one in answers] == [f"S{n}" for n in range(16)]
    assert (last["status"], last["title"]) == (503, "Service Unavailable")
    assert last["next_step"]
    assert "inside" not in last["detail"]  # folders of the server are nobody's business


@pytest.mark.parametrize("body", [ONE, MANY])
def test_a_fault_of_ours_is_told_without_its_inside(
    served: Served, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    def fail() -> None:
        raise ValueError("inside: /secret/path")

    with TestClient(small_app(served), raise_server_exceptions=False) as client:
        with engine(monkeypatch, fail):
            for found in (
                client.post("/v1/search", json=body),
                client.get(f"/search?id={LIBRARY}:S1", headers=PAGE),
            ):
                assert found.status_code == 500
                assert "inside" not in found.text
                assert "Traceback" not in found.text
                assert "default-src 'none'" in found.headers["content-security-policy"]
        assert client.post("/v1/search", json=body).status_code == 200


def test_a_store_that_is_removed_while_it_is_served(tmp_path: Path) -> None:
    def serve_without_files() -> None:
        with small_server(tmp_path) as served, TestClient(small_app(served)) as client:
            shutil.rmtree(tmp_path / "store")
            for path in ("/v1/search", "/v1/identify") * 2:
                found = client.post(path, json=MANY)
                assert found.status_code in (200, 503), found.text
                assert str(tmp_path) not in found.text
            assert client.get(f"/v1/spectra/{LIBRARY}:S1").status_code in (200, 503)
            assert client.get("/health").status_code == 200

    with pytest.raises(StoreError, match="could not close"):  # only then is it missed
        serve_without_files()


def test_one_question_at_fault_does_not_fail_its_neighbours() -> None:
    gate, tried = threading.Event(), []

    def answer(key: str, questions: Sequence[int]) -> list[int]:
        gate.wait(10)
        tried.append(list(questions))
        if 3 in questions:
            raise ValueError("three")
        return [10 * question for question in questions]

    async def work(lane: Lane) -> list[Any]:
        batches = Batches(lane, answer, n_places=100)
        first = asyncio.create_task(batches.ask("a", 0))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batches.ask("a", n)) for n in range(1, 6)]
        await asyncio.sleep(0.05)
        gate.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    lane = Lane("test", 10)
    answers = asyncio.run(asyncio.wait_for(work(lane), 20))
    lane.close()
    assert [one for one in answers if not isinstance(one, ValueError)] == [0, 10, 20, 40, 50]
    assert isinstance(answers[3], ValueError)
    assert tried[:2] == [[0], [1, 2, 3, 4, 5]]


def test_an_engine_that_answers_too_little_is_an_error_not_a_silence() -> None:
    async def work(lane: Lane) -> list[Any]:
        batches: Batches[str, int, int] = Batches(lane, lambda key, questions: [], n_places=100)
        first = await asyncio.gather(batches.ask("a", 1), return_exceptions=True)
        return [*first, *await asyncio.gather(batches.ask("a", 2), return_exceptions=True)]

    lane = Lane("test", 10)
    answers = asyncio.run(asyncio.wait_for(work(lane), 20))
    lane.close()
    assert all(isinstance(one, ValueError) for one in answers)


def test_any_order_of_questions_and_of_clients_that_leave() -> None:
    """Each answer is that of its own question and key, whatever happens to the others."""
    n_asked = 300

    def answer(key: int, questions: Sequence[int]) -> list[tuple[int, int]]:
        time.sleep(0.001)
        return [(key, question) for question in questions]

    async def ask(batches: Any, number: int) -> Any:
        await asyncio.sleep(number * 7 % 40 / 1000)
        return await batches.ask(number % 3, number)

    async def work(lane: Lane) -> list[Any]:
        batches = Batches(lane, answer, n_places=n_asked, most=5)
        tasks = [asyncio.create_task(ask(batches, number)) for number in range(n_asked)]
        await asyncio.sleep(0.02)
        for task in tasks[::4]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert batches.n_waiting == 0
        return answers

    lane = Lane("test", 10)
    answers = asyncio.run(asyncio.wait_for(work(lane), 30))
    lane.close()
    for number, found in enumerate(answers):
        if number % 4 or not isinstance(found, asyncio.CancelledError):
            assert found == (number % 3, number)
