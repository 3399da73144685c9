"""Clocks that jump by years, and a second writer: nothing depends on the one, the other is refused."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from bank_material import MOLECULES, build, write_smi
from graph_material import fill, snapshot_of, spectra
from samples import embedder, library_state, mgf
from samples import spectra as random_spectra

import ingest.index
from ingest.index import index_files
from specsearch.errors import StoreLocked
from specsearch.search.graph import GraphSettings
from specsearch.search.graph_files import build_graph, read_graph, write_graph
from specsearch.store.bank import open_bank
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.set_aside import put_back, set_aside

_YEAR_S = 365 * 86_400.0


def _jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is ten years off, forward and back by turns."""
    real, n_looks = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + (-1) ** next(n_looks) * 10 * _YEAR_S)
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))


def _all_jobs(folder: Path) -> tuple[Any, ...]:
    """What ingest in two runs, graph, setting aside and a bank leave."""
    files = [folder / "a.mgf", folder / "b.mgf"]
    made = random_spectra(30, seed=3, longest=20)
    for path, part in zip(files, (made[:20], made[20:]), strict=True):
        path.write_text(mgf(part))
    with EmbeddedStore(folder / "store") as store:
        for n_files in (1, 2):
            index_files(files[:n_files], store, "lib", embedder(), folder / "work")
        points = library_state(store, "lib")
    fill(folder / "graphs", spectra(4, 4))
    snapshot = snapshot_of(folder / "graphs")
    write_graph(folder / "graph", build_graph(snapshot, GraphSettings(3))[0])
    with EmbeddedStore(folder / "graphs") as store, store.open("lib", write=True) as collection:
        set_aside(collection, snapshot.point_ids[:5], folder / "aside.parquet")
        put_back(collection, folder / "aside.parquet")
    build(folder / "bank", write_smi(folder / "all.smi", MOLECULES.items()))
    edges = read_graph(folder / "graph").edges.to_pydict()
    return points, edges, snapshot_of(folder / "graphs").digest, open_bank(folder / "bank").card.digest


def test_clocks_may_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "jumping").mkdir()
    wanted = _all_jobs(tmp_path / "calm")
    _jumping(monkeypatch)
    assert _all_jobs(tmp_path / "jumping") == wanted


def test_a_second_ingest_is_refused_and_the_first_unharmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins while the first has a window under way."""
    file = tmp_path / "a.mgf"
    file.write_text(mgf(random_spectra(20, seed=4)))
    real = ingest.index.run
    refusals: list[BaseException] = []

    def second() -> None:
        try:
            with EmbeddedStore(tmp_path / "store") as other:
                index_files([file], other, "lib", embedder(), tmp_path / "work")
        except StoreLocked as error:
            refusals.append(error)

    def while_under_way(*args: Any, **kwargs: Any) -> None:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        real(*args, **kwargs)

    monkeypatch.setattr(ingest.index, "run", while_under_way)
    with EmbeddedStore(tmp_path / "store") as store:
        summary = index_files([file], store, "lib", embedder(), tmp_path / "work")
        assert summary.n_in_library == summary.n_indexed == 20
    assert "open in another process" in str(refusals[0])
    assert "Wait until it is done" in str(refusals[0])
