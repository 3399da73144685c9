"""The store: libraries of points, behind one protocol with two backends.

Embedded (a folder, one process at a time) and server (many readers, and one writer of a library at a time).
Everything above this floor knows only the protocols here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from specsearch.store.filters import Filter
from specsearch.store.points import Point
from specsearch.store.queries import CollectionInfo, Hit, Record, ScoreRequest, VectorQuery
from specsearch.store.schema import Contract

if TYPE_CHECKING:
    from specsearch.store.generations import Generations
    from specsearch.store.server_connection import ServerAccess
    from specsearch.store.server_settings import ServerSettings

IndexWatch = Callable[[int, int], None]  # told how many vectors are indexed, and of about how many


class Collection(Protocol):
    """One open library."""

    @property
    def name(self) -> str:
        """Name of the library."""
        ...

    @property
    def contract(self) -> Contract:
        """By whom and how it was filled."""
        ...

    def count(self, filter: Filter | None = None, *, exact: bool = True) -> int:
        """Number of points, or of those that match; an estimate costs microseconds."""
        ...

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, replacing those with the same id; returns once they are durable.

        Raises
        ------
        StoreError
            If a point is not valid (nothing of the batch is written), or the library is open for reading.
        StoreFull
            If there is not enough free space.
        """
        ...

    def query(self, queries: Sequence[VectorQuery]) -> list[list[Hit]]:
        """Answer a batch of queries, in their order; hits best first."""
        ...

    def score(self, requests: Sequence[ScoreRequest]) -> list[NDArray[np.float64]]:
        """Scores of given points, aligned with each request's `point_ids`.

        A sparse vector that shares nothing with a point scores 0; a missing point scores 0 against a
        sparse vector and NaN against the embedding.
        """
        ...

    def fetch(
        self, point_ids: Sequence[str], *, with_vectors: bool = False, with_payload: bool = True
    ) -> dict[str, Record]:
        """Points by id, in the order asked; an id that is not a key of the answer is not in the library."""
        ...

    def scroll(
        self, filter: Filter | None = None, *, batch: int = 1000, with_vectors: bool = False
    ) -> Iterator[Record]:
        """All matching points, in the order of their ids, read `batch` at a time."""
        ...

    def delete(self, point_ids: Sequence[str]) -> None:
        """Remove points; ids that are not there are no error."""
        ...

    def annotate(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Set keys of payloads that are not filtered by; vectors and other keys stay as they are.

        Parameters
        ----------
        values : mapping of str to mapping
            By point id; None takes a key away. Ids that are not there are no error.
        """
        ...

    def optimize(self, watch: IndexWatch | None = None) -> bool:
        """Build the search indexes; blocks; True if there was anything to do.

        Parameters
        ----------
        watch : IndexWatch, optional
            The embedded engine tells nothing until it is done.
        """
        ...

    def info(self) -> CollectionInfo:
        """Sizes and health."""
        ...

    def turn(self) -> str | None:
        """Whose turn it is to write: what the last `take_turn` was given.

        None before the first, and if the library's name leads elsewhere by now.
        """
        ...

    def take_turn(self, turn: str) -> None:
        """Say in the library, for all who have it open, whose turn it is to write from here on.

        Also where it is open for reading: a turn that is nobody's keeps a library from being indexed into.
        """
        ...

    def flush(self) -> None:
        """Write everything to disk now."""
        ...

    def close(self) -> None:
        """Let go of the library; harmless when repeated."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Store(Protocol):
    """Libraries by name."""

    def libraries(self) -> list[str]:
        """Names of all libraries, sorted."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is a library of that name."""
        ...

    def create(self, name: str, contract: Contract) -> Collection:
        """Make an empty library and open it for writing.

        Raises
        ------
        StoreError
            If the name is taken or not allowed.
        """
        ...

    def making(self, name: str, contract: Contract, n_bytes: int = 0) -> AbstractContextManager[Collection]:
        """A library that is there, under its name, only when the block has ended well.

        If it raises, what was written is removed; what a killed one left behind, the next clears away.

        Parameters
        ----------
        name : str
        contract : Contract
        n_bytes : int
            About how much will be written, where that is known: a disk too small is refused at once.

        Raises
        ------
        StoreError
            If the name is taken or not allowed.
        StoreFull
        """
        ...

    def open(self, name: str, *, write: bool = False) -> Collection:
        """Open a library.

        Raises
        ------
        LibraryNotFound, StoreLocked, StoreDamaged, StoreError
        """
        ...

    def generations(self, name: str) -> Generations:
        """What a library is replaced by, and what is kept of it, when it is embedded with another model.

        Raises
        ------
        LibraryNotFound
        """
        ...

    def drop(self, name: str) -> None:
        """Remove a library with all its points, and what is kept of it.

        Raises
        ------
        LibraryNotFound, StoreLocked
        """
        ...

    def close(self) -> None:
        """Close every library opened through this store."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def open_store(
    location: str | Path,
    api_key: str | None = None,
    access: ServerAccess | None = None,
    settings: ServerSettings | None = None,
) -> Store:
    """Open a store: a folder, or the address of a Qdrant server.

    Parameters
    ----------
    location : str or Path
        A folder path (made when a library is created in it), or ``http://`` / ``https://`` address. A
        server's port is 6333 unless the address names one.
    api_key : str, optional
        Of the server.
    access : ServerAccess, optional
        How else the server is reached.
    settings : ServerSettings, optional
        How new libraries are made on the server.

    Raises
    ------
    StoreError
        If the server does not answer or refuses the key.
    """
    if str(location).startswith(("http://", "https://")):
        from specsearch.store.server import ServerStore

        return ServerStore.connect(str(location), api_key, access, settings)
    from specsearch.store.embedded import EmbeddedStore

    return EmbeddedStore(Path(location))
