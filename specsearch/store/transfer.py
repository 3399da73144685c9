"""Whole libraries from one store to another, and into archives and out of them.

Points are streamed, so that memory does not grow with a library. A library that is made appears under its
name only when what its store gives back, every payload and every vector, is what was put in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from specsearch.errors import StoreDamaged, StoreError, StoreFull
from specsearch.store.archive import Archive, write_archive
from specsearch.store.digest import LibraryDigest
from specsearch.store.manifest import Manifest
from specsearch.store.points import Point, point_id
from specsearch.store.queries import Record
from specsearch.store.schema import SPECTRA, Contract, Key
from specsearch.store.store import Collection, Store

_BATCH = 1_000


class Watcher:
    """What a transfer tells whoever watches; this one says nothing."""

    def begin(self, stage: str, n_points: int | None = None) -> None:
        """A stage begins, of so many points if that is known."""

    def advance(self, n_points: int) -> None:
        """So many points more are done."""


@dataclass(frozen=True)
class _Origin:
    """A library to be made again: its name, contract, points, and how many bytes and points there are."""

    library: str
    contract: Contract
    n_points: int
    records: Iterable[Record]
    n_bytes: int = 0
    check: Callable[[LibraryDigest], None] = lambda digest: None


def back_up(
    collection: Collection, path: Path, ledger: Path | None = None, watcher: Watcher | None = None
) -> Manifest:
    """Write a library into an archive; see `specsearch.store.archive.write_archive`.

    Parameters
    ----------
    collection : Collection
    path : Path
    ledger : Path, optional
        A copy of the ledger of its ingest, made while nobody indexed.
    watcher : Watcher, optional

    Raises
    ------
    StoreError
        If somebody changes the library meanwhile, or it holds no spectra.
    InputFileError
        If the archive cannot be written.
    """
    origin = _of_collection(collection)
    _require_spectra(origin)
    records = _watched(origin.records, watcher or Watcher(), f"reading {origin.library}", origin.n_points)
    return write_archive(path, origin.library, origin.contract, records, ledger, check=origin.check)


def restore(
    archive: Archive,
    store: Store,
    name: str,
    finish: Callable[[], None] = lambda: None,
    watcher: Watcher | None = None,
) -> LibraryDigest:
    """Make a library of an archive.

    Parameters
    ----------
    archive : Archive
    store : Store
    name : str
        Free there; another name than the archive's gives the spectra other ids.
    finish : callable
        Called when the points are safe and before the library can be seen.
    watcher : Watcher, optional

    Raises
    ------
    StoreError
        If the name is taken, or the points that arrived are not those that were sent.
    StoreDamaged
        If the archive is not what was written.
    StoreFull
    """
    manifest = archive.manifest

    def check(digest: LibraryDigest) -> None:
        said = (manifest.n_points, manifest.content_digest, manifest.points_digest)
        if said != (digest.n_points, digest.content, digest.points):
            raise StoreDamaged("The points in the archive are not those that its manifest speaks of.")

    origin = _Origin(
        manifest.library, manifest.contract, manifest.n_points, archive.records(), archive.n_bytes, check
    )
    return _make(origin, store, name, finish, watcher or Watcher())


def copy(
    collection: Collection,
    store: Store,
    name: str,
    finish: Callable[[], None] = lambda: None,
    watcher: Watcher | None = None,
) -> LibraryDigest:
    """Make a library of another one; parameters and errors as in `restore` and `back_up`."""
    return _make(_of_collection(collection), store, name, finish, watcher or Watcher())


def _of_collection(collection: Collection) -> _Origin:
    n_points = collection.count()

    def check(digest: LibraryDigest) -> None:
        if not n_points == digest.n_points == collection.count():
            raise StoreError(
                f"The library {collection.name!r} changed while it was read.",
                "Wait until nobody indexes into it, then run the same command again.",
            )

    records = collection.scroll(batch=_BATCH, with_vectors=True)
    return _Origin(collection.name, collection.contract, n_points, records, check=check)


def _make(
    origin: _Origin, store: Store, name: str, finish: Callable[[], None], watcher: Watcher
) -> LibraryDigest:
    _require_spectra(origin)
    try:
        with store.making(name, origin.contract, origin.n_bytes) as made:
            sent = _fill(made, origin, watcher)
            watcher.begin("building the search index")
            made.optimize()
            kept = _read_again(made, watcher)
            _require_same(sent, kept, is_renamed=name != origin.library)
            finish()
    except StoreFull as error:
        raise StoreFull(
            error.message, "Free some space and run the same command again; nothing of it was left there."
        ) from error
    return kept


def _require_spectra(origin: _Origin) -> None:
    if origin.contract.layout != SPECTRA:
        raise StoreError(
            f"{origin.library!r} holds candidate molecules, not spectra.",
            "Make the bank again from its files.",
        )


def _fill(made: Collection, origin: _Origin, watcher: Watcher) -> LibraryDigest:
    """Write all points and return the digest of what was to be written, under its old name."""
    sent = LibraryDigest()
    records = _watched(origin.records, watcher, f"writing {made.name}", origin.n_points)
    while batch := list(islice(records, _BATCH)):
        for record in batch:
            sent.add(record)
        if made.name != origin.library:
            batch = [_renamed(record, made.name) for record in batch]
        made.upsert([_point(record) for record in batch])
    origin.check(sent)
    return sent


def _read_again(made: Collection, watcher: Watcher) -> LibraryDigest:
    kept = LibraryDigest()
    records = made.scroll(batch=_BATCH, with_vectors=True)
    for record in _watched(records, watcher, f"comparing {made.name}", made.count()):
        kept.add(record)
    return kept


def _require_same(sent: LibraryDigest, kept: LibraryDigest, *, is_renamed: bool) -> None:
    is_same = (sent.n_points, sent.points) == (kept.n_points, kept.points)
    if not (is_same and (is_renamed or sent.content == kept.content)):
        raise StoreError(
            f"The store gives back other points ({kept.n_points:,}) than it was given ({sent.n_points:,}); "
            "nothing was made of them.",
            "Run the same command again; if it happens again, look at the store's disk.",
        )


def _watched(records: Iterable[Record], watcher: Watcher, stage: str, n_points: int) -> Iterator[Record]:
    watcher.begin(stage, n_points)
    remaining = iter(records)
    while batch := list(islice(remaining, _BATCH)):
        yield from batch
        watcher.advance(len(batch))


def _renamed(record: Record, library: str) -> Record:
    """The same spectrum in a library of another name: its id is made of both names."""
    accession = str(record.payload.get(Key.ACCESSION, ""))
    names = {Key.LIBRARY: library, Key.SPECTRUM_ID: f"{library}:{accession}"}
    return replace(record, point_id=point_id(library, accession), payload={**record.payload, **names})


def _point(record: Record) -> Point:
    if record.embedding is None:
        raise StoreDamaged(f"The point {record.point_id} has no embedding.", "Index the library again.")
    return Point(record.point_id, record.embedding, record.peaks, record.losses, record.payload)
