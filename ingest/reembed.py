"""A library's spectra embedded again with another model, while searches go on with the old vectors.

What is stored of them is written down first, so that a folder's library is open to others meanwhile. The new
generation takes the library's name only when it was read again and found good. Killed at any moment, the
library is the old one or the new one, and the same command begins again.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.engines import MakeEngine, here
from ingest.settling import require_turn
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import token_input
from specsearch.errors import StoreError, StoreFull, StoreLocked
from specsearch.store.archive import Archive
from specsearch.store.digest import LibraryDigest
from specsearch.store.points import Point
from specsearch.store.queries import Record
from specsearch.store.schema import Contract
from specsearch.store.spectra import spectrum_of
from specsearch.store.store import Collection, Store
from specsearch.store.transfer import Watcher, back_up
from specsearch.store.vectors import contract_of, sparse_vectors

Check = Callable[[Collection, Sequence[str]], None]
"""Looks at a generation that was made, and at a sample of its point ids; raises unless it is good."""

_WINDOW = 2_048
_STAGED = Path("reembed") / "before.specsearch"
_POLL_S = 0.2
_PATIENCE_S = 600.0  # for a search that has the library open, after work that may have taken hours


def reembed(
    library: str,
    store: Store,
    embedder: Embedder,
    work: Path,
    check: Check,
    *,
    n_set_aside: int = 0,
    n_sampled: int = 200,
    finish: Callable[[], None] = lambda: None,
    watcher: Watcher | None = None,
    make_engine: MakeEngine = here,
) -> bool:
    """Embed a library again; ids, records, peaks and the ledger stay as they are.

    Parameters
    ----------
    library : str
    store : Store
    embedder : Embedder
        With the new model.
    work : Path
        Folder where the library's records are written down meanwhile.
    check : callable
    n_set_aside : int
        Spectra that were taken out of the library and may come back.
    n_sampled : int
        How many point ids the check is given.
    finish : callable
        Called when all is good, before the library changes: what is made of vectors is to go.
    watcher : Watcher, optional
    make_engine : MakeEngine

    Returns
    -------
    bool
        False if this model had embedded it already: nothing was done.

    Raises
    ------
    StoreError
        If the generation that was made is not good, somebody changed the library meanwhile, or spectra are
        set aside, whose vectors would not follow. The library is then as it was.
    """
    watcher = watcher or Watcher()
    contract = contract_of(embedder.card)
    with store.open(library) as old:
        if old.contract.is_same(contract):
            return False
        turn = old.turn()
    require_none_aside(n_set_aside, library)
    generations, staged = store.generations(library), work / _STAGED
    try:
        with _in_words(), generations.making(contract) as made:
            if turn is not None:
                made.take_turn(turn)  # the ledger speaks of the new generation as it did of the old one
            _write_down(store, library, staged, watcher)
            with Archive(staged) as archive:
                before = archive.manifest
                sent = _fill(made, archive, embedder, make_engine, watcher)
            watcher.begin("building the search index")
            made.optimize()
            sample = _require_same(made, sent, n_sampled, watcher)
            watcher.begin("embedding and searching a sample")
            check(made, sample)
        with _opened_soon(store, library, watcher) as old, _nobody_s_turn(old) as turn:
            now = _digest(old, watcher)
            if (now.content, now.points) != (before.content_digest, before.points_digest):
                raise StoreError(
                    f"The library {library!r} changed while it was embedded again, and is left as it is.",
                    "Wait until nobody indexes into it, then run the same command again.",
                )
            finish()
            require_turn(old, turn)
            generations.publish()
    finally:
        shutil.rmtree(staged.parent, ignore_errors=True)
    return True


def require_none_aside(n_set_aside: int, library: str) -> None:
    """Raise if spectra of a library are set aside, whose vectors would not follow.

    Raises
    ------
    StoreError
    """
    if n_set_aside:
        raise StoreError(
            f"{n_set_aside:,} spectra that dedup took out of {library!r} have vectors of the old model.",
            f'Put them back first: "specsearch dedup {library} --undo"; dedup again afterwards.',
        )


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except StoreFull as error:
        step = "Free some space and run the same command again; the library is as it was."
        raise StoreFull(error.message, step) from error


def _write_down(store: Store, library: str, path: Path, watcher: Watcher) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with store.open(library) as old:
        back_up(old, path, watcher=watcher)


def _fill(
    made: Collection, archive: Archive, embedder: Embedder, make_engine: MakeEngine, watcher: Watcher
) -> LibraryDigest:
    """Embed and write all records; the digest of what was to be written, without the embeddings."""
    sent, manifest = LibraryDigest(), archive.manifest
    is_same_recipe = _recipe(manifest.contract) == _recipe(made.contract)

    def write(records: list[Record], embeddings: NDArray[np.float32]) -> None:
        for record in records:
            sent.add(replace(record, embedding=None))
        pairs = zip(records, embeddings, strict=True)
        made.upsert([Point(r.point_id, vector, r.peaks, r.losses, r.payload) for r, vector in pairs])
        watcher.advance(len(records))

    watcher.begin(f"embedding {made.name}", manifest.n_points)
    under_way: deque[tuple[list[Record], Future[NDArray[np.float32]]]] = deque()
    remaining = archive.records()
    with make_engine(embedder, manifest.n_points) as engine:
        while records := list(islice(remaining, _WINDOW)):
            inputs = [token_input(spectrum_of(record)) for record in records]
            if not is_same_recipe:
                peaks, losses = sparse_vectors([item.peaks for item in inputs])
                pairs = zip(records, peaks, losses, strict=True)
                records = [replace(record, peaks=p, losses=loss) for record, p, loss in pairs]
            under_way.append((records, engine.submit(inputs)))
            if len(under_way) > engine.n_at_once:
                oldest, embedded = under_way.popleft()
                write(oldest, embedded.result())
        for records, embedded in under_way:
            write(records, embedded.result())
    return sent


def _recipe(contract: Contract) -> tuple[str, str]:
    """What peaks and losses are made by."""
    return contract.cleaning_recipe, contract.sparse_recipe


def _require_same(made: Collection, sent: LibraryDigest, n_sampled: int, watcher: Watcher) -> list[str]:
    """Compare all that is stored but the embeddings with what was sent; a sample of the point ids."""
    n_points = made.count()
    rows = set(np.random.default_rng(0).permutation(n_points)[:n_sampled].tolist())
    kept, sample = LibraryDigest(), []
    watcher.begin(f"comparing {made.name}", n_points)
    for row, record in enumerate(made.scroll(with_vectors=True)):
        kept.add(replace(record, embedding=None))
        if row in rows:
            sample.append(record.point_id)
        watcher.advance(1)
    if (sent.n_points, sent.content, sent.points) != (kept.n_points, kept.content, kept.points):
        raise StoreError(
            f"The store gives back other points ({kept.n_points:,}) than it was given ({sent.n_points:,}); "
            "the library is as it was.",
            "Run the same command again; if it happens again, look at the store's disk.",
        )
    return sample


@contextmanager
def _opened_soon(store: Store, library: str, watcher: Watcher) -> Iterator[Collection]:
    """The library, as soon as nobody else has it open."""
    ends = time.monotonic() + _PATIENCE_S
    while True:
        try:
            collection = store.open(library)
            break
        except StoreLocked:
            if time.monotonic() > ends:
                raise
        watcher.begin(f"waiting until nobody has {library} open")
        time.sleep(_POLL_S)
    with collection:
        yield collection


@contextmanager
def _nobody_s_turn(collection: Collection) -> Iterator[str]:
    """Nobody goes on indexing into a library meanwhile, nor, once the block has ended well, afterwards."""
    before, turn = collection.turn(), uuid.uuid4().hex
    collection.take_turn(turn)
    try:
        yield turn
    except BaseException:
        with suppress(StoreError):  # then the next indexing makes its ledger again
            if before is not None and collection.turn() == turn:
                collection.take_turn(before)
        raise


def _digest(collection: Collection, watcher: Watcher) -> LibraryDigest:
    watcher.begin(f"looking at {collection.name} again", collection.count())
    digest = LibraryDigest()
    for record in collection.scroll(with_vectors=True):
        digest.add(record)
        watcher.advance(1)
    return digest
