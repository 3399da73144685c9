"""The encoder on a local Ray cluster: the library of a run on this machine, record for record."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from cli_runner import Commands, small_model
from samples import PROCESSES, embedder, library_state, spectra

from ingest import ray_engine
from ingest.index import Progress, index_files
from ingest.ledger import Ledger
from ingest.ray_engine import on_ray, places
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


@pytest.fixture
def two_machines() -> Iterator[Any]:
    """Of one processor each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


def hold_one_processor(address: str) -> None:
    """For as long as the cluster lives, by an actor of another job."""
    import ray

    class Holder:
        """Within this function, so that it travels whole: workers do not find this module."""

        def is_there(self) -> bool:
            return True

    ray.init(address=address, namespace="another job")
    try:
        kind = ray.remote(num_cpus=1)(Holder)
        holder = kind.options(lifetime="detached", name=os.urandom(4).hex()).remote()
        assert ray.get(holder.is_there.remote(), timeout=60)
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_machines_that_others_keep_busy_are_left_out(
    tmp_path: Path,
    file: Path,
    undisturbed: dict[str, tuple[Any, ...]],
    two_machines: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    hold_one_processor(two_machines.address)
    monkeypatch.setattr(ray_engine, "_START_S", 30.0)
    require_same(index(tmp_path, file, make_engine=on_ray(two_machines.address, told.append)), undisturbed)
    (sentence,) = told
    assert sentence.startswith("1 of 2 Ray workers embed, without ")
    assert "did not start within 30 s" in sentence
    hold_one_processor(two_machines.address)
    monkeypatch.setattr(ray_engine, "_START_S", 2.0)
    with pytest.raises(SpecsearchError, match=r"No machine .*did not start within 2 s.*ray status"):
        index(tmp_path / "2", file, make_engine=on_ray(two_machines.address, told.append))


@pytest.mark.slow
def test_a_fault_of_the_encoder_is_not_taken_for_one_of_the_cluster() -> None:
    """Met while it embeds, and while it is loaded."""
    told = r"encoder failed .*AttributeError: .*NoneType.*--engine here"
    with pytest.raises(SpecsearchError, match=told), on_ray()(embedder(), 1) as engine:
        engine.submit([None]).result()  # type: ignore[list-item]
    broken = embedder()
    linear = next(part for part in broken.network.modules() if isinstance(part, torch.nn.Linear))
    linear.weight = torch.nn.Parameter(torch.zeros(3, 5))
    told = r"No machine .*size mismatch.*--engine here"
    with pytest.raises(SpecsearchError, match=told) as caught, on_ray()(broken, 1):
        pass
    assert "ray status" not in str(caught.value)


def node(**resources: float) -> dict[str, Any]:
    return {"Alive": True, "Resources": resources}


def test_where_actors_are_asked_for() -> None:
    """None where there is no processor: it would wait for ever."""
    head, small, large, gone = node(memory=1e9), node(CPU=2.0), node(CPU=8.0), node(CPU=4.0, GPU=4.0)
    gone["Alive"] = False
    assert places([head, small, large, gone]) == [(small, {"num_cpus": 2.0}), (large, {"num_cpus": 8.0})]
    two_gpus = node(CPU=8.0, GPU=2.0)
    assert places([head, small, two_gpus]) == [(two_gpus, {"num_gpus": 1.0})] * 2
    assert places([head]) == []


@pytest.mark.slow
def test_a_head_without_processors_is_told_apart(tmp_path: Path, file: Path) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        with pytest.raises(SpecsearchError, match="none has a processor to offer"):
            index(tmp_path, file, make_engine=on_ray(cluster.address))
    finally:
        cluster.shutdown()


def test_without_ray_the_next_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_spectra(tmp_path / "a.mgf", spectra(5))
    with pytest.raises(SpecsearchError, match=r"specsearch\[ray\]"):
        index(tmp_path, tmp_path / "a.mgf", make_engine=on_ray())


def test_an_address_is_for_ray(tmp_path: Path) -> None:
    commands = Commands(tmp_path, small_model(tmp_path / "model.safetensors"))
    told = commands.run("index", "a.mgf", "--library", "lib", "--ray-address", "auto", code=2).output
    assert "--engine ray" in told
