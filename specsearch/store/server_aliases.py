"""Names of libraries on a Qdrant server: aliases, each of a collection ``NAME@1``, ``NAME@2``, ...

No library can have such a name itself. A second alias, ``NAME@kept``, leads to the generation that is kept
beside the current one. A server changes several aliases in one step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from qdrant_client import QdrantClient, models

from specsearch.errors import StoreError
from specsearch.store.server_retry import ask

SEPARATOR = "@"
_KEPT = f"{SEPARATOR}kept"


class Aliases:
    """The aliases of a server.

    Parameters
    ----------
    client : QdrantClient
    """

    def __init__(self, client: QdrantClient) -> None:
        self._client = client

    def libraries(self) -> dict[str, str]:
        """Name of each library to its collection; aliases of other kinds are left out."""
        return {name: place for name, place in self._all().items() if _number(name, place)}

    def current(self, library: str) -> str | None:
        """The collection that a library's name leads to; None where the name is no alias.

        Raises
        ------
        StoreError
            If it is somebody else's alias.
        """
        place = self._all().get(library)
        if place is not None and not _number(library, place):
            raise StoreError(
                f"The alias {library!r} of the server leads to {place!r}, which does not belong to a library "
                "of that name.",
                "Choose another name, or remove that alias from the server.",
            )
        return place

    def kept(self, library: str) -> str | None:
        """The collection that is kept beside the current one, or None."""
        return self._all().get(library + _KEPT)

    def generations(self, library: str) -> list[str]:
        """All collections of a library, also those that no alias leads to; the oldest first."""
        found = ask("list the collections", self._client.get_collections).collections
        places = [place.name for place in found if _number(library, place.name)]
        return sorted(places, key=lambda place: _number(library, place))

    def next_place(self, library: str) -> str:
        """A name for the next collection of a library."""
        numbers = [_number(library, place) for place in self.generations(library)]
        return f"{library}{SEPARATOR}{max(numbers, default=0) + 1}"

    def point(self, library: str, current: str, kept: str | None = None) -> None:
        """Let a library's name lead to one collection, and another be kept, in one step."""
        wanted = {library: current} | ({} if kept is None else {library + _KEPT: kept})
        self._change(library, wanted)

    def forget(self, library: str) -> None:
        """Remove whatever aliases a library has."""
        self._change(library, {})

    def _change(self, library: str, wanted: Mapping[str, str]) -> None:
        ask(f"name the library {library!r}", lambda: self._try_change(library, wanted), is_write=True)

    def _try_change(self, library: str, wanted: Mapping[str, str]) -> None:
        """Looks anew at every try: the one before may have taken effect."""
        there = self._try_all().keys() & {library, library + _KEPT}
        changes: list[models.AliasOperations] = [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name)) for name in there
        ]
        changes += [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=place, alias_name=name)
            )
            for name, place in wanted.items()
        ]
        if changes:
            self._client.update_collection_aliases(changes)

    def _all(self) -> dict[str, str]:
        return ask("list the aliases", self._try_all)

    def _try_all(self) -> dict[str, str]:
        found = self._client.get_aliases().aliases
        return {alias.alias_name: alias.collection_name for alias in found}


def _number(library: str, place: str) -> int:
    """Which generation of a library a collection is; 0 for none of it."""
    found = re.fullmatch(rf"{re.escape(library)}{SEPARATOR}(\d+)", place)
    return int(found[1]) if found else 0
