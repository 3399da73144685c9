"""Another model for a library that stays in use: equal to one indexed with it, or as if nothing had been."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backup_material import StandIn
from cli_runner import Commands, small_model
from killing import NEVER, Moment, copy, run_command
from qdrant_client import QdrantClient, models
from samples import embedder, library_state, spectra

from ingest import reembed as module
from ingest.index import index_files
from ingest.reembed import reembed
from specsearch.encoder.embedder import Embedder
from specsearch.errors import ContractMismatch, LibraryNotFound, StoreError, StoreLocked
from specsearch.search.graph import GraphSettings
from specsearch.search.self_check import check_encoder, check_graph
from specsearch.search.similar import SearchSettings, SimilaritySearch
from specsearch.spectra.writers import write_spectra
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.generations import go_back
from specsearch.store.server import ServerStore
from specsearch.store.store import Collection, Store
from specsearch.store.vectors import contract_of

N_SPECTRA = 40
OLD, NEW = 0, 7  # seeds of two models
RECORDS = spectra(N_SPECTRA, seed=12, longest=30)
URL = "http://stand-in:6333"
State = dict[str, tuple[Any, ...]]

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")


@pytest.fixture(scope="module")
def old_model() -> Embedder:
    return embedder(OLD)


@pytest.fixture(scope="module")
def new_model() -> Embedder:
    return embedder(NEW)


@pytest.fixture(params=["embedded", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    local = EmbeddedStore(tmp_path / "store")
    with local if request.param == "embedded" else ServerStore(QdrantClient(":memory:")) as opened:
        yield opened


def work(folder: Path) -> Path:
    return folder / "work"


def index(store: Store, folder: Path, model: Embedder, library: str = "lib", n: int = N_SPECTRA) -> int:
    """Index the first spectra of all; how many the library has then."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{n}.parquet"
    if not path.exists():
        write_spectra(path, RECORDS[:n])
    return index_files([path], store, library, model, work(folder)).n_in_library


def again(store: Store, folder: Path, model: Embedder, **how: Any) -> bool:
    def check(made: Collection, point_ids: Sequence[str]) -> None:
        findings = [*check_encoder(made, model, point_ids), *check_graph(made, point_ids)]
        assert [f.check for f in findings if f.is_good is not True] == []
        assert len(point_ids) == N_SPECTRA

    return reembed("lib", store, model, work(folder), how.pop("check", check), **how)


def require_same(found: State, expected: State) -> None:
    """Records, peaks and losses bit by bit; embeddings as near as stored peaks are to those of the file."""
    assert found.keys() == expected.keys()
    for point, (payload, embedding, *sparse) in expected.items():
        assert found[point][0] == payload
        assert found[point][2:] == tuple(sparse)
        one, other = (np.frombuffer(vector, np.float32) for vector in (found[point][1], embedding))
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert cosine > 0.9999


def hits(store: Store, model: Embedder) -> list[Any]:
    with store.open("lib") as collection:
        return found_in(collection, model)


def found_in(collection: Collection, model: Embedder) -> list[Any]:
    answers = SimilaritySearch([collection], model, SearchSettings(top=5)).search(RECORDS[:4])
    return [[(hit.spectrum_id, round(hit.score, 4)) for hit in answer.hits] for answer in answers]


def others(state: State, than: State) -> int:
    """How many embeddings differ."""
    return sum(state[point][1] != than[point][1] for point in state)


# The road


