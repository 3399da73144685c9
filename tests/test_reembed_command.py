"""``specsearch reembed`` as people run it, and killed: the old library or the new one, whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backup_material import StandIn
from cli_runner import Commands, small_model
from killing import NEVER, Moment, copy, run_command
from reembed_material import RECORDS, State
from samples import library_state

from specsearch.search.graph import GraphSettings
from specsearch.spectra.writers import write_spectra
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.server import ServerStore

URL = "http://stand-in:6333"

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")


# Killed


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the library `lib`, and the two models."""
    folder = tmp_path_factory.mktemp("reembed")
    for name, seed in (("old", 1), ("new", 2)):
        small_model(folder / f"{name}.safetensors", seed)
    write_spectra(folder / "lib.parquet", RECORDS)
    commands = Commands(folder, folder / "old.safetensors")
    commands.run("index", folder / "lib.parquet", "--library", "lib")
    return folder


def run(material: Path, store: Path, *words: object, moment: Moment = NEVER) -> Any:
    env = {"SPECSEARCH_STORE": str(store), "SPECSEARCH_MODEL": str(material / "new.safetensors")}
    return run_command(words, env, moment)


@pytest.fixture(scope="module")
def both(material: Path) -> Callable[[], tuple[State, State, Any]]:
    """The library before, and after a run that nobody kills, and how that ended; worked out once."""
    known: list[tuple[State, State, Any]] = []

    def of() -> tuple[State, State, Any]:
        if not known:
            store = copy(material / "store", material / "undisturbed")
            ended = run(material, store, "reembed", "lib")
            assert ended.code == 0, ended.said
            with EmbeddedStore(material / "store") as before, EmbeddedStore(store) as after:
                known.append((library_state(before, "lib"), library_state(after, "lib"), ended))
        return known[0]

    return of


def _kill_and_go_on(material: Path, store: Path, seed: int, old: State, new: State, ended: Any) -> bool:
    """Kill once and look, run again and look; whether it was killed before its end."""
    rng = np.random.default_rng(seed)
    moment = Moment(after_s=float(rng.uniform(0.05, ended.took_s)))
    if seed % 2 == 0:
        moment = Moment(event=int(rng.integers(1, ended.n_events + 1)))
    copy(material / "store", store)
    killed = run(material, store, "reembed", "lib", moment=moment)
    with EmbeddedStore(store) as opened:
        found = library_state(opened, "lib")
    assert found in (old, new), moment
    here = Commands(store.parent, material / "new.safetensors")
    here.run("reembed", "lib", "--store", store)
    with EmbeddedStore(store) as opened:
        assert library_state(opened, "lib") == new, moment
        assert opened.generations("lib").kept() is not None
    here.run("index", material / "lib.parquet", "--library", "lib", "--store", store)
    here.run("reembed", "lib", "--undo", "--store", store)
    with EmbeddedStore(store) as opened:
        assert library_state(opened, "lib") == old, moment
    return killed.code is None


@pytest.mark.parametrize("seed", range(4))
def test_killed_and_run_again(
    material: Path, both: Callable[[], tuple[State, State, Any]], tmp_path: Path, seed: int
) -> None:
    _kill_and_go_on(material, tmp_path / "store", seed, *both())


@pytest.mark.slow
def test_killed_at_many_moments(
    material: Path, both: Callable[[], tuple[State, State, Any]], tmp_path: Path
) -> None:
    moments = range(100, 120)
    n_killed = sum(_kill_and_go_on(material, tmp_path / str(seed), seed, *both()) for seed in moments)
    assert n_killed >= 0.7 * len(moments)


