"""A ledger that travels with its library: copied, brought to another place, or taken away."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from ingest.ledger import LIST_PARTS, Ledger
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


def receive_ledger(pieces: Iterable[bytes], target: Path) -> None:
    """Write down a ledger that came from elsewhere, and look whether it is one.

    Raises
    ------
    StoreDamaged
        Unless it is sound and has our tables and nothing else: no triggers, no views.
    """
    with target.open("wb") as file:
        file.writelines(pieces)
    with Ledger(Path(":memory:")) as empty:
        ours = empty.parts()
    try:
        with closing(_reading(target)) as db:
            found = set(db.execute(LIST_PARTS).fetchall())
            is_sound = found <= ours and db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise StoreDamaged(f"The ledger in the archive cannot be read: {error}.") from error
    if not is_sound:
        raise StoreDamaged("The ledger in the archive is damaged, or is something else.")


def place_ledger(source: Path | None, target: Path) -> None:
    """Put a ledger where a library's ledger belongs, instead of what is there; None leaves none there.

    An old one would speak of another library of that name.
    """
    remove_ledger(target)
    if source is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def remove_ledger(path: Path) -> None:
    """Remove a ledger; harmless where there is none."""
    for name in (path.name, *(path.name + end for end in _BESIDE)):
        path.with_name(name).unlink(missing_ok=True)


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
