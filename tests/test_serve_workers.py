"""Several processes behind one address: over a store that can be shared, ended and mended as one."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from cli_runner import Commands, small_model
from test_serve_process import serving

N_WORKERS = 2


@contextmanager
def empty_qdrant() -> Iterator[str]:
    """As a Qdrant server without collections answers; its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(
                {"result": {"collections": [], "aliases": []}, "status": "ok", "time": 0.0}
            ).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *told: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    made = Commands(tmp_path, small_model(tmp_path / "model.safetensors"))
    made.env["XDG_DATA_HOME"] = str(tmp_path / "data")
    return made


def who_answers(parent: int, address: str) -> set[int]:
    """Processes at the other end of connections to the address, kept open until each has one, or for long."""
    port, found = urlsplit(address).port, set[int]()
    with ExitStack() as stack:
        for _ in range(200):
            client = stack.enter_context(httpx.Client())
            assert client.get(f"{address}/health").json() == {"status": "ok"}
            children = psutil.Process(parent).children()
            found = {
                child.pid
                for child in children
                if any(c.status == "ESTABLISHED" and c.laddr.port == port for c in child.net_connections())
            }
            if len(found) == N_WORKERS:
                break
    return found


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_each_of_them_answers_and_all_end_together(commands: Commands) -> None:
    with (
        empty_qdrant() as store,
        serving(commands, "--store", store, "--workers", N_WORKERS) as (process, address),
    ):
        until(lambda: len(who_answers(process.pid, address)) == N_WORKERS)
        first = who_answers(process.pid, address)
        psutil.Process(next(iter(first))).kill()
        until(lambda: len(who_answers(process.pid, address) - first) == 1)  # another took its place
        assert "No library yet" in httpx.get(f"{address}/").text
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert "Traceback" not in process.communicate()[1]
        assert not psutil.wait_procs(children, timeout=20)[1]


def test_only_over_a_store_that_can_be_shared(commands: Commands) -> None:
    assert "Qdrant server" in commands.run("serve", "--workers", 2, code=2).output
    words = ("serve", "--workers", 2, "--store", "http://127.0.0.1:9")
    assert "--allow-write" in commands.run(*words, "--allow-write", code=2).output
    told = commands.run(*words, code=1).output
    assert told.count("did not answer") == 1  # said once, not by every worker
