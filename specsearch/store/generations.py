"""Generations of a library: the same spectra under the vectors of one model and, beside it, of another.

A library's name leads to its current generation; changing where it leads is one step, so that whoever opens
it finds the one or the other, whole. The one before is kept until somebody drops it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from specsearch.errors import StoreError
from specsearch.store.digest import LibraryDigest
from specsearch.store.schema import Contract
from specsearch.store.store import Collection, Store


class Generations(Protocol):
    """The generations of one library: the current, and at most one that is kept beside it."""

    def kept(self) -> Contract | None:
        """Contract of the generation that is kept beside the current one; None where there is none."""
        ...

    def making(self, contract: Contract) -> AbstractContextManager[Collection]:
        """A generation that is made beside the current one, which stays open to all.

        It is complete when the block has ended well, and current after `publish`. If the block raises, what
        was written is removed; what a killed one left behind, the next clears away.

        Raises
        ------
        StoreError
            If one is kept already, or the library is of a kind that has no generations.
        StoreLocked
            If another process makes one.
        StoreFull
        """
        ...

    def publish(self) -> None:
        """Let the library's name lead to the generation that this object has made; the one before is kept."""
        ...

    def open_kept(self) -> Collection:
        """Open the kept generation for reading.

        Raises
        ------
        StoreError
            If none is kept.
        """
        ...

    def turn_back(self) -> None:
        """Let the kept generation and the current one change places."""
        ...

    def drop_kept(self) -> None:
        """Remove the kept generation.

        Raises
        ------
        StoreError
            If none is kept.
        """
        ...


def go_back(store: Store, library: str, finish: Callable[[], None] = lambda: None) -> Contract:
    """Let a library be as it was before it was embedded again; the contract it has now.

    Parameters
    ----------
    store : Store
    library : str
    finish : callable
        Called before the library changes: what is made of vectors is to go.

    Raises
    ------
    StoreError
        If nothing is kept, or spectra came, went or changed since: they would be lost.
    """
    generations = store.generations(library)
    with store.open(library) as current, generations.open_kept() as kept:
        now, then = _records_of(current), _records_of(kept)
        if (now.content, now.points) != (then.content, then.points):
            raise StoreError(
                f"The library {library!r} was changed since it was embedded again ({now.n_points:,} spectra "
                f"now, {then.n_points:,} then): going back would lose that.",
                f'To have the other model for all of them: "specsearch reembed {library} --drop-old", then '
                f'"specsearch reembed {library} --model FILE".',
            )
        contract = kept.contract
        finish()
        generations.turn_back()
    return contract


def require_kept(contract: Contract | None, library: str) -> Contract:
    """The contract of a kept generation.

    Raises
    ------
    StoreError
        If it is None.
    """
    if contract is None:
        raise StoreError(
            f"Nothing older is kept of the library {library!r}.",
            f'"specsearch reembed {library} --model FILE" embeds it again with any model.',
        )
    return contract


def require_none_kept(contract: Contract | None, library: str) -> None:
    """Raise where a generation is kept: a third would fill the disk unseen.

    Raises
    ------
    StoreError
    """
    if contract is not None:
        raise StoreError(
            f"The library {library!r} is still kept as it was embedded before (model "
            f"{contract.encoder_digest[:8]}).",
            f'Remove that first: "specsearch reembed {library} --drop-old", or go back to it: --undo.',
        )


def _records_of(collection: Collection) -> LibraryDigest:
    """Digest of all records without their vectors, which differ between models."""
    digest = LibraryDigest()
    for record in collection.scroll():
        digest.add(record)
    return digest
