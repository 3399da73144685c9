"""One opener of one library folder: the lock, the check before, the seal after."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from specsearch.errors import StoreError, StoreLocked
from specsearch.store.integrity import mark_open, seal, verify

LOCK = "lock"


class Session:
    """The right to use a library's files, held until `leave` or `abandon`.

    Parameters
    ----------
    library : Path
        Folder of the library, or of a generation of it, which exists.
    name : str, optional
        Of the library, where it is not that of the folder.

    Raises
    ------
    StoreLocked
        If another opener holds it.
    StoreError
        If the folder cannot be written.
    """

    def __init__(self, library: Path, name: str = "") -> None:
        self.library = library
        self.name = name or library.name
        self.needs_seal = False
        self.was_sealed = False  # until the files were compared with the seal
        # Of the session, not of the thread that began it: another may end it.
        self._lock = FileLock(library / LOCK, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise StoreLocked(
                f"The library {self.name!r} is open in another process, or elsewhere in this one.",
                "Wait until it is done or end it; for several at a time, use a Qdrant server.",
            ) from error
        except OSError as error:
            raise StoreError(
                f"The folder {library} cannot be written ({error.strerror}).",
                "The embedded engine keeps a lock and a log there, even for a search: allow writing, or "
                "copy the library to a folder where it is allowed.",
            ) from error

    def begin(self, *, write: bool) -> None:
        """Check the files; a writer, or a reader after a crash, owes a new seal.

        Raises
        ------
        StoreDamaged
            If a file is not what was sealed.
        """
        self.was_sealed = verify(self.library)
        self.needs_seal = write or not self.was_sealed
        if write and self.was_sealed:
            mark_open(self.library)

    def leave(self) -> None:
        """Seal what was closed, and let go."""
        try:
            if self.needs_seal:
                seal(self.library)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go without a seal: after an error, and before the folder is removed; harmless when repeated."""
        self._lock.release()
