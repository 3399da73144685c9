"""Writing into what is served: by the command line's own road, and seen whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from specsearch.errors import (
    InputFileError,
    InvalidSpectrum,
    LibraryNotFound,
    ParseError,
    Skipped,
    SpecsearchError,
    StoreError,
    StoreFull,
)
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.parquet import write_parquet
from specsearch.spectra.writers.record import writable_fields
from specsearch.store.names import require_library_name
from specsearch.store.store import Store
from specsearch.web.reading import SentFile
from specsearch.web.served import Served

_NAME = "upload.parquet"


class ReadOnly(SpecsearchError):
    """A server that does not write."""


@dataclass(frozen=True)
class Written:
    """What became of a file; `n_read` is what was indexed of it, now or before, and what was skipped."""

    n_read: int
    n_indexed: int
    n_in_library: int
    skipped: list[Skipped]


Index = Callable[[Store, str, Path], Written]
"""Indexes a file into a library of a store, which nobody else has open; twice is the same as once."""


class Writer:
    """Writes into the libraries that are served; its calls run while nothing else is asked.

    Parameters
    ----------
    served : Served
    store : Store
        Where its libraries are open.
    index : callable
    beside : callable
        From a library's name to the folder where its map and its receipt are kept.
    """

    def __init__(self, served: Served, store: Store, index: Index, beside: Callable[[str], Path]) -> None:
        self._served = served
        self._store = store
        self._index = index
        self._beside = beside

    def write(self, library: str, sent: SentFile) -> Written:
        """Index what was sent into a library, made where there is none.

        Raises
        ------
        ParseError
            If no library can have this name.
        InputFileError
            If nothing in the file can be used, or there is more in it than is taken at once.
        LibraryNotFound
            If the library is there, but not served.
        StoreError
            As the store says; the same file sent again goes on where this ended.
        """
        self._require_name(library)
        if not sent.is_complete:
            raise InputFileError(
                f"Reading {sent.name} ended after {sent.ended_by}, and there is more in it: "
                "nothing of it was indexed.",
                'Send it in smaller parts, or use "specsearch index" there.',
            )
        with TemporaryDirectory(prefix="specsearch-") as folder:
            path = Path(folder) / _NAME
            skipped = [*sent.skipped, *_write_out(path, sent)]
            written = self._indexed(library, path)
        own = [replace(one, source=sent.name) for one in written.skipped]
        n_read = written.n_read + len(skipped)
        return replace(written, n_read=n_read, skipped=[*skipped, *own])

    def _require_name(self, library: str) -> None:
        try:
            require_library_name(library)
        except StoreError as error:
            raise ParseError(error.message, error.next_step) from None
        if library not in self._served.collections and self._store.exists(library):
            step = "Whoever runs the server can serve it, too (--library)."
            raise LibraryNotFound(f"The library {library!r} is there, but not served.", step)

    def _indexed(self, library: str, path: Path) -> Written:
        """Let go of the library, index, and open it again: the embedded engine has one opener."""
        served = self._served
        try:
            if library in served.collections:
                served.collections[library].close()
            return self._index(self._store, library, path)
        finally:
            if self._store.exists(library):
                served.take_up(self._store.open(library), self._beside(library))


def _write_out(path: Path, sent: SentFile) -> list[Skipped]:
    """Write the spectra to a file in a format that keeps everything; what cannot be written is returned.

    Raises
    ------
    InputFileError
        If nothing can.
    StoreFull
    """
    kept: list[Spectrum] = []
    skipped: list[Skipped] = []
    for number, spectrum in enumerate(sent.spectra, 1):
        try:
            writable_fields(spectrum)
            kept.append(spectrum)
        except InvalidSpectrum as fault:
            where, name = f"spectrum {number}", spectrum.accession
            skipped.append(Skipped(sent.name, where, fault.reason, name, fault.detail))
    if not kept:
        reasons = dict.fromkeys(one.reason for one in [*sent.skipped, *skipped])
        said = ", ".join(reasons) or "there is none"
        raise InputFileError(f"No spectrum in {sent.name} can be indexed: {said}.", "Send another file.")
    try:
        write_parquet(path, kept)
    except InputFileError as error:
        raise StoreFull(error.message, error.next_step) from error
    return skipped
