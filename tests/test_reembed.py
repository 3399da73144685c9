"""Another model for a library that stays in use: equal to one indexed with it, or as if nothing had been."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient
from reembed_material import (
    N_SPECTRA,
    NEW,
    OLD,
    State,
    again,
    found_in,
    hits,
    index,
    others,
    require_same,
    work,
)
from samples import embedder, library_state

from ingest import reembed as module
from specsearch.encoder.embedder import Embedder
from specsearch.errors import ContractMismatch, LibraryNotFound, StoreError, StoreLocked
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.generations import go_back
from specsearch.store.server import ServerStore
from specsearch.store.store import Collection, Store
from specsearch.store.vectors import contract_of

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