def test_it_equals_a_library_indexed_with_the_new_model(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    index(store, tmp_path, old_model)
    before = library_state(store, "lib")
    with EmbeddedStore(tmp_path / "direct") as direct:
        index(direct, tmp_path / "there", new_model)
        expected = library_state(direct, "lib")
    assert others(before, expected) == N_SPECTRA
    assert again(store, tmp_path, new_model)
    require_same(library_state(store, "lib"), expected)
    assert store.libraries() == ["lib"]
    with store.open("lib") as collection:
        assert collection.name == "lib"
        assert collection.contract.is_same(contract_of(new_model.card))
    hits(store, new_model)
    with pytest.raises(ContractMismatch, match="specsearch reembed lib"):
        hits(store, old_model)
    assert not (work(tmp_path) / "reembed").exists()


def test_the_ledger_goes_along(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    index(store, tmp_path, old_model, n=25)
    again_sampled = {"check": lambda made, point_ids: None}
    again(store, tmp_path, new_model, **again_sampled)
    before = library_state(store, "lib")
    with closing(sqlite3.connect(work(tmp_path) / "ledger.sqlite")) as db:
        windows = db.execute("SELECT * FROM windows").fetchall()
    assert index(store, tmp_path, new_model, n=25) == 25
    assert library_state(store, "lib") == before
    assert index(store, tmp_path, new_model) == N_SPECTRA
    with closing(sqlite3.connect(work(tmp_path) / "ledger.sqlite")) as db:
        assert db.execute("SELECT * FROM windows").fetchall()[: len(windows)] == windows


def test_with_the_same_model_nothing_is_done(store: Store, tmp_path: Path, old_model: Embedder) -> None:
    index(store, tmp_path, old_model)
    assert not again(store, tmp_path, old_model)
    assert store.generations("lib").kept() is None


def test_peaks_of_another_recipe_are_made_again(store: Store, tmp_path: Path, old_model: Embedder) -> None:
    """The same model, but the library says that its peaks were binned in another way."""
    index(store, tmp_path, old_model)
    with store.open("lib") as collection:
        records = list(collection.scroll(with_vectors=True))
        contract = replace(collection.contract, sparse_recipe="another")
    store.drop("lib")
    from specsearch.store.points import Point, SparseVector

    with store.making("lib", contract) as made:
        made.upsert([Point(r.point_id, r.embedding, SparseVector(), r.losses, r.payload) for r in records])  # type: ignore[arg-type]
    assert again(store, tmp_path, old_model)
    with store.open("lib") as collection:
        found = list(collection.scroll(with_vectors=True))
    assert all(len(record.peaks) for record in found)
    same = sum(np.array_equal(a.peaks.indices, b.peaks.indices) for a, b in zip(records, found, strict=True))
    assert same >= 0.8 * N_SPECTRA  # stored m/z are float32: a peak on the edge of a bin may cross it


# Meanwhile


def test_searches_go_on_with_the_old_model(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    index(store, tmp_path, old_model)
    before = hits(store, old_model)
    asked = []

    def check(made: Collection, point_ids: Sequence[str]) -> None:
        asked.append(hits(store, old_model))
        assert store.libraries() == ["lib"]

    assert again(store, tmp_path, new_model, check=check)
    assert asked == [before]


def test_who_has_the_library_open_goes_on_with_what_it_opened(
    tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    """Only a server lets others have it open meanwhile."""
    with ServerStore(QdrantClient(":memory:")) as store:
        index(store, tmp_path, old_model)
        with store.open("lib") as collection:
            before = found_in(collection, old_model)
            again(store, tmp_path, new_model)
            assert found_in(collection, old_model) == before
            store.generations("lib").drop_kept()
            with pytest.raises(StoreError):
                found_in(collection, old_model)


def test_a_library_that_is_open_is_waited_for(
    tmp_path: Path, old_model: Embedder, new_model: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    with EmbeddedStore(tmp_path / "store") as store:
        index(store, tmp_path, old_model)
        before = library_state(store, "lib")
        opened = []
        with pytest.raises(StoreLocked, match="open in another process"):
            again(store, tmp_path, new_model, check=lambda made, ids: opened.append(store.open("lib")))
        monkeypatch.setattr(module.time, "sleep", lambda seconds: opened.pop().close())
        monkeypatch.setattr(module, "_PATIENCE_S", 60.0)
        assert library_state_after_closing(opened[0], store) == before
        opened.clear()
        assert again(store, tmp_path, new_model, check=lambda made, ids: opened.append(store.open("lib")))
        assert opened == []


def library_state_after_closing(collection: Collection, store: Store) -> State:
    collection.close()
    return library_state(store, "lib")


def test_a_second_one_is_refused(tmp_path: Path, old_model: Embedder, new_model: Embedder) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        index(store, tmp_path, old_model)

        def second(made: Collection, point_ids: Sequence[str]) -> None:
            with pytest.raises(StoreLocked, match="'lib' is open"):
                again(store, tmp_path / "second", new_model)

        assert again(store, tmp_path, new_model, check=second)


def test_a_second_one_on_a_server_wins(tmp_path: Path, old_model: Embedder, new_model: Embedder) -> None:
    """As everywhere there: the earlier finds out at its end, and leaves the other's alone."""
    with ServerStore(QdrantClient(":memory:")) as store:
        index(store, tmp_path, old_model)
        before = library_state(store, "lib")
        with pytest.raises(StoreError, match="at the same time"):
            again(
                store,
                tmp_path,
                new_model,
                check=lambda made, ids: store.generations("lib").making(made.contract).__enter__(),
            )
        assert library_state(store, "lib") == before


def test_a_library_that_changes_meanwhile_is_left_alone(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    index(store, tmp_path, old_model, n=25)
    with pytest.raises(StoreError, match="changed while it was embedded again"):
        again(store, tmp_path, new_model, check=lambda made, ids: index(store, tmp_path, old_model))
    assert len(library_state(store, "lib")) == N_SPECTRA
    hits(store, old_model)
    assert again(store, tmp_path, new_model)


def test_a_check_that_fails_leaves_the_old(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    index(store, tmp_path, old_model)
    before = library_state(store, "lib")

    def bad(made: Collection, point_ids: Sequence[str]) -> None:
        raise StoreError("Not good.")

    with pytest.raises(StoreError, match="Not good"):
        again(store, tmp_path, new_model, check=bad)
    assert library_state(store, "lib") == before
    assert store.generations("lib").kept() is None
    assert again(store, tmp_path, new_model)


@pytest.mark.parametrize("n_lost", [1, N_SPECTRA])
def test_a_store_that_loses_spectra(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder, n_lost: int
) -> None:
    index(store, tmp_path, old_model)
    before = library_state(store, "lib")
    with store.open("lib") as collection:
        kind = type(collection)
    real = kind.upsert
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "upsert", lambda self, points: real(self, points[n_lost:]))
        with pytest.raises(StoreError, match=f"gives back other points .{N_SPECTRA - n_lost}"):
            again(store, tmp_path, new_model)
    assert library_state(store, "lib") == before


# Back, and the old one gone


def test_back_and_forth_and_the_old_one_gone(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    index(store, tmp_path, old_model)
    before = library_state(store, "lib")
    with pytest.raises(StoreError, match="Nothing older is kept"):
        go_back(store, "lib")
    again(store, tmp_path, new_model)
    after = library_state(store, "lib")
    with pytest.raises(StoreError, match="still kept"):
        again(store, tmp_path, embedder(9))
    assert go_back(store, "lib").encoder_digest == old_model.card.digest
    assert library_state(store, "lib") == before
    assert go_back(store, "lib").encoder_digest == new_model.card.digest
    assert library_state(store, "lib") == after
    store.generations("lib").drop_kept()
    assert library_state(store, "lib") == after
    with pytest.raises(StoreError, match="Nothing older is kept"):
        store.generations("lib").drop_kept()
    assert again(store, tmp_path, old_model)
    store.generations("lib").drop_kept()
    require_same(library_state(store, "lib"), before)
    assert store.libraries() == ["lib"]


def test_going_back_would_lose_what_came_since(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    index(store, tmp_path, old_model, n=25)
    again(store, tmp_path, new_model, check=lambda made, ids: None)
    index(store, tmp_path, new_model)
    with pytest.raises(StoreError, match=r"40 spectra now, 25 then.*--drop-old"):
        go_back(store, "lib")
    hits(store, new_model)


def test_dropped_with_all_that_was_kept(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    index(store, tmp_path, old_model)
    again(store, tmp_path, new_model)
    store.drop("lib")
    assert (store.exists("lib"), store.libraries()) == (False, [])
    with pytest.raises(LibraryNotFound):
        store.open("lib")
    index(store, tmp_path, old_model, n=25)
    assert len(library_state(store, "lib")) == 25
    assert store.generations("lib").kept() is None


def test_a_drop_that_was_killed_brings_nothing_back(
    tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    """The current one has gone, the one before lies there still."""
    with EmbeddedStore(tmp_path / "store") as store:
        index(store, tmp_path, old_model)
        again(store, tmp_path, new_model)
        (tmp_path / "store" / "lib" / "generations" / "2" / "contract.json").unlink()
        assert (store.exists("lib"), store.libraries()) == (False, [])
        assert index(store, tmp_path, new_model, n=25) == 25
        assert store.generations("lib").kept() is None
        assert not (tmp_path / "store" / "lib" / "generations").exists()


def test_spectra_set_aside_are_not_left_behind(
    store: Store, tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    index(store, tmp_path, old_model)
    with pytest.raises(StoreError, match=r"3 spectra that dedup .*dedup lib --undo"):
        again(store, tmp_path, new_model, n_set_aside=3)


def test_banks_have_no_spectra(store: Store, tmp_path: Path, new_model: Embedder) -> None:
    from store_material import CONTRACT

    from specsearch.store.schema import TARGET_PROJECTION

    store.create("lib", replace(CONTRACT, embedding_kind=TARGET_PROJECTION)).close()
    with pytest.raises(StoreError, match="candidate molecules"):
        again(store, tmp_path, new_model)


# Names on a server


def alias(client: QdrantClient, name: str, place: str) -> None:
    made = models.CreateAlias(collection_name=place, alias_name=name)
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=made)])


def test_names_are_aliases_and_collections_of_before_stay(
    tmp_path: Path, old_model: Embedder, new_model: Embedder
) -> None:
    from store_material import CONTRACT, points

    client = QdrantClient(":memory:")
    with ServerStore(client) as store:
        store._places.create("before", "before", store._stamped(CONTRACT)).close()
        with store.open("before", write=True) as collection:
            collection.upsert(points(4, library="before"))
        index(store, tmp_path, old_model)
        again(store, tmp_path, new_model)
        assert store.libraries() == ["before", "lib"]
        assert sorted(found.name for found in client.get_collections().collections) == [
            "before",
            "lib@1",
            "lib@2",
        ]
        with pytest.raises(StoreError, match="specsearch copy before"):
            reembed("before", store, new_model, work(tmp_path), lambda made, ids: None)
        assert store.generations("before").kept() is None
        with pytest.raises(StoreError, match="already has"):
            store.create("before", CONTRACT)
        store.drop("before")
        assert store.libraries() == ["lib"]
        for name in ("lib@1", "lib@kept"):
            with pytest.raises(StoreError, match="cannot be the name"):
                store.open(name)


def test_aliases_that_lead_elsewhere(tmp_path: Path, old_model: Embedder) -> None:
    from store_material import CONTRACT

    client = QdrantClient(":memory:")
    with ServerStore(client) as store:
        index(store, tmp_path, old_model)
        client.create_collection("foreign", models.VectorParams(size=2, distance=models.Distance.DOT))
        alias(client, "other", "lib@1")
        alias(client, "elsewhere", "foreign")
        client._client.aliases["loop"] = "loop"  # type: ignore[attr-defined]  no server lets one be made
        client._client.aliases["gone"] = "gone@1"  # type: ignore[attr-defined]
        assert store.libraries() == ["lib"]
        for name in ("other", "elsewhere", "loop"):
            for ask in (store.open, store.exists, store.drop, store.generations):
                with pytest.raises(StoreError, match=f"'{name}' of the server .* remove that alias"):
                    ask(name)
            with pytest.raises(StoreError, match="remove that alias"):
                store.create(name, CONTRACT)
        with pytest.raises(StoreError, match=r"'gone@1', a collection that is not there\. Remove that alias"):
            store.open("gone")
        assert len(library_state(store, "lib")) == N_SPECTRA


def test_a_library_without_its_name_is_not_written_over(tmp_path: Path, old_model: Embedder) -> None:
    """As after a snapshot was brought back: those of collections have no aliases."""
    client = QdrantClient(":memory:")
    with ServerStore(client) as store:
        index(store, tmp_path, old_model)
        removed = models.DeleteAlias(alias_name="lib")
        client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=removed)])
        assert store.libraries() == []
        with pytest.raises(StoreError, match=r"40 spectra of a library 'lib' without a name.*'lib@1'"):
            index(store, tmp_path, old_model)
        alias(client, "lib", "lib@1")
        assert index(store, tmp_path, old_model) == N_SPECTRA


def test_a_creation_that_was_killed_before_it_had_its_name(tmp_path: Path, old_model: Embedder) -> None:
    from store_material import CONTRACT

    with ServerStore(QdrantClient(":memory:")) as store:
        store._places.create("lib@1", "lib", CONTRACT).close()
        assert not store.exists("lib")
        assert index(store, tmp_path, old_model) == N_SPECTRA


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
    told = commands.run("reembed", "lib", *new).stderr
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
