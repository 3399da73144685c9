"""Generations of a library on a Qdrant server: collections of which two have aliases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from specsearch.errors import StoreError
from specsearch.store.generations import require_kept, require_none_kept
from specsearch.store.schema import Contract
from specsearch.store.server_aliases import SEPARATOR
from specsearch.store.server_collection import ServerCollection

if TYPE_CHECKING:
    from specsearch.store.server import ServerStore


class ServerGenerations:
    """See `specsearch.store.generations.Generations`.

    Parameters
    ----------
    store : ServerStore
    library : str
        Which exists.
    """

    def __init__(self, store: ServerStore, library: str) -> None:
        self._store = store
        self._library = library
        self._made: str | None = None

    def kept(self) -> Contract | None:
        place = self._store.aliases.kept(self._library)
        return None if place is None else self._store.contract_at(place, self._library)

    @contextmanager
    def making(self, contract: Contract) -> Iterator[ServerCollection]:
        current = self._current()
        if SEPARATOR not in current:
            raise StoreError(
                f"The library {self._library!r} is a collection without an alias, as earlier versions made "
                "them, so nothing else can take its place.",
                f'Copy it: "specsearch copy {self._library} --to URL --as NAME", then reembed NAME.',
            )
        require_none_kept(self.kept(), self._library)
        for place in self._store.aliases.generations(self._library):
            if place != current:  # of a run that was killed
                self._store.remove(place, self._library)
        place = self._store.aliases.next_place(self._library)
        with self._store.filling(self._library, place, contract) as collection:
            yield collection
        self._made = place

    def publish(self) -> None:
        if self._made is not None:
            self._store.aliases.point(self._library, self._made, kept=self._current())
            self._made = None

    def open_kept(self) -> ServerCollection:
        return self._store.open_place(self._library, self._kept_place())

    def turn_back(self) -> None:
        self._store.aliases.point(self._library, self._kept_place(), kept=self._current())

    def drop_kept(self) -> None:
        place = self._kept_place()
        self._store.aliases.point(self._library, self._current())
        self._store.remove(place, self._library)

    def _current(self) -> str:
        """The collection that the library's name leads to; raises unless it is a library."""
        place = self._store.place(self._library) or self._library
        self._store.contract_at(place, self._library)
        return place

    def _kept_place(self) -> str:
        require_kept(self.kept(), self._library)
        return str(self._store.aliases.kept(self._library))
