"""A Qdrant server as the store; only files named ``server...`` know `qdrant_client`."""

from __future__ import annotations

import re
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from specsearch.errors import LibraryNotFound, StoreDamaged, StoreError
from specsearch.store import server_terms as terms
from specsearch.store.names import require_library_name
from specsearch.store.schema import TARGET_PROJECTION, Contract
from specsearch.store.server_collection import ServerCollection
from specsearch.store.server_connection import Connection, ServerAccess
from specsearch.store.server_retry import ask
from specsearch.store.server_settings import ServerSettings

ENGINE: Final = "qdrant-server"
_METADATA_KEY: Final = "specsearch_contract"
_MAKING_KEY: Final = "specsearch_making"  # of a collection that is not a library yet: who makes it
_MARK_KEY: Final = "specsearch_mark"  # of every collection of ours: tells it from any other of its name
_TAKEN: Final = (400, 409)


class ServerStore:
    """Libraries as collections of a Qdrant server; see `specsearch.store.store.Store`.

    Only collections that carry a contract are seen, so other collections of the server are safe; those of
    candidate molecules are opened by name, and listed nowhere.

    Parameters
    ----------
    client : QdrantClient
    settings : ServerSettings, optional
        For libraries created through this object.
    find_writer : callable, optional
        Given a collection's name, and key and value of its mark, the client that writes many points quickest.
    """

    def __init__(
        self,
        client: QdrantClient,
        settings: ServerSettings | None = None,
        find_writer: Callable[[str, tuple[str, str]], QdrantClient] | None = None,
    ) -> None:
        self._client = client
        self._settings = settings or ServerSettings()
        self._find_writer = find_writer
        self._close: Callable[[], None] = client.close

    @classmethod
    def connect(
        cls,
        url: str,
        api_key: str | None = None,
        access: ServerAccess | None = None,
        settings: ServerSettings | None = None,
        **more: Any,
    ) -> Self:
        """Open the connection and see that the server answers.

        Parameters
        ----------
        url : str
        api_key : str, optional
        access : ServerAccess, optional
        settings : ServerSettings, optional
            For libraries created through this store.
        more : dict
            Handed on to the client.

        Raises
        ------
        StoreError
            If it does not, or if the key would travel unencrypted over a network that nobody called private.
        """
        connection = Connection(url, replace(access or ServerAccess(), api_key=api_key), **more)
        ask(f"connect to {url}", connection.client.get_collections)
        store = cls(connection.client, settings, connection.for_writing)
        store._close = connection.close
        return store

    def libraries(self) -> list[str]:
        found = ask("list the libraries", self._client.get_collections).collections
        return sorted(name.name for name in found if _is_library(self._metadata(name.name)))

    def exists(self, name: str) -> bool:
        return self._metadata(require_library_name(name)) is not None

    def made_with(self, name: str) -> ServerSettings:
        """How a library was made, as the server tells it."""
        self._contract(name)
        return terms.settings_of(self._info(name))

    def create(self, name: str, contract: Contract) -> ServerCollection:
        made = self._stamped(contract)
        return self._create(name, made, {_METADATA_KEY: made.to_dict()})

    @contextmanager
    def making(self, name: str, contract: Contract, n_bytes: int = 0) -> Iterator[ServerCollection]:
        require_library_name(name)
        made, maker = self._stamped(contract), uuid.uuid4().hex
        # Nobody can tell whether the last maker still lives; if it does, it will find us at its end.
        self._clear_away(name, self._maker(name))
        collection = self._create(name, made, {_MAKING_KEY: maker})
        try:
            yield collection
            self._publish(name, made, maker)
        except BaseException:
            with suppress(StoreError):  # a server that is away can wait: the next maker clears
                self._clear_away(name, maker)
            raise
        finally:
            collection.close()

    def _stamped(self, contract: Contract) -> Contract:
        version = ask("ask for the server's version", self._client.info).version
        _require_new_enough(version)
        return replace(contract, engine=ENGINE, engine_version=version)

    def _clear_away(self, name: str, maker: str | None) -> None:
        """Remove what a maker has made, unless it has become a library, or another's."""
        if maker is not None and self._maker(name) == maker:
            self._delete(name, f"clear away the unfinished {name!r}")

    def _delete(self, name: str, action: str) -> None:
        """That it is gone already, by a try whose answer was lost, is no error to the server."""
        ask(action, lambda: self._client.delete_collection(name), is_write=True)

    def _publish(self, name: str, made: Contract, maker: str) -> None:
        """Turn a collection into a library, in one call."""
        if self._maker(name) != maker:
            raise StoreError(
                f"Another command is making the library {name!r} at the same time.",
                "Wait for it, or choose another name.",
            )
        metadata = {_METADATA_KEY: made.to_dict(), _MAKING_KEY: None}
        ask(
            f"name the library {name!r}",
            lambda: self._client.update_collection(name, metadata=metadata),
            is_write=True,
        )
        if self._metadata(name) is None:
            raise StoreError(
                "The Qdrant server does not change a collection's metadata.", "Use a newer version of it."
            )

    def _create(self, name: str, made: Contract, metadata: dict[str, Any]) -> ServerCollection:
        require_library_name(name)
        self._require_free(name)
        self._create_once(name, made, metadata | {_MARK_KEY: uuid.uuid4().hex})
        if not self._all_metadata(name):
            self._delete(name, f"remove the collection {name!r} again")
            raise StoreError(
                "The Qdrant server, or a node of its cluster, does not keep a collection's metadata.",
                "Use version 1.16 or newer, the same on every node.",
            )
        return self._opened(name, made, write=True)

    def _require_free(self, name: str) -> None:
        if self._maker(name):
            raise StoreError(
                f"A library {name!r} is being restored, or was when that was ended.",
                "Wait, run that command again, or choose another name.",
            )
        if self._metadata(name) is not None:
            raise StoreError(
                f"The server already has a library {name!r}.", "Drop it first, or choose another name."
            )
        if ask(f"look for {name!r}", lambda: self._client.collection_exists(name)):
            raise StoreError(
                f"The server already has a collection {name!r} that specsearch did not make.",
                "Choose another name.",
            )

    def _create_once(self, name: str, made: Contract, metadata: dict[str, Any]) -> None:
        """Create a collection; if it is there already with our mark, an earlier try of ours made it."""
        config = terms.collection_config(made, self._settings)

        def create() -> None:
            try:
                self._client.create_collection(name, **config, metadata=metadata)
            except UnexpectedResponse as error:
                is_taken = error.status_code in _TAKEN
                if not (is_taken and self._all_metadata(name).get(_MARK_KEY) == metadata[_MARK_KEY]):
                    raise

        ask(f"create the library {name!r}", create, is_write=True)

    def _opened(self, name: str, made: Contract, *, write: bool) -> ServerCollection:
        info = self._info(name)
        if write:
            self._index_fields(name, made, info)
        mark = (info.config.metadata or {}).get(_MARK_KEY)
        find = self._find_writer
        writer = None if find is None or mark is None else lambda: find(name, (_MARK_KEY, mark))
        return ServerCollection(
            self._client,
            name,
            made,
            write=write,
            quantization=terms.quantization_of(info),
            find_writer=writer,
        )

    def _index_fields(self, name: str, made: Contract, info: models.CollectionInfo) -> None:
        """Index the keys that are filtered by, as far as whoever created the collection did not get to it."""
        for key, schema in terms.payload_indexes(made.layout).items():
            if key not in info.payload_schema:
                self._index_field(name, key, schema)

    def _index_field(self, name: str, key: str, schema: Any) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Payload indexes have no effect in the local Qdrant")
            ask(
                f"index the field {key!r} of {name!r}",
                lambda: self._client.create_payload_index(name, key, schema, wait=True),
                is_write=True,
            )

    def open(self, name: str, *, write: bool = False) -> ServerCollection:
        return self._opened(name, self._contract(name), write=write)

    def drop(self, name: str) -> None:
        self._contract(name)
        self._delete(name, f"drop the library {name!r}")

    def close(self) -> None:
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _metadata(self, name: str) -> dict[str, Any] | None:
        """The contract as the server keeps it; None for what is not ours or not there."""
        return self._all_metadata(name).get(_METADATA_KEY)

    def _maker(self, name: str) -> str | None:
        """Who makes a library that is not there yet; None for any other collection."""
        metadata = self._all_metadata(name)
        return None if metadata.get(_METADATA_KEY) is not None else metadata.get(_MAKING_KEY)

    def _all_metadata(self, name: str) -> dict[str, Any]:
        if not ask(f"look for {name!r}", lambda: self._client.collection_exists(name)):
            return {}
        with suppress(LibraryNotFound):  # dropped since, by another
            return self._info(name).config.metadata or {}
        return {}

    def _info(self, name: str) -> models.CollectionInfo:
        return ask(f"look at {name!r}", lambda: self._client.get_collection(name))

    def _contract(self, name: str) -> Contract:
        values = self._metadata(require_library_name(name))
        if values is None:
            raise self._no_library(name)
        if not isinstance(values, dict):
            raise StoreDamaged(f"The contract of {name!r} makes no sense.", "Index the library again.")
        return Contract.from_dict(values)

    def _no_library(self, name: str) -> LibraryNotFound:
        known = f"There are: {', '.join(self.libraries()) or 'none'}."
        if ask(f"look for {name!r}", lambda: self._client.collection_exists(name)) and not self._maker(name):
            return LibraryNotFound(
                f"The server's collection {name!r} was not made by specsearch, and is left alone.", known
            )
        return LibraryNotFound(f"The server has no library {name!r}.", known)


def _is_library(contract: dict[str, Any] | None) -> bool:
    """Whether a collection is ours and holds spectra; a spoiled contract says so when it is opened."""
    holds_molecules = isinstance(contract, dict) and contract.get("embedding_kind") == TARGET_PROJECTION
    return contract is not None and not holds_molecules


def _require_new_enough(version: str) -> None:
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < terms.OLDEST_SERVER:
        oldest = ".".join(map(str, terms.OLDEST_SERVER))
        raise StoreError(
            f"The Qdrant server is of version {version}; only {oldest} or newer keeps who made a library.",
            "Update it, on every node of a cluster.",
        )
