"""Collections of ours on a Qdrant server, by their own names: made once, marked, published, removed."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from specsearch.errors import LibraryNotFound, StoreError
from specsearch.store import server_terms as terms
from specsearch.store.schema import Contract
from specsearch.store.server_collection import FindPlace, ServerCollection
from specsearch.store.server_retry import ask
from specsearch.store.server_settings import ServerSettings

_CONTRACT_KEY: Final = "specsearch_contract"
_MAKING_KEY: Final = "specsearch_making"  # of a collection that is not a library yet: who makes it
_MARK_KEY: Final = "specsearch_mark"  # of every collection of ours: tells it from any other of its name
_TAKEN: Final = (400, 409)

FindWriter = Callable[[str, tuple[str, str]], QdrantClient]
"""From a collection's name, and key and value of its mark, to the client that writes many points quickest."""


class Places:
    """What libraries are kept in.

    Parameters
    ----------
    client : QdrantClient
    settings : ServerSettings
        For those created through this object.
    find_writer : FindWriter, optional
    find_place : FindPlace
    """

    def __init__(
        self,
        client: QdrantClient,
        settings: ServerSettings,
        find_writer: FindWriter | None,
        find_place: FindPlace,
    ) -> None:
        self._client = client
        self._settings = settings
        self._find_writer = find_writer
        self._find_place = find_place

    def names(self) -> list[str]:
        """All collections of the server, those of others too."""
        found = ask("list the libraries", self._client.get_collections).collections
        return [collection.name for collection in found]

    def exists(self, place: str) -> bool:
        """Whether there is a collection of that name, whoever made it."""
        return ask(f"look for {place!r}", lambda: self._client.collection_exists(place))

    def info(self, place: str) -> models.CollectionInfo:
        """What the server says of a collection."""
        return ask(f"look at {place!r}", lambda: self._client.get_collection(place))

    def count(self, place: str) -> int:
        """Points in a collection."""
        return ask(f"look at {place!r}", lambda: self._client.count(place)).count

    def contract(self, place: str) -> Any:
        """The contract as the server keeps it; None for what is not ours or not there."""
        return self._metadata(place).get(_CONTRACT_KEY)

    def maker(self, place: str) -> str | None:
        """Who makes a library that is not there yet; None for any other collection."""
        metadata = self._metadata(place)
        return None if metadata.get(_CONTRACT_KEY) is not None else metadata.get(_MAKING_KEY)

    def create(self, place: str, name: str, made: Contract, maker: str | None = None) -> ServerCollection:
        """A collection for a library: whole at once, or, where somebody makes it, only once it is published.

        Raises
        ------
        StoreError
            If there is one of that name, or the server does not keep whose it is.
        """
        whose = {_CONTRACT_KEY: made.to_dict()} if maker is None else {_MAKING_KEY: maker}
        self._create_once(place, name, made, whose | {_MARK_KEY: uuid.uuid4().hex})
        if not self._metadata(place):
            self.remove(place, f"remove the collection {place!r} again")
            raise StoreError(
                "The Qdrant server, or a node of its cluster, does not keep a collection's metadata.",
                "Use version 1.16 or newer, the same on every node.",
            )
        return self.open(place, name, made, write=True)

    def _create_once(self, place: str, name: str, made: Contract, metadata: dict[str, Any]) -> None:
        """Create a collection; if it is there already with our mark, an earlier try of ours made it."""
        config = terms.collection_config(made, self._settings)

        def create() -> None:
            try:
                self._client.create_collection(place, **config, metadata=metadata)
            except UnexpectedResponse as error:
                is_taken = error.status_code in _TAKEN
                if not (is_taken and self._metadata(place).get(_MARK_KEY) == metadata[_MARK_KEY]):
                    raise

        ask(f"create the library {name!r}", create, is_write=True)

    def publish(self, place: str, name: str, made: Contract, maker: str) -> None:
        """Turn a collection that somebody makes into a library's, in one call.

        Raises
        ------
        StoreError
            If it is another's by now.
        """
        if self.maker(place) != maker:
            raise StoreError(
                f"Another command is making the library {name!r} at the same time.",
                "Wait for it, or choose another name.",
            )
        metadata = {_CONTRACT_KEY: made.to_dict(), _MAKING_KEY: None}
        ask(
            f"name the library {name!r}",
            lambda: self._client.update_collection(place, metadata=metadata),
            is_write=True,
        )
        if self.contract(place) is None:
            raise StoreError(
                "The Qdrant server does not change a collection's metadata.", "Use a newer version of it."
            )

    def clear_away(self, place: str, maker: str | None) -> None:
        """Remove what a maker has made, unless it has become a library's, or another's."""
        if maker is not None and self.maker(place) == maker:
            self.remove(place, f"clear away the unfinished {place!r}")

    def remove(self, place: str, action: str) -> None:
        """That it is gone already, by a try whose answer was lost, is no error to the server."""
        ask(action, lambda: self._client.delete_collection(place), is_write=True)

    def open(self, place: str, name: str, made: Contract, *, write: bool) -> ServerCollection:
        """The library that is in a collection."""
        info = self.info(place)
        if write:
            self._index_fields(place, made, info)
        mark = (info.config.metadata or {}).get(_MARK_KEY)
        find = self._find_writer
        return ServerCollection(
            self._client,
            name,
            made,
            place=place,
            find_place=self._find_place,
            write=write,
            quantization=terms.quantization_of(info),
            find_writer=None if find is None or mark is None else lambda: find(place, (_MARK_KEY, mark)),
        )

    def _index_fields(self, place: str, made: Contract, info: models.CollectionInfo) -> None:
        """Index the keys that are filtered by, as far as whoever created the collection did not get to it."""
        is_on_disk = terms.settings_of(info).on_disk
        for key, schema in terms.payload_indexes(made.layout, on_disk=is_on_disk).items():
            if key not in info.payload_schema:
                self._index_field(place, key, schema)

    def _index_field(self, place: str, key: str, schema: Any) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Payload indexes have no effect in the local Qdrant")
            ask(
                f"index the field {key!r} of {place!r}",
                lambda: self._client.create_payload_index(place, key, schema, wait=True),
                is_write=True,
            )

    def _metadata(self, place: str) -> dict[str, Any]:
        if not self.exists(place):
            return {}
        with suppress(LibraryNotFound):  # dropped since, by another
            return self.info(place).config.metadata or {}
        return {}
