"""Names of libraries on a server: aliases of ours, and what others have made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models
from reembed_material import N_SPECTRA, NEW, OLD, again, index, work
from samples import embedder, library_state

from ingest.reembed import reembed
from specsearch.encoder.embedder import Embedder
from specsearch.errors import StoreError
from specsearch.store.server import ServerStore

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")


@pytest.fixture(scope="module")
def old_model() -> Embedder:
    return embedder(OLD)


@pytest.fixture(scope="module")
def new_model() -> Embedder:
    return embedder(NEW)


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
