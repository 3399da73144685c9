"""The server as a process: who may start it, how it ends, and what it leaves behind."""

from __future__ import annotations

import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from cli_runner import Commands, small_model
from fastapi.testclient import TestClient
from killing import copy
from samples import library_state, mgf, spectra

from specsearch.cli.serve import _bound
from specsearch.cli.serve_open import Serving, open_app
from specsearch.cli.settings import ModelAt, StoreAt
from specsearch.store.store import open_store
from specsearch.web.records import SpectrumOut

START = "from specsearch.cli import main; main()"
KEY = "a key of this test only"
N_SPECTRA = 40


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    folder = tmp_path_factory.mktemp("serve")
    made = Commands(folder, small_model(folder / "model.safetensors"))
    (folder / "a.mgf").write_text(mgf(spectra(N_SPECTRA)))
    made.run("index", folder / "a.mgf", "--library", "lib")
    return made


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def serving(commands: Commands, *words: object, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    command = [sys.executable, "-c", START, "serve", "--port", str(port), *map(str, words)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**commands.env, **env}
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None and not is_ready(address):
            time.sleep(0.05)
        yield process, address
    finally:
        process.kill()
        process.communicate()


def is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def body(n_spectra: int) -> dict[str, object]:
    records = [SpectrumOut.of(one).model_dump(exclude={"metadata"}) for one in spectra(n_spectra)]
    return {"spectra": records, "top": 5}


def content(commands: Commands) -> object:
    with open_store(commands.store) as store:
        return library_state(store, "lib")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_what_was_begun(commands: Commands, how: signal.Signals) -> None:
    before, answers = content(commands), []

    def ask() -> None:
        answers.append(httpx.post(f"{address}/v1/search", json=body(N_SPECTRA), timeout=30))

    with serving(commands) as (process, address):
        asking = threading.Thread(target=ask)
        asking.start()
        while 'waiting{lane="slow"} 1.0' not in httpx.get(f"{address}/metrics").text and asking.is_alive():
            time.sleep(0.001)
        process.send_signal(how)
        asking.join()
        assert process.wait(60) == 0
        _, told = process.communicate()
    assert [len(one.json()) for one in answers] == [N_SPECTRA]
    assert "Traceback" not in told
    assert content(commands) == before


def test_without_its_encoders_process_it_answers_the_same_and_says_so(commands: Commands) -> None:
    with serving(commands) as (process, address):
        before = httpx.post(f"{address}/v1/search", json=body(2), timeout=30).json()
        (encoder,) = (
            child for child in psutil.Process(process.pid).children() if "ingest.embedding" in child.cmdline()
        )
        encoder.kill()
        after = [httpx.post(f"{address}/v1/search", json=body(2), timeout=30).json() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        told = process.communicate()[1]
    for answers in after:
        hits, expected = ([hit for one in found for hit in one["hits"]] for found in (answers, before))
        assert [hit["spectrum_id"] for hit in hits] == [hit["spectrum_id"] for hit in expected]
        assert [hit["score"] for hit in hits] == pytest.approx([hit["score"] for hit in expected], abs=1e-4)
    assert told.count("process that embeds spectra has ended") == 1


def test_connections_do_not_wait_for_acknowledgements() -> None:
    """Two small writes to one answer: without this the second is 40 ms late."""
    with _bound("127.0.0.1", free_port()) as bound, socket.create_connection(bound.getsockname()):
        connection, _ = bound.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_one_owner_of_a_folder(commands: Commands, tmp_path: Path) -> None:
    with serving(commands) as (process, address):
        for words in (["serve", "--port", free_port()], ["search", tmp_path / "a.mgf"]):
            (tmp_path / "a.mgf").write_text(mgf(spectra(3)))
            told = commands.run(*words, code=1).output
            assert "open in another process" in told
        assert process.poll() is None
        assert httpx.get(f"{address}/v1/libraries").json()[0]["spectra"] == N_SPECTRA


def test_a_store_that_vanishes_is_told_and_the_server_stays(commands: Commands, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(commands.store, store)
    with serving(commands, "--store", store) as (process, address):
        shutil.rmtree(store)
        answer = httpx.post(f"{address}/v1/search", json=body(2), timeout=30)
        assert answer.status_code in (200, 500, 503)  # what is mapped may still be read
        assert "Traceback" not in answer.text
        assert httpx.get(f"{address}/health").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, 1)
        assert "Traceback" not in process.communicate()[1]


@pytest.mark.parametrize("by_file", [True, False])
def test_the_key_opens_and_is_never_said(commands: Commands, tmp_path: Path, by_file: bool) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    words = ["--host", "0.0.0.0", *(["--key-file", tmp_path / "key"] if by_file else [])]
    env = {"SPECSEARCH_LOG": "json", **({} if by_file else {"SPECSEARCH_SERVE_KEY": KEY})}
    with serving(commands, *words, **env) as (process, address):
        assert httpx.get(f"{address}/v1/libraries").status_code == 401
        found = httpx.get(f"{address}/v1/libraries", headers={"authorization": f"Bearer {KEY}"})
        assert found.status_code == 200
        process.send_signal(signal.SIGTERM)
        told = "".join(process.communicate())
    assert "GET other: 401" in told
    assert "GET /v1/libraries: 200" in told
    assert KEY not in told


def test_no_other_address_without_a_key(commands: Commands, tmp_path: Path) -> None:
    told = commands.run("serve", "--host", "0.0.0.0", code=2).output
    assert "SPECSEARCH_SERVE_KEY" in told
    commands.env["SPECSEARCH_SERVE_KEY"] = "short"
    told = commands.run("serve", "--host", "0.0.0.0", code=2).output
    del commands.env["SPECSEARCH_SERVE_KEY"]
    assert "at least 16" in told
    (tmp_path / "key").write_bytes(b"\xff" * 24)
    told = commands.run("serve", "--host", "0.0.0.0", "--key-file", tmp_path / "key", code=2).output
    assert "is no text" in told


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(commands: Commands) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        told = commands.run("serve", "--port", taken.getsockname()[1], code=1).output
    assert "--port" in told


def test_wrong_words_are_told(commands: Commands, tmp_path: Path) -> None:
    assert "is no rate" in commands.run("serve", "--rate", "fast", code=2).output
    assert "nope" in commands.run("serve", "--library", "nope", code=1).output
    other = small_model(tmp_path / "other.safetensors", seed=2)
    assert "another" in commands.run("serve", "--model", other, code=1).output


@pytest.mark.parametrize("after_s", [0.02, 0.4])
def test_killed_while_it_writes_and_sent_again(commands: Commands, tmp_path: Path, after_s: float) -> None:
    """The end is that of a server that was left alone, whatever the killed one had done."""
    sent = {"file": ("more.mgf", mgf(spectra(90, seed=7)).encode())}
    ends = []
    for is_killed in (True, False):
        store = tmp_path / f"killed-{is_killed}"
        copy(commands.store, store)
        words, path = ("--store", store, "--allow-write"), "/v1/libraries/lib/spectra"
        if is_killed:
            with serving(commands, *words) as (process, address), ThreadPoolExecutor(1) as pool:
                asked = pool.submit(httpx.post, f"{address}{path}", files=sent, timeout=60)
                while not is_writing(address) and not asked.done():
                    time.sleep(0.001)
                time.sleep(after_s)
                process.kill()
                with suppress(httpx.TransportError):
                    asked.result()
        with serving(commands, *words) as (process, address):
            told = httpx.post(f"{address}{path}", files=sent, timeout=60).json()
            assert (told["n_read"], told["n_in_library"]) == (90, N_SPECTRA + 90)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        with open_store(store) as opened:
            ends.append(library_state(opened, "lib"))
    assert ends[0] == ends[1]


def is_writing(address: str) -> bool:
    return 'waiting{lane="slow"} 1.0' in httpx.get(f"{address}/metrics").text


def test_without_the_extra_the_next_step_is_told(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specsearch.cli.serve.find_spec", lambda name: None)
    assert "specsearch[web]" in commands.run("serve", code=1).output


@pytest.mark.parametrize(("keys", "is_named"), [((), True), ((KEY,), False)])
def test_commands_on_pages_lead_to_the_store(
    commands: Commands, keys: tuple[str, ...], is_named: bool
) -> None:
    """Where nobody needs a key, whoever reads it sits at this machine; others are not told its folders."""
    at, model = StoreAt(str(commands.store)), ModelAt(Path(commands.env["SPECSEARCH_MODEL"]))
    with ExitStack() as stack:
        app = open_app(stack, Serving(at, model, (), (), keys, ["testserver"], "1000/second", 10, False))
        client = stack.enter_context(TestClient(app, headers={"authorization": f"Bearer {KEY}"}))
        told = [
            client.get(f"/{page}/lib", headers={"accept": "text/html"}).text for page in ("map", "receipt")
        ]
        told.append(client.post("/v1/family/lib:S1", json={}).json()["next_step"])
    option = f" --store {shlex.quote(str(commands.store))}" if is_named else " --store STORE"
    for command, text in zip(("plot map lib", "dedup lib", "graph lib"), told, strict=True):
        assert f"specsearch {command}{option}" in text
        assert (str(commands.store) in text) == is_named


def test_an_empty_store_has_a_page_that_says_what_to_do(tmp_path: Path) -> None:
    commands = Commands(tmp_path, small_model(tmp_path / "model.safetensors"))
    with serving(commands) as (_, address):
        assert "specsearch index" in httpx.get(f"{address}/").text
        assert httpx.post(f"{address}/v1/search", json=body(1)).status_code == 404
