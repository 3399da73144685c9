"""A Qdrant server as the store; only files named ``server...`` know `qdrant_client`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from qdrant_client import QdrantClient

from specsearch.errors import LibraryNotFound, StoreDamaged, StoreError
from specsearch.store import server_terms as terms
from specsearch.store.names import require_library_name
from specsearch.store.schema import TARGET_PROJECTION, Contract
from specsearch.store.server_aliases import SEPARATOR, Aliases
from specsearch.store.server_collection import ServerCollection
from specsearch.store.server_connection import Connection, ServerAccess
from specsearch.store.server_generations import ServerGenerations
from specsearch.store.server_places import FindWriter, Places
from specsearch.store.server_retry import ask
from specsearch.store.server_settings import ServerSettings

ENGINE: Final = "qdrant-server"
_OLDEST: Final = ".".join(map(str, terms.OLDEST_SERVER))


class ServerStore:
    """Libraries as collections of a Qdrant server; see `specsearch.store.store.Store`.

    A library's name is an alias, see `specsearch.store.server_aliases`; earlier versions gave the collection
    itself the name, and such are libraries, too. Only collections that carry a contract are seen, so other
    collections of the server are safe; those of candidate molecules are opened by name, and listed nowhere.

    Parameters
    ----------
    client : QdrantClient
    settings : ServerSettings, optional
        For libraries created through this object.
    find_writer : FindWriter, optional
    """

    def __init__(
        self,
        client: QdrantClient,
        settings: ServerSettings | None = None,
        find_writer: FindWriter | None = None,
    ) -> None:
        self._client = client
        self._close: Callable[[], None] = client.close
        self._places = Places(client, settings or ServerSettings(), find_writer, self.place)
        self.aliases = Aliases(client)

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
        plain = {name: name for name in self._places.names() if SEPARATOR not in name}
        places = plain | self.aliases.libraries()
        contracts = {name: self._places.contract(place) for name, place in places.items()}
        for name, contract in contracts.items():
            if contract is None and name not in plain:
                self._require_new_node(name)
        return sorted(name for name, contract in contracts.items() if _is_library(contract))

    def exists(self, name: str) -> bool:
        place = self.place(name)
        return place is not None and self._places.contract(place) is not None

    def made_with(self, name: str) -> ServerSettings:
        """How a library was made, as the server tells it."""
        place = self.place(name) or name
        self.contract_at(place, name)
        return terms.settings_of(self._places.info(place))

    def create(self, name: str, contract: Contract) -> ServerCollection:
        made = self._stamped(contract)
        self._require_free(name)
        place = self.aliases.next_place(name)
        collection = self._places.create(place, name, made)
        self.aliases.point(name, place)
        return collection

    @contextmanager
    def making(self, name: str, contract: Contract, n_bytes: int = 0) -> Iterator[ServerCollection]:
        self.place(name)  # raises where the name is somebody else's alias
        # Nobody can tell whether the last maker still lives; if it does, it will find us at its end.
        for left in (name, *self.aliases.generations(name)):
            self._places.clear_away(left, self._places.maker(left))
        self._require_free(name)
        place = self.aliases.next_place(name)
        with self.filling(name, place, contract) as collection:
            yield collection
        self.aliases.point(name, place)

    @contextmanager
    def filling(self, name: str, place: str, contract: Contract) -> Iterator[ServerCollection]:
        """A collection that has its contract only when the block has ended well, else is removed."""
        made, maker = self._stamped(contract), uuid.uuid4().hex
        collection = self._places.create(place, name, made, maker)
        try:
            yield collection
            self._places.publish(place, name, made, maker)
        except BaseException:
            with suppress(StoreError):  # a server that is away can wait: the next maker clears
                self._places.clear_away(place, maker)
            raise
        finally:
            collection.close()

    def generations(self, name: str) -> ServerGenerations:
        self.contract_at(self.place(name) or name, name)
        return ServerGenerations(self, name)

    def _stamped(self, contract: Contract) -> Contract:
        version = self._version()
        _require_new_enough(version)
        return replace(contract, engine=ENGINE, engine_version=version)

    def _require_free(self, name: str) -> None:
        """Raise unless a library of this name can be made."""
        there, left = self.place(name), self.aliases.generations(name)
        if any(self._places.maker(place) for place in (name, *left)):
            raise StoreError(
                f"A library {name!r} is being restored, or was when that was ended.",
                "Wait, run that command again, or choose another name.",
            )
        if there is not None and self._places.contract(there) is not None:
            raise StoreError(
                f"The server already has a library {name!r}.", "Drop it first, or choose another name."
            )
        if there is not None:
            self._require_new_node(name)
            raise StoreError(
                f"The server already has a collection {name!r} that specsearch did not make.",
                "Choose another name.",
            )
        for place in left:
            if n_points := self._places.count(place):
                raise StoreError(
                    f"The server has {n_points:,} spectra of a library {name!r} without a name, in the "
                    f"collection {place!r}.",
                    f"Give that the alias {name!r} on the server, or remove it there.",
                )
            self.remove(place, name)  # its maker was killed before it had its name

    def open(self, name: str, *, write: bool = False) -> ServerCollection:
        return self.open_place(name, self.place(name) or name, write=write)

    def open_place(self, name: str, place: str, *, write: bool = False) -> ServerCollection:
        """Open a collection of a library, whatever the name leads to."""
        contract = self.contract_at(place, name)
        contract.require_readable(name)
        return self._places.open(place, name, contract, write=write)

    def drop(self, name: str) -> None:
        current = self.place(name) or name
        self.contract_at(current, name)
        others = [place for place in self.aliases.generations(name) if place != current]
        for place in (*others, current):  # the library is there until the last is gone
            self.remove(place, name)
        self.aliases.forget(name)

    def remove(self, place: str, name: str) -> None:
        """Remove a collection of a library."""
        self._places.remove(place, f"drop the library {name!r}")

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

    def place(self, name: str) -> str | None:
        """Name of the collection that a library's name leads to, whatever is in it; None if to nothing."""
        place = self.aliases.current(require_library_name(name))
        if place is None:
            return name if self._places.exists(name) else None
        if not self._places.exists(place):
            raise StoreError(
                f"The alias {name!r} of the server leads to {place!r}, a collection that is not there.",
                "Remove that alias from the server, or bring the collection back from a snapshot.",
            )
        return place

    def contract_at(self, place: str, name: str) -> Contract:
        """Contract of a collection of a library.

        Raises
        ------
        LibraryNotFound, StoreDamaged
        StoreError
            If the node that answers is too old to know it.
        """
        values = self._places.contract(place)
        if values is None:
            self._require_new_node(name)
            raise self._no_library(name)
        if not isinstance(values, dict):
            raise StoreDamaged(f"The contract of {name!r} makes no sense.", "Index the library again.")
        return Contract.from_dict(values)

    def _require_new_node(self, name: str) -> None:
        """Raise where a collection with a name of ours has no contract since the node asked keeps none."""
        has_our_name = self.aliases.current(name) is not None or bool(self.aliases.generations(name))
        version = self._version()
        if has_our_name and _is_too_old(version):
            raise StoreError(
                f"The Qdrant node that answers is of version {version} and cannot tell who made {name!r}, a "
                "library made with newer ones.",
                f"Update every node of the cluster to {_OLDEST} or newer.",
            )

    def _version(self) -> str:
        return str(ask("ask for the server's version", self._client.info).version)

    def _no_library(self, name: str) -> LibraryNotFound:
        known = f"There are: {', '.join(self.libraries()) or 'none'}."
        if self._places.exists(name) and not self._places.maker(name):
            return LibraryNotFound(
                f"The server's collection {name!r} was not made by specsearch, and is left alone.", known
            )
        return LibraryNotFound(f"The server has no library {name!r}.", known)


def _is_library(contract: Any) -> bool:
    """Whether a collection is ours and holds spectra; a spoiled contract says so when it is opened."""
    holds_molecules = isinstance(contract, dict) and contract.get("embedding_kind") == TARGET_PROJECTION
    return contract is not None and not holds_molecules


def _is_too_old(version: str) -> bool:
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < terms.OLDEST_SERVER


def _require_new_enough(version: str) -> None:
    if _is_too_old(version):
        raise StoreError(
            f"The Qdrant server is of version {version}; only {_OLDEST} or newer keeps who made a library.",
            "Update it, on every node of a cluster.",
        )
