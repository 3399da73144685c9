"""The API key over http to another host: never, unless the user says that nobody else is on that network."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cli_runner import Commands

KEY = "a key of this test only"
ELSEWHERE = "127.0.0.2"  # of this machine, but not a name that is known to be


@pytest.fixture
def server() -> Iterator[tuple[str, list[str | None]]]:
    """An address that answers as an empty Qdrant server does, and the keys that it was shown."""
    shown: list[str | None] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("api-key"))
            body = json.dumps(
                {"result": {"collections": [], "aliases": []}, "status": "ok", "time": 0.0}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    try:
        listening = ThreadingHTTPServer((ELSEWHERE, 0), Answer)
    except OSError:
        pytest.skip(f"this system has no address {ELSEWHERE}")
    with listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://{ELSEWHERE}:{listening.server_port}", shown
        listening.shutdown()


@pytest.mark.parametrize("said", [None, "", "0", "true", "yes"])
def test_the_key_stays_here(tmp_path: Path, server: tuple[str, list[str | None]], said: str | None) -> None:
    address, shown = server
    commands = Commands(tmp_path, None)
    commands.env |= {"SPECSEARCH_QDRANT_API_KEY": KEY} | (
        {} if said is None else {"SPECSEARCH_QDRANT_INSECURE": said}
    )
    told = commands.run("libraries", "--store", address, code=1).stderr
    assert "unencrypted" in told
    assert "SPECSEARCH_QDRANT_INSECURE=1" in told
    assert shown == []


def test_the_key_travels_where_the_user_knows_the_network(
    tmp_path: Path, server: tuple[str, list[str | None]]
) -> None:
    address, shown = server
    commands = Commands(tmp_path, None)
    # Secrets come from files that end with a line break, or two.
    commands.env |= {"SPECSEARCH_QDRANT_API_KEY": f"{KEY}\r\n", "SPECSEARCH_QDRANT_INSECURE": "1"}
    assert "No library" in commands.run("libraries", "--store", address).stderr
    assert shown
    assert set(shown) == {KEY}
