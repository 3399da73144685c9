"""Ledger and library made to agree before anything is written, and whose turn it is to write.

On this machine a lock keeps two commands from one ledger. A library on a server may be written to from other
machines, each with a ledger of its own: whoever begins takes the turn and says so in the library; whoever
wrote before finds out before it ticks anything off, and ends.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ingest.ledger import Claim, Ledger
from specsearch.errors import StoreError, StoreLocked
from specsearch.store.points import point_id
from specsearch.store.schema import Key
from specsearch.store.set_aside import count_set_aside, finish_setting_aside
from specsearch.store.store import Collection

_LEDGER = "ledger.sqlite"
_LOCK = "ledger.lock"
_N_COMPARED = 100


def ledger_path(work: Path) -> Path:
    """Where the ledger lies in a library's work folder."""
    return work / _LEDGER


@contextmanager
def held_ledger(library: str, work: Path) -> Iterator[Ledger]:
    """The ledger of a library, which no other command of this machine may write to meanwhile.

    Raises
    ------
    StoreLocked
        If another one holds it.
    StoreError
        If it cannot be opened.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / _LOCK, timeout=0, thread_local=False)
        lock.acquire()
    except Timeout as error:
        raise StoreLocked(
            f"Another command indexes into the library {library!r}.",
            "Wait until it is done, then run the same command again.",
        ) from error
    except OSError as error:
        raise StoreError(
            f"The folder {work} cannot be written ({error.strerror}).", "Check its permissions."
        ) from error
    try:
        with Ledger(ledger_path(work)) as ledger:
            yield ledger
    finally:
        lock.release()


def settle(library: str, collection: Collection, ledger: Ledger, aside: Path | None = None) -> str:
    """Make ledger and library agree, whatever ended the last run: what was acknowledged stays.

    Parameters
    ----------
    library : str
    collection : Collection
        Open for writing.
    ledger : Ledger
    aside : Path, optional
        Folder of spectra that were taken out of the library on purpose, and are not to come back: the ledger
        knows them. What a killed run has not yet taken out goes now.

    Returns
    -------
    str
        The turn that was taken, for `require_turn`.
    """
    n_set_aside = 0
    if aside is not None:
        finish_setting_aside(collection, aside)
        n_set_aside = count_set_aside(aside)
    knows_it = _speaks_of(library, collection, ledger, n_set_aside)
    turn = uuid.uuid4().hex
    ledger.note_turn(turn)  # first: if this is killed between the two, they still agree
    collection.take_turn(turn)
    if knows_it:
        _take_back_unfinished(library, collection, ledger)
    n_there = collection.count()
    if not knows_it or ledger.n_spectra() not in (n_there, n_there + n_set_aside):
        ledger.rebuild(_claims(collection))
    ledger.keep_turn(turn)
    return turn


def require_turn(collection: Collection, turn: str) -> None:
    """Raise if another command has taken the turn since.

    Raises
    ------
    StoreError
    """
    if collection.turn() != turn:
        raise StoreError(
            f"Another command has begun to write to the library {collection.name!r}, from another machine or "
            "with another work folder; this one has ended, and nothing that it told of is lost.",
            "Wait until the other is done, then run the same command again to go on.",
        )


def _speaks_of(library: str, collection: Collection, ledger: Ledger, n_set_aside: int) -> bool:
    """Whether a ledger is that of this library, and nobody has written to it with another since."""
    if (turn := collection.turn()) is not None:
        return turn in ledger.turns()
    # Not indexed into since it was made by another version, restored or copied: then names tell.
    known = {point_id(library, name): content for name, content in ledger.sample(_N_COMPARED)}
    found = collection.fetch(list(known))
    are_same = all(record.payload[Key.CONTENT] == known[key].hex() for key, record in found.items())
    return are_same and len(known) - len(found) <= n_set_aside


def _take_back_unfinished(library: str, collection: Collection, ledger: Ledger) -> None:
    """Undo windows that a killed run had begun: their source may have changed since."""
    if names := ledger.unfinished():
        collection.delete([point_id(library, name) for name in names])
        ledger.forget_unfinished()


def _claims(collection: Collection) -> Iterator[Claim]:
    """What a library really holds."""
    for record in collection.scroll():
        told = record.payload
        yield Claim(told[Key.ACCESSION], bytes.fromhex(told[Key.CONTENT]), told[Key.SPLASH])
