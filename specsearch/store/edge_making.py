"""A library of the embedded engine while it is made: it cannot be seen until it is complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from specsearch.store.edge import EdgeCollection
from specsearch.store.edge_terms import ENGINE, ENGINE_VERSION, create_shard
from specsearch.store.integrity import CONTRACT, MANIFEST, SHARD, TURN, mark_open, write_json
from specsearch.store.planner import IndexSettings
from specsearch.store.schema import Contract
from specsearch.store.session import LOCK, Session
from specsearch.store.space import require_free_space


@contextmanager
def filling(
    session: Session, contract: Contract, settings: IndexSettings, n_bytes: int = 0
) -> Iterator[EdgeCollection]:
    """A library that has its contract only when the block has ended well, else is removed.

    Parameters
    ----------
    session : Session
        Of a folder that holds no library; left at the end.
    contract : Contract
    settings : IndexSettings
    n_bytes : int
        About how much will be written.
    """
    try:
        made = empty_shard(session.library, contract, settings, n_bytes)
        session.begin(write=True)
        collection = EdgeCollection(session, made, write=True)
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


def empty_shard(folder: Path, contract: Contract, settings: IndexSettings, n_bytes: int = 0) -> Contract:
    """Make the engine's files and return the contract to be written once the library may be seen."""
    shutil.rmtree(folder / SHARD, ignore_errors=True)  # of a creation that was interrupted
    require_free_space(folder, n_bytes)
    create_shard(folder, contract, settings)
    mark_open(folder)
    return replace(contract, engine=ENGINE, engine_version=ENGINE_VERSION)


def remove_files(folder: Path) -> None:
    """Remove a library's files, and its folder; other files there stay."""
    (folder / CONTRACT).unlink(missing_ok=True)
    shutil.rmtree(folder / SHARD, ignore_errors=True)
    for name in (MANIFEST, TURN, LOCK):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # not empty: something of somebody else's
        folder.rmdir()


def _remove_unpublished(folder: Path) -> None:
    """Remove what was made in a folder, unless it has become a library."""
    if not (folder / CONTRACT).exists():
        remove_files(folder)
