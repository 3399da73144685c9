"""One file that holds a library: a zip of points, ledger and manifest, with a seal at its end.

``points.jsonl`` has a line per point (see `archive_lines`), ``ledger.sqlite`` is there where an ingest has
left one, and ``manifest.json``, the last, has sizes and checksums of both. The zip's comment, the last 64
bytes of the file, is the SHA-256 of all before it: a file that was cut short or changed in any byte is
known before anything of it is believed. Nothing is ever unpacked under a name that the archive gives.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final, Self

from specsearch.errors import InputFileError, StoreDamaged
from specsearch.spectra.writers.atomic import replacing
from specsearch.store.archive_lines import read_line, write_line
from specsearch.store.digest import LibraryDigest
from specsearch.store.manifest import LEDGER, POINTS, Manifest, Member
from specsearch.store.queries import Record
from specsearch.store.schema import Contract

_MANIFEST: Final = "manifest.json"
_LEVEL = 1  # half of a point is noise to a compressor: level 6 takes three times as long for 3 % less
_SEAL_BYTES = 64
_BLOCK_BYTES = 2**20
_LONGEST_LINE = 2**26
_LARGEST_MANIFEST = 2**20
_NEXT_STEP = "Use another copy of it, or back the library up again."
# What Python's zipfile raises for files that are no zip, or not as they should be.
_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)


def write_archive(
    path: Path,
    library: str,
    contract: Contract,
    records: Iterable[Record],
    ledger: Path | None = None,
    *,
    check: Callable[[LibraryDigest], None] = lambda digest: None,
) -> Manifest:
    """Write a library into an archive, which is there whole or not at all.

    Parameters
    ----------
    path : Path
        Replaced if it is there.
    library : str
    contract : Contract
    records : iterable of Record
        With vectors, in the order of ids; read once.
    ledger : Path, optional
        An SQLite file that nobody writes to.
    check : callable
        Called once all records are read; what it raises keeps the archive from appearing.

    Raises
    ------
    InputFileError
        If it cannot be written.
    """
    with replacing(path) as temporary:
        digest = LibraryDigest()
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
            members = {POINTS: _write_member(archive, POINTS, _lines(records, digest))}
            check(digest)
            if ledger is not None:
                members[LEDGER] = _write_member(archive, LEDGER, _blocks(ledger))
            manifest = Manifest(
                library,
                contract,
                digest.n_points,
                digest.content,
                digest.points,
                members,
                version("specsearch"),
                datetime.now(UTC).isoformat(timespec="seconds"),
            )
            archive.writestr(_MANIFEST, manifest.to_json())
            archive.comment = b"0" * _SEAL_BYTES
        _seal(temporary)
    return manifest


def _lines(records: Iterable[Record], digest: LibraryDigest) -> Iterator[bytes]:
    for record in records:
        digest.add(record)
        yield write_line(record)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _write_member(archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes]) -> Member:
    n_bytes, hashed = 0, hashlib.sha256()
    with archive.open(name, "w", force_zip64=True) as member:
        for piece in pieces:
            member.write(piece)
            hashed.update(piece)
            n_bytes += len(piece)
    return Member(n_bytes, hashed.hexdigest())


def _seal(path: Path) -> None:
    with path.open("r+b") as file:
        seal = _hash_before_seal(file)
        file.seek(-_SEAL_BYTES, os.SEEK_END)
        file.write(seal)
        file.flush()
        os.fsync(file.fileno())


def _hash_before_seal(file: IO[bytes]) -> bytes:
    """SHA-256 of all but the seal; the file is left where the seal begins."""
    left = file.seek(0, os.SEEK_END) - _SEAL_BYTES
    file.seek(0)
    hashed = hashlib.sha256()
    while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
        hashed.update(block)
        left -= len(block)
    return hashed.hexdigest().encode("ascii")


class Archive:
    """An archive that is whole and makes sense; its members are checked as they are read.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputFileError
        If the file cannot be read.
    StoreDamaged
        If it was cut short or changed, or is something else.
    StoreError
        If another version wrote it, in a way that this one does not read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._in_words():
            _require_whole(path)
            self._zip = zipfile.ZipFile(path)
            try:
                self.manifest = self._read_manifest()
            except BaseException:
                self._zip.close()
                raise

    def _read_manifest(self) -> Manifest:
        sizes = {info.filename: info.file_size for info in self._zip.infolist()}
        if sizes.get(_MANIFEST, _LARGEST_MANIFEST + 1) > _LARGEST_MANIFEST:
            raise StoreDamaged(f"{self._path} has no manifest, or none to be believed.", _NEXT_STEP)
        manifest = Manifest.from_json(self._zip.read(_MANIFEST))
        said = {name: member.n_bytes for name, member in manifest.members.items()}
        is_usual = POINTS in said and said.keys() <= {POINTS, LEDGER}
        is_complete = len(self._zip.infolist()) == len(sizes) and sizes == {
            **said,
            _MANIFEST: sizes[_MANIFEST],
        }
        if not (is_usual and is_complete):
            raise StoreDamaged(f"{self._path} holds something else than its manifest says.", _NEXT_STEP)
        return manifest

    @property
    def n_bytes(self) -> int:
        """Size of all that is in it, uncompressed."""
        return sum(member.n_bytes for member in self.manifest.members.values())

    @property
    def has_ledger(self) -> bool:
        """Whether the ledger of an ingest is in it."""
        return LEDGER in self.manifest.members

    def records(self) -> Iterator[Record]:
        """All points with their vectors, in the order of ids.

        Raises
        ------
        StoreDamaged
            After the last, if they are not those that were written.
        """
        with self._in_words(), io.BufferedReader(self._opened(POINTS), _BLOCK_BYTES) as lines:
            pieces = iter(lambda: lines.readline(_LONGEST_LINE), b"")
            yield from map(read_line, self._checked(POINTS, pieces))

    def ledger(self) -> Iterator[bytes]:
        """The ledger's file, piece by piece.

        Raises
        ------
        StoreDamaged
            After the last, if they are not what was written.
        """
        with self._in_words(), self._opened(LEDGER) as member:
            yield from self._checked(LEDGER, iter(lambda: member.read(_BLOCK_BYTES), b""))

    def _opened(self, name: str) -> Any:
        return self._zip.open(name)

    def _checked(self, name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        hashed = hashlib.sha256()
        for piece in pieces:
            hashed.update(piece)
            yield piece
        if hashed.hexdigest() != self.manifest.members[name].sha256:
            raise StoreDamaged(f"{name} in {self._path} is not what was written.", _NEXT_STEP)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except _ZIP_FAULTS as error:
            raise StoreDamaged(f"{self._path} cannot be read: {error}.", _NEXT_STEP) from error
        except OSError as error:
            raise InputFileError(f"{self._path} cannot be read: {error.strerror}.") from error

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _require_whole(path: Path) -> None:
    with path.open("rb") as file:
        expected = _hash_before_seal(file)
        if file.read() != expected:
            raise StoreDamaged(
                f"{path} is not a whole archive of specsearch: it was cut short or changed, or is something "
                "else.",
                _NEXT_STEP,
            )
