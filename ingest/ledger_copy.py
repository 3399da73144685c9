"""A ledger that travels with its library: copied, brought to another place, or taken away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from ingest.ledger import Ledger
from specsearch.errors import StoreDamaged, StoreError
from specsearch.spectra.writers.atomic import replacing

_BESIDE = ("-wal", "-shm")  # SQLite's own files beside a ledger


def copy_ledger(source: Path, target: Path) -> None:
    """Copy a ledger into one file, as it is at this moment.

    Raises
    ------
    StoreError
        If it is no ledger, or the copy cannot be written.
    """
    try:
        with closing(_reading(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
    except sqlite3.Error as error:
        raise StoreError(
            f"The ledger {source} cannot be copied to {target} ({error}).",
            "Check free space and permissions; a ledger that is damaged may be removed: it is made again.",
        ) from error


def place_ledger(path: Path, pieces: Iterable[bytes] | None) -> None:
    """Put a ledger where a library's ledger belongs, instead of what is there; None leaves none there.

    An old one would speak of another library of that name.

    Raises
    ------
    StoreDamaged
        If the pieces are no ledger.
    """
    remove_ledger(path)
    if pieces is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            file.writelines(pieces)
        _require_ledger(temporary)


def remove_ledger(path: Path) -> None:
    """Remove a ledger; harmless where there is none."""
    for name in (path.name, *(path.name + end for end in _BESIDE)):
        path.with_name(name).unlink(missing_ok=True)


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _require_ledger(path: Path) -> None:
    """Raise unless a file is a sound ledger with our tables and nothing else: no triggers, no views."""
    with Ledger(Path(":memory:")) as empty:
        ours = empty.shape()
    try:
        with closing(_reading(path)) as db:
            found = set(db.execute("SELECT type, name, sql FROM sqlite_master").fetchall())
            is_sound = found == ours and db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise StoreDamaged(f"The ledger in the archive cannot be read: {error}.") from error
    if not is_sound:
        raise StoreDamaged("The ledger in the archive is damaged, or is something else.")
