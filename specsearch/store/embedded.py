"""The embedded store: a folder of libraries, each a folder of its own.

``<store>/<library>/`` holds ``contract.json`` (a library exists from the moment it does),
``manifest.json``, ``lock`` and ``shard/``, the engine's own files. One that was embedded again has more of
these, see `specsearch.store.embedded_generations`.
"""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from specsearch.errors import LibraryNotFound, StoreError, StoreLocked
from specsearch.store.edge import EdgeCollection
from specsearch.store.edge_making import empty_shard, filling
from specsearch.store.embedded_generations import (
    EmbeddedGenerations,
    forget_generations,
    home_of,
    seems_library,
)
from specsearch.store.integrity import CONTRACT, MANIFEST, SHARD, read_json, write_json
from specsearch.store.names import require_library_name
from specsearch.store.planner import IndexSettings
from specsearch.store.schema import Contract
from specsearch.store.session import Session


class EmbeddedStore:
    """Libraries in a folder; see `specsearch.store.store.Store`.

    One process opens a library at a time, for reading too. Workers are started with ``spawn``.

    Parameters
    ----------
    root : Path
        Made when the first library is created.
    settings : IndexSettings, optional
        For libraries created through this object.
    """

    def __init__(self, root: Path, settings: IndexSettings | None = None) -> None:
        self.root = root
        self._settings = settings or IndexSettings()
        self._opened: weakref.WeakSet[EdgeCollection] = weakref.WeakSet()

    def libraries(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(folder.name for folder in self.root.iterdir() if seems_library(folder))

    def exists(self, name: str) -> bool:
        return (home_of(self._folder(name)) / CONTRACT).is_file()

    def create(self, name: str, contract: Contract) -> EdgeCollection:
        session = self._begun(name)
        try:
            made = empty_shard(session.library, contract, self._settings)
            write_json(session.library / CONTRACT, made.to_dict())
            return self._opened_collection(session, write=True)
        except BaseException:
            session.abandon()
            raise

    @contextmanager
    def making(self, name: str, contract: Contract, n_bytes: int = 0) -> Iterator[EdgeCollection]:
        with filling(self._begun(name), contract, self._settings, n_bytes) as collection:
            self._opened.add(collection)
            yield collection

    def generations(self, name: str) -> EmbeddedGenerations:
        self._existing(name)
        return EmbeddedGenerations(self._folder(name), self._settings)

    def open(self, name: str, *, write: bool = False) -> EdgeCollection:
        home = self._existing(name)
        session = Session(home, name)
        try:
            if self._existing(name) != home:
                raise StoreLocked(f"The library {name!r} has just been embedded again.", "Open it again.")
            return self._opened_collection(session, write=write)
        except BaseException:
            session.abandon()
            raise

    def drop(self, name: str) -> None:
        folder, home = self._folder(name), self._existing(name)
        session = Session(home, name)
        try:
            # From here on the library does not exist; what a crash leaves behind, `create` clears away.
            (home / CONTRACT).unlink()
            forget_generations(folder)
            shutil.rmtree(folder / SHARD, ignore_errors=home != folder)
            (folder / MANIFEST).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"The library {name!r} was not removed whole: {error}.") from error
        finally:
            session.abandon()
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        for collection in list(self._opened):
            collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _folder(self, name: str) -> Path:
        return self.root / require_library_name(name)

    def _existing(self, name: str) -> Path:
        """Folder of the generation that is a library now."""
        if not self.exists(name):
            known = ", ".join(self.libraries()) or "none"
            raise LibraryNotFound(f"There is no library {name!r} in {self.root}.", f"There are: {known}.")
        return home_of(self._folder(name))

    def _begun(self, name: str) -> Session:
        """The right to a folder that holds no library yet."""
        folder = self._folder(name)
        _require_free(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The folder {folder} cannot be made: {error.strerror}.") from error
        session = Session(folder)
        try:
            _require_free(folder)  # it may have been made since
            forget_generations(folder)
        except StoreError:
            session.abandon()
            raise
        return session

    def _opened_collection(self, session: Session, *, write: bool) -> EdgeCollection:
        session.begin(write=write)
        contract = Contract.from_dict(read_json(session.library / CONTRACT))
        contract.require_readable(session.name)
        collection = EdgeCollection(session, contract, write=write)
        self._opened.add(collection)
        return collection


def _require_free(folder: Path) -> None:
    if seems_library(folder):
        raise StoreError(
            f"The library {folder.name!r} is already there.", "Drop it first, or choose another name."
        )
