"""The README's requests, sent by curl to the server that it tells one to start."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runner import Commands
from test_readme import block, indexed

START = "from specsearch.cli import main; main()"
ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The server over the README's library, on a free port."""
    indexed(Commands(tmp_path, None), tmp_path)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-c", START, "serve", "--store", str(tmp_path / "store"), "--port", str(port)]
    process = subprocess.Popen(command)
    try:
        for _ in range(600):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_requests_are_answered(tmp_path: Path, address: str) -> None:
    script = block("curl").replace("\ncurl", "; echo\ncurl").replace(ADDRESS, address)
    assert script.count(address) == 4
    told = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    libraries, answers, file, spectrum = map(json.loads, told.stdout.splitlines())
    assert libraries[0]["library"] == "mylab"
    assert [hit["rank"] for hit in answers[0]["hits"]] == [1, 2, 3]
    assert len(file["spectra"]) == 1
    assert spectrum["metadata"]["compound_name"].startswith("caffeine")
