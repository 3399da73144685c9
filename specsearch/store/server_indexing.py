"""The search index of a library on a server: left off while it is filled, then built, and waited for.

A graph that grows with every batch is built several times over as segments are merged. So a library is made
with indexing off, and `build_index` switches it on; that it was off is kept by the server, so whoever ends
the load, in this run or in one after a kill, ends with it on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from qdrant_client import QdrantClient, models

from specsearch.errors import StoreError
from specsearch.store.server_retry import ask
from specsearch.store.server_terms import INDEXING_OFF, INDEXING_ON
from specsearch.store.store import IndexWatch

POLL_S = 0.5
_N_IDLE_POLLS: Final = 60  # as long may a server that has work not begin it
_N_SETTLED_POLLS: Final = 3  # after switching on: in a cluster, each node hears of it in its own time


def is_left_off(info: models.CollectionInfo) -> bool:
    """Whether a collection is still being filled."""
    return info.config.optimizer_config.indexing_threshold == INDEXING_OFF


def build_index(client: QdrantClient, name: str, watch: IndexWatch | None = None) -> bool:
    """Switch indexing on if it was left off, and wait until the server has nothing more to do.

    A library smaller than the server's threshold has no index, and is done at once. While the server says
    that it works (yellow), it is waited for, however long that takes.

    Parameters
    ----------
    client : QdrantClient
    name : str
    watch : IndexWatch, optional

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    StoreError
        If the server reports damage, does not begin, or does not answer.
    """

    def look() -> models.CollectionInfo:
        return ask(f"look at the search index of {name!r}", lambda: client.get_collection(name))

    was_off = is_left_off(look())
    if was_off:
        _switch_on(client, name)
    n_greens = _N_SETTLED_POLLS if was_off else 1
    return _await_green(client, name, look, watch or _unwatched, n_greens) or was_off


def _unwatched(n_done: int, n_vectors: int) -> None:
    """Tell nobody."""


def _switch_on(client: QdrantClient, name: str) -> None:
    """Also what makes a server begin that has work and waits for a reason (grey)."""
    config = models.OptimizersConfigDiff(indexing_threshold=INDEXING_ON)
    ask(
        f"switch on the search index of {name!r}",
        lambda: client.update_collection(name, optimizers_config=config),
        is_write=True,
    )


def _await_green(
    client: QdrantClient,
    name: str,
    look: Callable[[], models.CollectionInfo],
    watch: IndexWatch,
    n_greens: int,
) -> bool:
    has_waited, n_idle, n_done = False, 0, -1
    while True:
        info = look()
        _require_sound(name, info)
        if info.status == models.CollectionStatus.GREEN:
            n_greens -= 1
            if n_greens <= 0:
                return has_waited
        else:
            has_waited = True
        n_idle = n_idle + 1 if info.status == models.CollectionStatus.GREY else 0
        if n_idle == 1:
            _switch_on(client, name)
        if n_idle > _N_IDLE_POLLS:
            raise StoreError(
                f"The Qdrant server does not begin to build the search index of {name!r} (status grey).",
                "All spectra are stored. Run the same command again when the server has less to do.",
            )
        if has_waited and info.indexed_vectors_count != n_done:
            n_done = info.indexed_vectors_count or 0
            watch(*_progress(info))
        time.sleep(POLL_S)


def _require_sound(name: str, info: models.CollectionInfo) -> None:
    error = getattr(info.optimizer_status, "error", None)
    if error is None and info.status != models.CollectionStatus.RED:
        return
    raise StoreError(
        f"The Qdrant server reports that {name!r} is in trouble (status {info.status.value}): "
        f"{error or 'an operation failed'}.",
        "Look into the server's log (often a full disk, or too little memory), start the server again, and "
        "run the same command.",
    )


def _progress(info: models.CollectionInfo) -> tuple[int, int]:
    """Vectors that are indexed, and about how many there are: a point may lack some."""
    vectors = info.config.params.vectors
    n_dense = len(vectors) if isinstance(vectors, dict) else 1
    n_vectors = (info.points_count or 0) * (n_dense + len(info.config.params.sparse_vectors or {}))
    return min(info.indexed_vectors_count or 0, n_vectors), n_vectors
