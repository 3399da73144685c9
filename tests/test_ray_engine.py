"""The encoder on a local Ray cluster: the library of a run on this machine, record for record."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from cli_runner import Commands, small_model
from samples import PROCESSES, embedder, library_state, spectra

from ingest.index import Progress, index_files
from ingest.ledger import Ledger
from ingest.ray_engine import on_ray
from specsearch.errors import SpecsearchError
from specsearch.spectra.writers import write_spectra
from specsearch.store.store import open_store

HALF_PRECISION = 1e-3  # embeddings are stored as float16, and a worker may add in another order
N_SPECTRA = 7000  # four windows


def index(folder: Path, file: Path, **how: Any) -> dict[str, tuple[Any, ...]]:
    with open_store(folder / "store") as store:
        index_files([file], store, "lib", embedder(), folder / "work", **how)
        return library_state(store, "lib")


def on_a_local_cluster(folder: Path, file: Path) -> None:
    index(folder, file, make_engine=on_ray())


def require_same(found: dict[str, tuple[Any, ...]], wanted: dict[str, tuple[Any, ...]]) -> None:
    assert list(found) == list(wanted)
    for (payload, embedding, *sparse), (payload_2, embedding_2, *sparse_2) in zip(
        found.values(), wanted.values(), strict=True
    ):
        assert (payload, sparse) == (payload_2, sparse_2)
        vectors = (np.frombuffer(one or b"", np.float32) for one in (embedding, embedding_2))
        np.testing.assert_allclose(*vectors, atol=HALF_PRECISION)


def workers() -> list[psutil.Process]:
    """Processes of this cluster that embed."""
    return [p for p in psutil.process_iter() if "EmbeddingActor" in "".join(_command(p))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


class AtFirstWindow(Progress):
    """Does something once, as soon as a window has been acknowledged."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what: Callable[[], None] | None = what

    def indexed(self, n_rows: int) -> None:
        if self._what is not None:
            self._what, what = None, self._what
            what()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ray") / "a.parquet"
    write_spectra(path, spectra(N_SPECTRA, seed=1, longest=12))
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, file: Path) -> dict[str, tuple[Any, ...]]:
    return index(tmp_path_factory.mktemp("here"), file)


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    tmp_path: Path, file: Path, undisturbed: dict[str, tuple[Any, ...]]
) -> None:
    killed: list[int] = []

    def kill() -> None:
        for worker in workers():
            worker.kill()
            killed.append(worker.pid)

    require_same(index(tmp_path, file, make_engine=on_ray(), progress=AtFirstWindow(kill)), undisturbed)
    assert killed
    assert not workers()


@pytest.mark.slow
def test_of_a_lost_node_the_others_take_over(
    tmp_path: Path, file: Path, undisturbed: dict[str, tuple[Any, ...]]
) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        lose = AtFirstWindow(lambda: cluster.remove_node(node, allow_graceful=False))
        require_same(index(tmp_path, file, make_engine=on_ray(cluster.address), progress=lose), undisturbed)
        assert len(cluster.list_all_nodes()) == 1
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_a_killed_driver_goes_on_where_it_was(
    tmp_path: Path, file: Path, undisturbed: dict[str, tuple[Any, ...]]
) -> None:
    process = PROCESSES.Process(target=on_a_local_cluster, args=(tmp_path, file))
    process.start()
    ledger = tmp_path / "work" / "ledger.sqlite"
    while not ledger.exists() or not _n_spectra(ledger):
        assert process.is_alive()
        time.sleep(0.05)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    require_same(index(tmp_path, file, make_engine=on_ray()), undisturbed)


def _n_spectra(path: Path) -> int:
    with Ledger(path) as ledger:
        return ledger.n_spectra()


def test_without_ray_the_next_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_spectra(tmp_path / "a.mgf", spectra(5))
    with pytest.raises(SpecsearchError, match=r"specsearch\[ray\]"):
        index(tmp_path, tmp_path / "a.mgf", make_engine=on_ray())


def test_an_address_is_for_ray(tmp_path: Path) -> None:
    commands = Commands(tmp_path, small_model(tmp_path / "model.safetensors"))
    told = commands.run("index", "a.mgf", "--library", "lib", "--ray-address", "auto", code=2).output
    assert "--engine ray" in told
