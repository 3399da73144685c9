"""A Qdrant server as the store; with `server_collection` the only files that know `qdrant_client`."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from qdrant_client import QdrantClient, models

from specsearch.errors import LibraryNotFound, StoreDamaged, StoreError
from specsearch.store.names import require_library_name
from specsearch.store.planner import LARGE_INDEX, IndexSettings
from specsearch.store.schema import TARGET_PROJECTION, Contract, Layout, VectorName
from specsearch.store.server_aliases import SEPARATOR, Aliases
from specsearch.store.server_collection import ServerCollection, server_call
from specsearch.store.server_generations import ServerGenerations

ENGINE = "qdrant-server"
TIMEOUT_S = 60
_METADATA_KEY = "specsearch_contract"
_MAKING_KEY = "specsearch_making"  # of a collection that is not a library yet: who makes it


class ServerStore:
    """Libraries as collections of a Qdrant server; see `specsearch.store.store.Store`.

    A library's name is an alias, see `specsearch.store.server_aliases`; earlier versions gave the collection
    itself the name, and such are libraries, too. Only collections that carry a contract are seen, so other
    collections of the server are safe; those of candidate molecules are opened by name, and listed nowhere.

    Parameters
    ----------
    client : QdrantClient
    settings : IndexSettings, optional
        For libraries created through this object.
    """

    def __init__(self, client: QdrantClient, settings: IndexSettings | None = None) -> None:
        self._client = client
        self._settings = settings or LARGE_INDEX
        self.aliases = Aliases(client)

    @classmethod
    def connect(cls, url: str, api_key: str | None = None, timeout_s: int = TIMEOUT_S) -> Self:
        """Open the connection and see that the server answers.

        Raises
        ------
        StoreError
            If it does not, or if the key would travel unencrypted to another machine.
        """
        parts = urlsplit(url)
        if api_key and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise StoreError(
                "The API key would travel unencrypted.", "Use an https:// address for a server elsewhere."
            )
        with warnings.catch_warnings(), server_call(f"connect to {url}"):
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            client = QdrantClient(url=url, api_key=api_key, timeout=timeout_s, check_compatibility=False)
            client.get_collections()
        return cls(client)

    def libraries(self) -> list[str]:
        with server_call("list the libraries"):
            names = [collection.name for collection in self._client.get_collections().collections]
        places = {name: name for name in names if SEPARATOR not in name} | self.aliases.libraries()
        return sorted(name for name, place in places.items() if _is_library(self._metadata(place)))

    def exists(self, name: str) -> bool:
        place = self.place(name)
        return place is not None and self._metadata(place) is not None

    def create(self, name: str, contract: Contract) -> ServerCollection:
        made = self._stamped(contract)
        self._require_free(name)
        place = self.aliases.next_place(name)
        self._create(place, made, {_METADATA_KEY: made.to_dict()})
        self.aliases.point(name, place)
        return ServerCollection(self._client, name, made, write=True, place=place)

    @contextmanager
    def making(self, name: str, contract: Contract, n_bytes: int = 0) -> Iterator[ServerCollection]:
        self.place(name)  # raises where the name is somebody else's alias
        # Nobody can tell whether the last maker still lives; if it does, it will find us at its end.
        for left in (name, *self.aliases.generations(name)):
            self._clear_away(left, self._maker(left))
        self._require_free(name)
        place = self.aliases.next_place(name)
        with self.filling(name, place, contract) as collection:
            yield collection
        self.aliases.point(name, place)

    @contextmanager
    def filling(self, name: str, place: str, contract: Contract) -> Iterator[ServerCollection]:
        """A collection that has its contract only when the block has ended well, else is removed."""
        made, maker = self._stamped(contract), uuid.uuid4().hex
        self._create(place, made, {_MAKING_KEY: maker})
        collection = ServerCollection(self._client, name, made, write=True, place=place)
        try:
            yield collection
            self._publish(place, made, maker)
        except BaseException:
            with suppress(StoreError):  # a server that is away can wait: the next maker clears
                self._clear_away(place, maker)
            raise
        finally:
            collection.close()

    def generations(self, name: str) -> ServerGenerations:
        self.contract_at(self.place(name) or name, name)
        return ServerGenerations(self, name)

    def _stamped(self, contract: Contract) -> Contract:
        with server_call("ask for the server's version"):
            return replace(contract, engine=ENGINE, engine_version=self._client.info().version)

    def _clear_away(self, name: str, maker: str | None) -> None:
        """Remove what a maker has made, unless it has become a library, or another's."""
        if maker is not None and self._maker(name) == maker:
            with server_call(f"clear away the unfinished {name!r}"):
                self._client.delete_collection(name)

    def _publish(self, name: str, made: Contract, maker: str) -> None:
        """Turn a collection into a library, in one call."""
        if self._maker(name) != maker:
            raise StoreError(
                f"Another command is making the library {name!r} at the same time.",
                "Wait for it, or choose another name.",
            )
        with server_call(f"name the library {name!r}"):
            self._client.update_collection(name, metadata={_METADATA_KEY: made.to_dict(), _MAKING_KEY: None})
        if self._metadata(name) is None:
            raise StoreError(
                "The Qdrant server does not change a collection's metadata.", "Use a newer version of it."
            )

    def _require_free(self, name: str) -> None:
        """Raise unless a library of this name can be made."""
        there, left = self.place(name), self.aliases.generations(name)
        if any(self._maker(place) for place in (name, *left)):
            raise StoreError(
                f"A library {name!r} is being restored, or was when that was ended.",
                "Wait, run that command again, or choose another name.",
            )
        if there is not None:
            raise StoreError(
                f"The server already has a collection {name!r}.", "Drop it first, or choose another name."
            )
        for place in left:
            with server_call(f"look at {place!r}"):
                if n_points := self._client.count(place).count:
                    raise StoreError(
                        f"The server has {n_points:,} spectra of a library {name!r} without a name, in the "
                        f"collection {place!r}.",
                        f"Give that the alias {name!r} on the server, or remove it there.",
                    )
                self._client.delete_collection(place)  # its maker was killed before it had its name

    def _create(self, name: str, made: Contract, metadata: dict[str, Any]) -> None:
        with server_call(f"create the library {name!r}"):
            self._client.create_collection(
                name, **_collection_config(made, self._settings), metadata=metadata
            )
        if not self._all_metadata(name):
            self._client.delete_collection(name)
            raise StoreError(
                "The Qdrant server does not keep a collection's metadata.", "Use version 1.16 or newer."
            )
        with server_call(f"index the fields of {name!r}"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Payload indexes have no effect in the local Qdrant")
            for key, schema in _payload_indexes(made.layout).items():
                self._client.create_payload_index(name, key, schema, wait=True)

    def open(self, name: str, *, write: bool = False) -> ServerCollection:
        place = self.place(name) or name
        return self.open_place(name, place, write=write)

    def open_place(self, name: str, place: str, *, write: bool = False) -> ServerCollection:
        """Open a collection of a library, whatever the name leads to."""
        contract = self.contract_at(place, name)
        contract.require_readable(name)
        return ServerCollection(self._client, name, contract, write=write, place=place)

    def drop(self, name: str) -> None:
        current = self.place(name) or name
        self.contract_at(current, name)
        others = [place for place in self.aliases.generations(name) if place != current]
        for place in (*others, current):  # the library is there until the last is gone
            self.remove(place, name)
        self.aliases.forget(name)

    def remove(self, place: str, name: str) -> None:
        """Remove a collection of a library."""
        with server_call(f"drop the library {name!r}"):
            self._client.delete_collection(place)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def place(self, name: str) -> str | None:
        """Name of the collection that a library's name leads to, whatever is in it; None if to nothing."""
        place = self.aliases.current(require_library_name(name))
        with server_call(f"look for {name!r}"):
            if place is None:
                return name if self._client.collection_exists(name) else None
            if not self._client.collection_exists(place):
                raise StoreError(
                    f"The alias {name!r} of the server leads to {place!r}, a collection that is not there.",
                    "Remove that alias from the server, or bring the collection back from a snapshot.",
                )
        return place

    def _metadata(self, name: str) -> dict[str, Any] | None:
        """The contract as the server keeps it; None for what is not ours or not there."""
        return self._all_metadata(name).get(_METADATA_KEY)

    def _maker(self, name: str) -> str | None:
        """Who makes a library that is not there yet; None for any other collection."""
        metadata = self._all_metadata(name)
        return None if metadata.get(_METADATA_KEY) is not None else metadata.get(_MAKING_KEY)

    def _all_metadata(self, name: str) -> dict[str, Any]:
        with server_call(f"look at {name!r}"):
            if not self._client.collection_exists(name):
                return {}
            return self._client.get_collection(name).config.metadata or {}

    def contract_at(self, place: str, name: str) -> Contract:
        """Contract of a collection of a library.

        Raises
        ------
        LibraryNotFound, StoreDamaged
        """
        values = self._metadata(place)
        if values is None:
            known = ", ".join(self.libraries()) or "none"
            raise LibraryNotFound(f"The server has no library {name!r}.", f"There are: {known}.")
        if not isinstance(values, dict):
            raise StoreDamaged(f"The contract of {name!r} makes no sense.", "Index the library again.")
        return Contract.from_dict(values)


def _is_library(contract: dict[str, Any] | None) -> bool:
    """Whether a collection is ours and holds spectra; a spoiled contract says so when it is opened."""
    holds_molecules = isinstance(contract, dict) and contract.get("embedding_kind") == TARGET_PROJECTION
    return contract is not None and not holds_molecules


def _collection_config(contract: Contract, settings: IndexSettings) -> dict[str, Any]:
    """The same vectors and graph as in the embedded engine."""
    return {
        "vectors_config": {
            VectorName.EMBEDDING: models.VectorParams(
                size=contract.embedding_size,
                distance=models.Distance.COSINE,
                datatype=models.Datatype.FLOAT16,
            )
        },
        "sparse_vectors_config": {
            name: models.SparseVectorParams() for name in contract.layout.sparse_vectors
        },
        "hnsw_config": models.HnswConfigDiff(
            m=settings.m,
            ef_construct=settings.ef_construct,
            full_scan_threshold=settings.full_scan_threshold_kb,
        ),
        "optimizers_config": models.OptimizersConfigDiff(
            default_segment_number=1, indexing_threshold=settings.indexing_threshold_kb
        ),
    }


def _payload_indexes(layout: Layout) -> dict[str, Any]:
    """Indexed keys; enable_hnsw=False since extra edges per value make building 2.5 times slower."""
    floats = {
        key: models.FloatIndexParams(type=models.FloatIndexType.FLOAT, enable_hnsw=False)
        for key in layout.float_indexes
    }
    keywords = {
        key: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, enable_hnsw=False)
        for key in layout.keyword_indexes
    }
    return {**floats, **keywords}