@pytest.mark.parametrize("words", [("--undo",), ("--drop-old",)])
def test_undo_and_drop_old_killed_at_every_event(
    material: Path, both: Callable[[], tuple[State, State, Any]], tmp_path: Path, words: tuple[str, ...]
) -> None:
    old, new, _ = both()
    whole = copy(material / "undisturbed", tmp_path / "whole")
    n_events = run(material, whole, "reembed", "lib", *words).n_events
    for event in range(1, n_events + 1, 1 + n_events // 4):
        store = copy(material / "undisturbed", tmp_path / str(event))
        run(material, store, "reembed", "lib", *words, moment=Moment(event=event))
        with EmbeddedStore(store) as opened:
            found = library_state(opened, "lib")
            assert found in ((old, new) if words == ("--undo",) else (new,)), event
            if opened.generations("lib").kept() is not None:
                opened.generations("lib").drop_kept()
            assert library_state(opened, "lib") == found


# The command


def test_the_command(material: Path, tmp_path: Path) -> None:
    copy(material / "store", tmp_path / "store")
    commands = Commands(tmp_path, material / "old.safetensors")
    new = ("--model", material / "new.safetensors")
    query = material / "lib.parquet"
    assert "specsearch reembed lib" in commands.run("search", query, "--library", "lib", *new, code=1).stderr
    commands.run("graph", "lib")
    map_kept = commands.store / "lib" / "graph" / "map.parquet"
    map_kept.write_bytes(b"of the old vectors")
    before = files_in(commands.store)
    tried = commands.run("reembed", "lib", *new, "--dry-run").stderr
    assert f"{len(RECORDS)} spectra of 'lib' would be embedded with model" in tried
    assert "already" in commands.run("reembed", "lib", "--dry-run").stderr
    assert "Usage" in commands.run("reembed", "lib", *new, "--undo", "--dry-run", code=2).stderr
    assert files_in(commands.store) == before
    told = commands.run("reembed", "lib", *new).stderr
    assert "--drop-old" in commands.run("reembed", "lib", "--dry-run", code=1).stderr
    assert "--undo" in told
    assert not map_kept.exists()
    assert "already" in commands.run("reembed", "lib", *new).stderr
    assert commands.search(query, "--library", "lib", *new)
    commands.run("verify", "lib", *new)
    assert "vectors of another encoder" in commands.run("family", "lib:S1", code=1).stderr
    assert "Nothing has changed" not in commands.run("graph", "lib").stderr
    assert "Nothing has changed" in commands.run("graph", "lib").stderr
    assert "as it was, with model" in commands.run("reembed", "lib", "--undo").stderr
    assert "Nothing has changed" not in commands.run("graph", "lib").stderr
    assert commands.search(query, "--library", "lib")
    commands.run("reembed", "lib", "--drop-old")
    assert "Nothing older" in commands.run("reembed", "lib", "--undo", code=1).stderr
    assert "Usage" in commands.run("reembed", "lib", "--undo", "--drop-old", code=2).stderr
    assert "no library 'nix'" in commands.run("reembed", "nix", code=1).stderr


def files_in(folder: Path) -> dict[Path, Any]:
    """What is in every file; of JSON what it says, since the engine reorders its keys whenever it loads."""
    return {
        path: json.loads(path.read_bytes()) if path.suffix == ".json" else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_command_on_a_server(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerStore, "connect", StandIn(tmp_path / "server").connect)
    monkeypatch.setattr("specsearch.cli.settings._user_data", lambda: tmp_path / "user")
    commands = Commands(tmp_path, material / "old.safetensors")
    commands.store = URL  # type: ignore[assignment]
    commands.env["SPECSEARCH_STORE"] = URL
    commands.run("index", material / "lib.parquet", "--library", "lib")
    new = ("--model", material / "new.safetensors")
    commands.run("reembed", "lib", *new)
    assert commands.search(material / "lib.parquet", "--library", "lib", *new)
    shown = commands.run("libraries", *new).stdout
    assert shown.count("lib ") == 1
    assert "this model" in shown
    commands.run("reembed", "lib", "--undo")
    assert commands.search(material / "lib.parquet", "--library", "lib")
    commands.run("drop", "lib", "--yes")
    assert "No library" in commands.run("libraries").stderr


def test_a_bad_check_says_what_is_bad(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import specsearch.search.self_check

    copy(material / "store", tmp_path / "store")
    monkeypatch.setattr(specsearch.search.self_check, "LEAST_COSINE", 1.1)
    commands = Commands(tmp_path, material / "new.safetensors")
    told = commands.run("reembed", "lib", code=1).stderr
    assert "embeddings made again (40 of 40 differ" in told
    assert "the library is as it was" in told
    assert commands.search(
        material / "lib.parquet", "--library", "lib", "--model", material / "old.safetensors"
    )


def test_the_graph_of_settings_is_made_again_whole(material: Path, tmp_path: Path) -> None:
    """Not one old neighbour is kept: the result is that of a library that never had another model."""
    from graph_material import snapshot_of

    from specsearch.search.graph_files import build_graph, read_graph

    copy(material / "store", tmp_path / "store")
    commands = Commands(tmp_path, material / "new.safetensors")
    commands.run("graph", "lib")
    commands.run("reembed", "lib")
    commands.run("graph", "lib")
    found = read_graph(commands.store / "lib" / "graph")
    expected = build_graph(snapshot_of(commands.store), GraphSettings())[0]
    assert found.edges.equals(expected.edges)
