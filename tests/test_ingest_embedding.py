"""The encoder in a process of its own: same numbers, one plain error, no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from samples import embedder, library_state, spectra

from ingest import engines
from ingest.embedding import EmbeddingProcess
from ingest.index import index_files
from specsearch.encoder.tokens import token_input
from specsearch.errors import SpecsearchError
from specsearch.spectra.writers import write_spectra
from specsearch.store.embedded import EmbeddedStore


def test_same_embeddings_in_the_order_asked_for() -> None:
    here = embedder()
    parts = [[token_input(s) for s in spectra(n, seed=n)] for n in (7, 3)]
    with EmbeddingProcess(here) as process:
        answers = [process.submit(part) for part in parts]
        for part, answer in zip(parts, answers, strict=True):
            np.testing.assert_allclose(answer.result(), here.embed_inputs(part), atol=1e-6)


def test_a_killed_process_is_one_plain_error() -> None:
    inputs = [token_input(s) for s in spectra(3)]
    with EmbeddingProcess(embedder()) as process:
        process.submit(inputs).result()
        process._process.kill()
        answer = process.submit(inputs)
        with pytest.raises(SpecsearchError, match="has ended with code -9"):
            answer.result()


def test_it_ends_with_its_parent() -> None:
    script = (
        "import time; from samples import embedder, spectra; from ingest.embedding import EmbeddingProcess\n"
        "from specsearch.encoder.tokens import token_input\n"
        "process = EmbeddingProcess(embedder())\n"
        "process.submit([token_input(s) for s in spectra(2)]).result()\n"
        "print(process._process.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        if not _is_running(child):
            return
        time.sleep(0.1)
    pytest.fail("the embedding process outlived its parent")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_library_is_the_same_by_process_and_by_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spectra(tmp_path / "a.parquet", spectra(40))
    states = []
    for few in (0, 1000):
        monkeypatch.setattr(engines, "_FEW_SPECTRA", few)
        with EmbeddedStore(tmp_path / f"store{few}") as store:
            index_files([tmp_path / "a.parquet"], store, "lib", embedder(), tmp_path / f"work{few}")
            states.append(library_state(store, "lib"))
    assert states[0] == states[1]
