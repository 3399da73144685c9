"""What is done: one SQLite file per library, written only after the store has acknowledged.

A window is done when its points are in the store; its names, complaints and counts are committed in
the same transaction. Whatever a killed run left half-done is found and taken back at the next start.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from specsearch.errors import Skipped, StoreError, StoreFull

_SCHEMA = """
CREATE TABLE IF NOT EXISTS windows (
    key TEXT PRIMARY KEY, source TEXT NOT NULL, n_read INTEGER NOT NULL, n_indexed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS spectra (
    accession TEXT PRIMARY KEY, content BLOB NOT NULL, splash TEXT NOT NULL, window TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spectra_by_splash ON spectra (splash);
CREATE INDEX IF NOT EXISTS spectra_by_window ON spectra (window);
CREATE TABLE IF NOT EXISTS skipped (
    window TEXT NOT NULL, source TEXT NOT NULL, position TEXT NOT NULL, reason TEXT NOT NULL,
    accession TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS noted (window TEXT NOT NULL, note TEXT NOT NULL, accession TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS turns (turn TEXT PRIMARY KEY) WITHOUT ROWID;
"""
LIST_PARTS = "SELECT type, name FROM sqlite_master"
_LIST_COLUMNS = (
    "SELECT part.name, GROUP_CONCAT(field.name) FROM sqlite_master part, pragma_table_info(part.name) field "
    "WHERE part.type = 'table' GROUP BY part.name"
)
_MADE_AGAIN = "it is made again from the library at the next indexing."
_FOUND = "found in the library"  # the window of spectra that this ledger did not see being indexed
_MAX_VARIABLES = 500  # SQLite allows more, older builds not much more


@dataclass(frozen=True)
class Claim:
    """A spectrum's name in the library, and what it names.

    Parameters
    ----------
    accession : str
    content : bytes
        Digest of the whole record.
    splash : str
    """

    accession: str
    content: bytes
    splash: str


class Ledger:
    """The ledger of one library.

    Parameters
    ----------
    path : Path
        SQLite file; made where there is none.

    Raises
    ------
    StoreError
        If it cannot be opened, is no ledger, or one of another version.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()  # the pipeline's reading and writing threads share the connection
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            _require_our_columns(self._db, path)
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"The ledger {path} cannot be opened ({error}).",
                f"Check the folder's permissions; one that is damaged may be removed: {_MADE_AGAIN}",
            ) from error

    def unfinished(self) -> list[str]:
        """Accessions claimed by windows that were never acknowledged."""
        rows = self._db.execute(
            "SELECT accession FROM spectra WHERE window NOT IN (SELECT key FROM windows)"
        ).fetchall()
        return [accession for (accession,) in rows]

    def forget_unfinished(self) -> None:
        """Take back the claims of windows that were never acknowledged."""
        self._db.execute("DELETE FROM spectra WHERE window NOT IN (SELECT key FROM windows)")

    def n_spectra(self) -> int:
        """How many spectra the library should hold."""
        return int(self._db.execute("SELECT COUNT(*) FROM spectra").fetchone()[0])

    def sample(self, n: int) -> list[tuple[str, bytes]]:
        """Name and content digest of some spectra that should be in the library, the same at every call."""
        return self._db.execute(
            "SELECT accession, content FROM spectra WHERE window IN (SELECT key FROM windows) "
            "ORDER BY content LIMIT ?",  # a digest: as good as drawn by lot
            (n,),
        ).fetchall()

    def turns(self) -> set[str]:
        """Turns to write that this ledger's owner took; more than one only after it was killed."""
        return {turn for (turn,) in self._db.execute("SELECT turn FROM turns")}

    def note_turn(self, turn: str) -> None:
        """Say that a turn is about to be taken."""
        with self._transaction() as db:
            db.execute("INSERT INTO turns VALUES (?)", (turn,))

    def keep_turn(self, turn: str) -> None:
        """Say that a turn was taken, and that ledger and library agree."""
        with self._transaction() as db:
            db.execute("DELETE FROM turns WHERE turn != ?", (turn,))

    def accessions(self) -> Iterator[str]:
        """Names of all spectra that the library should hold, read as they are asked for."""
        return (accession for (accession,) in self._db.execute("SELECT accession FROM spectra"))

    def rebuild(self, claims: Iterable[Claim]) -> None:
        """Start over from what the library really holds; every source will be read again."""
        with self._transaction() as db:
            for table in ("windows", "spectra", "skipped", "noted"):
                db.execute(f"DELETE FROM {table}")
            db.execute("INSERT INTO windows VALUES (?, '', 0, 0)", (_FOUND,))
            db.executemany("INSERT INTO spectra VALUES (?, ?, ?, ?)", _rows(_FOUND, claims))

    def is_done(self, window: str) -> bool:
        """Whether a window's points are in the store."""
        return self._db.execute("SELECT 1 FROM windows WHERE key = ?", (window,)).fetchone() is not None

    def known(self, accessions: Sequence[str]) -> dict[str, bytes]:
        """Content digests of those accessions that are taken."""
        found: dict[str, bytes] = {}
        for start in range(0, len(accessions), _MAX_VARIABLES):
            part = accessions[start : start + _MAX_VARIABLES]
            marks = ",".join("?" * len(part))
            query = f"SELECT accession, content FROM spectra WHERE accession IN ({marks})"
            found.update(self._db.execute(query, part).fetchall())
        return found

    def owner_of_splash(self, splash: str) -> str | None:
        """Some accession with this SPLASH, or None."""
        row = self._db.execute("SELECT accession FROM spectra WHERE splash = ? LIMIT 1", (splash,)).fetchone()
        return None if row is None else str(row[0])

    def claim(self, window: str, claims: Iterable[Claim]) -> None:
        """Reserve names for a window that is about to be indexed."""
        with self._transaction() as db:
            db.executemany("INSERT INTO spectra VALUES (?, ?, ?, ?)", _rows(window, claims))

    def finish(
        self,
        window: str,
        source: str,
        n_read: int,
        n_indexed: int,
        skipped: Iterable[Skipped] = (),
        noted: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Tick a window off; call it after the store has acknowledged its points."""
        with self._transaction() as db:
            db.execute("INSERT INTO windows VALUES (?, ?, ?, ?)", (window, source, n_read, n_indexed))
            db.executemany(
                "INSERT INTO skipped VALUES (?, ?, ?, ?, ?, ?)",
                [(window, s.source, s.position, s.reason, s.accession, s.detail) for s in skipped],
            )
            db.executemany("INSERT INTO noted VALUES (?, ?, ?)", [(window, *pair) for pair in noted])

    def n_duplicates(self) -> int:
        """How many spectra of the library repeat the SPLASH of another."""
        row = self._db.execute("SELECT COUNT(*) - COUNT(DISTINCT splash) FROM spectra").fetchone()
        return int(row[0])

    def totals(self, source: str) -> tuple[int, int]:
        """Spectra read and indexed of a source, by its content hash."""
        row = self._db.execute(
            "SELECT COALESCE(SUM(n_read), 0), COALESCE(SUM(n_indexed), 0) FROM windows WHERE source = ?",
            (source,),
        ).fetchone()
        return int(row[0]), int(row[1])

    def skipped(self, source: str) -> list[Skipped]:
        """All complaints about a source, in the order of the file."""
        rows = self._db.execute(
            "SELECT s.source, s.position, s.reason, s.accession, s.detail FROM skipped s "
            "JOIN windows w ON w.key = s.window WHERE w.source = ? ORDER BY s.rowid",
            (source,),
        ).fetchall()
        return [Skipped(*row) for row in rows]

    def notes(self, source: str) -> list[tuple[str, str]]:
        """Everything noticed about a source's spectra: (note, accession)."""
        return self._db.execute(
            "SELECT n.note, n.accession FROM noted n JOIN windows w ON w.key = n.window "
            "WHERE w.source = ? ORDER BY n.rowid",
            (source,),
        ).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _in_words():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # of a full disk SQLite takes it back by itself
                    self._db.execute("ROLLBACK")
                raise

    def parts(self) -> set[tuple[str, str]]:
        """Kind and name of every table and index."""
        return set(self._db.execute(LIST_PARTS).fetchall())

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _require_our_columns(db: sqlite3.Connection, path: Path) -> None:
    """Raise if a table that is there has other columns than ours: a ledger says no version of itself."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(_SCHEMA)
        ours = dict(fresh.execute(_LIST_COLUMNS).fetchall())
    theirs = dict(db.execute(_LIST_COLUMNS).fetchall())
    if any(theirs[table] != ours[table] for table in theirs.keys() & ours.keys()):
        raise StoreError(
            f"The ledger {path} was written by another version of specsearch.", f"Remove it: {_MADE_AGAIN}"
        )


@contextmanager
def _in_words() -> Iterator[None]:
    """SQLite's complaints as ours.

    Raises
    ------
    StoreError
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        kind = StoreFull if error.sqlite_errorcode == sqlite3.SQLITE_FULL else StoreError
        raise kind(
            f"The ledger of the library cannot be written ({error}).",
            "Free some space, or end whoever else writes to it; then run the same command again.",
        ) from error


def _rows(window: str, claims: Iterable[Claim]) -> Iterator[tuple[str, bytes, str, str]]:
    return ((claim.accession, claim.content, claim.splash, window) for claim in claims)
