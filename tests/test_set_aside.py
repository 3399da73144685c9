"""Spectra that dedup took out: they stay out, come back whole, and never with another model's vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
from qdrant_client import QdrantClient
from reembed_material import NEW, OLD, RECORDS, index, work
from samples import embedder, library_state

from ingest.index import index_files
from specsearch.cli.libraries import drop
from specsearch.cli.settings import StoreAt
from specsearch.errors import ContractMismatch
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.points import point_id
from specsearch.store.server import ServerStore
from specsearch.store.set_aside import put_back, set_aside

GONE = [point_id("lib", record.accession) for record in RECORDS[:10]]


class Killed(BaseException):
    """As if the process had ended here."""


def test_what_a_killed_run_began_to_take_out_goes_before_anything_is_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the ledger would agree with neither number, be made again, and the spectra would come back."""
    monkeypatch.setattr("specsearch.store.set_aside._BATCH", 4)
    aside = tmp_path / "set-aside"
    with EmbeddedStore(tmp_path / "store") as store:
        index(store, tmp_path, embedder(OLD))
        with store.open("lib", write=True) as collection:
            real, n_calls = collection.delete, iter(range(9))

            def killed(point_ids: list[str]) -> None:
                if next(n_calls) == 1:
                    raise Killed
                real(point_ids)

            monkeypatch.setattr(collection, "delete", killed)
            with pytest.raises(Killed):
                set_aside(collection, GONE, aside / "some.parquet")
        assert 0 < len(RECORDS) - len(library_state(store, "lib")) < len(GONE)
        files = [tmp_path / f"{len(RECORDS)}.parquet"]
        again = index_files(files, store, "lib", embedder(OLD), work(tmp_path), aside=aside)
        assert again.n_in_library == len(RECORDS) - len(GONE)
        assert not library_state(store, "lib").keys() & set(GONE)
        with store.open("lib", write=True) as collection:
            assert put_back(collection, aside / "some.parquet") == len(GONE)


def test_vectors_of_another_model_are_not_put_back(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        index(store, tmp_path, embedder(OLD))
        with store.open("lib", write=True) as collection:
            set_aside(collection, GONE, tmp_path / "aside.parquet")
        store.drop("lib")
        index(store, tmp_path / "anew", embedder(NEW), n=5)
        before = library_state(store, "lib")
        collection = store.open("lib", write=True)
        with collection, pytest.raises(ContractMismatch, match="another model than the library 'lib' now"):
            put_back(collection, tmp_path / "aside.parquet")
        assert library_state(store, "lib") == before


def test_a_server_s_library_is_dropped_with_what_was_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was set aside of others stays."""
    at = StoreAt("http://localhost:6333")
    monkeypatch.setattr("specsearch.cli.settings._user_data", lambda: tmp_path / "data")
    opened = ServerStore(QdrantClient(":memory:"))
    monkeypatch.setattr(StoreAt, "open", lambda self, settings=None: opened)
    for library in ("lib", "other"):
        index(opened, tmp_path / library, embedder(OLD), library)
        with opened.open(library, write=True) as collection:
            ids = [point_id(library, record.accession) for record in RECORDS[:10]]
            set_aside(collection, ids, at.set_aside_folder(library) / "some.parquet")
    assert drop.callback is not None
    drop.callback("lib", True, at)
    assert not at.set_aside_folder("lib").exists()
    assert (at.set_aside_folder("other") / "some.parquet").exists()
