"""The embedded store: a folder of libraries, each a folder of its own.

``<store>/<library>/`` holds ``contract.json`` (a library exists from the moment it does),
``manifest.json``, ``lock`` and ``shard/``, the engine's own files.
"""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from specsearch.errors import LibraryNotFound, StoreError
from specsearch.store.edge import EdgeCollection
from specsearch.store.edge_terms import ENGINE, ENGINE_VERSION, create_shard
from specsearch.store.integrity import CONTRACT, MANIFEST, SHARD, mark_open, read_json, write_json
from specsearch.store.names import require_library_name
from specsearch.store.planner import IndexSettings
from specsearch.store.schema import Contract
from specsearch.store.session import LOCK, Session
from specsearch.store.space import require_free_space


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
        return sorted(folder.name for folder in self.root.iterdir() if (folder / CONTRACT).is_file())

    def exists(self, name: str) -> bool:
        return (self._folder(name) / CONTRACT).is_file()

    def create(self, name: str, contract: Contract) -> EdgeCollection:
        session = self._begun(name)
        try:
            made = self._empty_shard(session.library, contract, 0)
            write_json(session.library / CONTRACT, made.to_dict())
            return self._opened_collection(session, write=True)
        except BaseException:
            session.abandon()
            raise

    @contextmanager
    def making(self, name: str, contract: Contract, n_bytes: int = 0) -> Iterator[EdgeCollection]:
        session = self._begun(name)
        try:
            made = self._empty_shard(session.library, contract, n_bytes)
            session.begin(write=True)
            collection = EdgeCollection(session, made, write=True)
            self._opened.add(collection)
            try:
                yield collection
                write_json(session.library / CONTRACT, made.to_dict())
            except BaseException:
                collection.abandon()
                raise
            collection.close()
        except BaseException:
            _remove_unpublished(session.library)
            session.abandon()
            raise

    def open(self, name: str, *, write: bool = False) -> EdgeCollection:
        session = Session(self._existing(name))
        try:
            return self._opened_collection(session, write=write)
        except BaseException:
            session.abandon()
            raise

    def drop(self, name: str) -> None:
        folder = self._existing(name)
        session = Session(folder)
        try:
            # From here on the library does not exist; what a crash leaves behind, `create` clears away.
            (folder / CONTRACT).unlink()
            shutil.rmtree(folder / SHARD)
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
        if not self.exists(name):
            known = ", ".join(self.libraries()) or "none"
            raise LibraryNotFound(f"There is no library {name!r} in {self.root}.", f"There are: {known}.")
        return self._folder(name)

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
        except StoreError:
            session.abandon()
            raise
        return session

    def _empty_shard(self, folder: Path, contract: Contract, n_bytes: int) -> Contract:
        """Make the engine's files and return the contract to be written once the library may be seen."""
        shutil.rmtree(folder / SHARD, ignore_errors=True)  # of a creation that was interrupted
        require_free_space(folder, n_bytes)
        create_shard(folder, contract, self._settings)
        mark_open(folder)
        return replace(contract, engine=ENGINE, engine_version=ENGINE_VERSION)

    def _opened_collection(self, session: Session, *, write: bool) -> EdgeCollection:
        session.begin(write=write)
        contract = Contract.from_dict(read_json(session.library / CONTRACT))
        collection = EdgeCollection(session, contract, write=write)
        self._opened.add(collection)
        return collection


def _require_free(folder: Path) -> None:
    if (folder / CONTRACT).exists():
        raise StoreError(
            f"The library {folder.name!r} is already there.", "Drop it first, or choose another name."
        )


def _remove_unpublished(folder: Path) -> None:
    """Remove what was made in a folder, unless it has become a library; other files there stay."""
    if (folder / CONTRACT).exists():
        return
    shutil.rmtree(folder / SHARD, ignore_errors=True)
    for name in (MANIFEST, LOCK):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # not empty: something of somebody else's
        folder.rmdir()
