"""``kill -9`` at random moments of four jobs, then the same command again: the end is as if nothing had been.

Half of the kills come after a while, also inside the engine; half at the n-th thing that is done to files.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bank_material import MOLECULES, write_smi
from cli_runner import small_model
from graph_material import spectra
from killing import NEVER, Ended, Moment, copy, run_command
from samples import library_state

from specsearch.search.graph_files import GRAPH, read_graph
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra
from specsearch.store.bank import open_bank
from specsearch.store.embedded import EmbeddedStore

N_KILLS, N_KILLS_SLOW = 4, 50
_VERIFIED_EVERY = 10  # it embeds and searches: longer than the rest
_LEDGER_TABLES = ("windows", "spectra", "skipped", "noted")


@dataclass(frozen=True)
class Material:
    """What the jobs work on, made once: files, a model, a store with a library and its old graph."""

    folder: Path

    def env(self, store: Path) -> dict[str, str]:
        return {"SPECSEARCH_STORE": str(store), "SPECSEARCH_MODEL": str(self.folder / "model.safetensors")}

    def run(self, store: Path, words: tuple[object, ...], moment: Moment = NEVER) -> Ended:
        return run_command(words, self.env(store), moment)


@dataclass(frozen=True)
class Job:
    """A command, whether it begins with the library that there is, and what it leaves."""

    words: Callable[[Path], tuple[object, ...]]
    begins_filled: bool
    state: Callable[[Path], Any]
    look: Callable[[Path], None] = lambda store: None  # right after the kill


def _twice(records: list[Spectrum]) -> list[Spectrum]:
    return [*records, *(replace(record, accession=f"{record.accession}-again") for record in records)]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    made = Material(tmp_path_factory.mktemp("killed"))
    small_model(made.folder / "model.safetensors")
    (made.folder / "files").mkdir()
    records = spectra(8, 5)
    write_spectra(made.folder / "files" / "a.mgf", _twice(records[:20]))
    write_spectra(made.folder / "files" / "b.parquet", records[20:])
    rows = [(f"{name} {n}", "C" * n + smiles) for n in range(8) for name, smiles in MOLECULES.items()]
    write_smi(made.folder / "all.smi", [row for row in rows if row[1][0] != "O"])
    store = made.folder / "filled"
    assert made.run(store, ("index", made.folder / "files" / "a.mgf", "--library", "lib")).code == 0
    assert made.run(store, ("graph", "lib")).code == 0
    assert made.run(store, ("index", made.folder / "files", "--library", "lib")).code == 0
    return made


def _library(store: Path) -> tuple[Any, ...]:
    with EmbeddedStore(store) as opened:
        points = library_state(opened, "lib")
    ledger = sqlite3.connect(store / "lib" / "ingest" / "ledger.sqlite")
    tables = [sorted(ledger.execute(f"SELECT * FROM {name}").fetchall()) for name in _LEDGER_TABLES]
    ledger.close()
    assert not (store / "lib" / "ingest" / "staging").exists()
    return points, tables


def _graph(store: Path) -> tuple[Any, ...]:
    graph = read_graph(store / "lib" / "graph")
    names = sorted(path.name for path in (store / "lib" / "graph").iterdir())
    return graph.nodes.to_pydict(), graph.edges.to_pydict(), graph.digest, names, _library(store)[0]


def _whole_graph(store: Path) -> None:
    """The old graph or the new one, never a part."""
    assert (store / "lib" / "graph" / GRAPH).is_file()
    assert read_graph(store / "lib" / "graph").edges.num_rows > 0


def _deduplicated(store: Path) -> tuple[Any, ...]:
    import pyarrow.parquet as pq

    tables = [pq.read_table(path) for path in sorted((store / "lib" / "set-aside").iterdir())]
    gone = sorted(name for table in tables for name in table["point_id"].to_pylist())
    return _library(store)[0], gone


def _bank(store: Path) -> tuple[Any, ...]:
    folder = store / "banks" / "all"
    bank = open_bank(folder)
    files = {path.name: path.read_bytes() for path in bank.data.iterdir()}
    others = sorted(path.name for path in folder.iterdir() if path.name != "lock")
    with EmbeddedStore(folder) as opened:
        projections = library_state(opened, "candidates")
    return bank.card, files, others, projections, len(projections) == len(bank)


JOBS = {
    "ingest": Job(lambda made: ("index", made / "files", "--library", "lib"), False, _library),
    "graph": Job(lambda made: ("graph", "lib"), True, _graph, _whole_graph),
    "dedup": Job(lambda made: ("dedup", "lib", "--apply"), True, _deduplicated),
    "bank": Job(
        lambda made: ("bank", "add", made / "all.smi", "--name", "all", "--processes", "1"), False, _bank
    ),
}
Undisturbed = dict[str, tuple[Any, Ended]]


@pytest.fixture(scope="module")
def undisturbed(material: Material) -> Callable[[str], tuple[Any, Ended]]:
    """State and duration of a job that nobody kills, worked out when it is first asked for."""
    known: Undisturbed = {}

    def of(name: str) -> tuple[Any, Ended]:
        if name not in known:
            store = _begin(material, name, material.folder / f"{name}-undisturbed")
            ended = material.run(store, JOBS[name].words(material.folder))
            assert ended.code == 0
            known[name] = JOBS[name].state(store), ended
        return known[name]

    return of


def _begin(material: Material, name: str, store: Path) -> Path:
    return copy(material.folder / "filled", store) if JOBS[name].begins_filled else store


def _moment(seed: int, ended: Ended) -> Moment:
    rng = np.random.default_rng(seed)
    if seed % 2:
        return Moment(after_s=float(rng.uniform(0.001, ended.took_s)))
    return Moment(event=int(rng.integers(1, ended.n_events + 1)))


def _kill_and_go_on(material: Material, name: str, seed: int, wanted: Any, ended: Ended, store: Path) -> bool:
    """Kill a job once and run it again to its end; whether it was killed before its end."""
    job = JOBS[name]
    words = job.words(material.folder)
    killed = material.run(_begin(material, name, store), words, _moment(seed, ended))
    job.look(store)
    again = material.run(store, words)
    assert again.code == 0, f"{name}, seed {seed}, {_moment(seed, ended)}: {again.said}"
    found = job.state(store)
    assert found == wanted, f"{name}, seed {seed}, {_moment(seed, ended)}"
    return killed.code is None


@pytest.mark.parametrize("seed", range(N_KILLS))
@pytest.mark.parametrize("name", JOBS)
def test_killed_and_run_again(
    material: Material,
    undisturbed: Callable[[str], tuple[Any, Ended]],
    tmp_path: Path,
    name: str,
    seed: int,
) -> None:
    _kill_and_go_on(material, name, seed, *undisturbed(name), tmp_path / "store")
    if seed == 0 and name != "bank":
        verified = material.run(tmp_path / "store", ("verify", "lib"))
        assert verified.code == 0, verified.said


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_killed_at_fifty_moments(
    material: Material, undisturbed: Callable[[str], tuple[Any, Ended]], tmp_path: Path, name: str
) -> None:
    state = undisturbed(name)
    n_killed = 0
    for seed in range(100, 100 + N_KILLS_SLOW):
        store = tmp_path / str(seed)
        n_killed += _kill_and_go_on(material, name, seed, *state, store)
        if name != "bank" and seed % _VERIFIED_EVERY == 0:
            assert material.run(store, ("verify", "lib")).code == 0
        shutil.rmtree(store)
    assert n_killed >= 0.8 * N_KILLS_SLOW


def test_the_undisturbed_runs_do_what_the_others_are_compared_with(
    undisturbed: Callable[[str], tuple[Any, Ended]],
) -> None:
    (points, tables), ingest = undisturbed("ingest")
    assert len(points) == len(tables[1]) == 60
    (_, edges, _, names, _), graph = undisturbed("graph")
    assert len(edges["source"]) > 500
    assert len(names) == 3
    (left, gone), dedup = undisturbed("dedup")
    assert len(gone) >= 20
    assert len(left) + len(gone) == 60
    (_, files, _, _, is_whole), bank = undisturbed("bank")
    assert len(files) == 4
    assert is_whole
    for ended in (ingest, graph, dedup, bank):
        assert ended.n_events > 5
