"""Where windows are embedded: on this machine, or on whatever offers the same interface."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.embedding import EmbeddingProcess
from ingest.ledger import Ledger
from ingest.plan import Window
from ingest.settling import require_turn
from ingest.worker import Batch, WindowReader, make_points
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import TokenInput
from specsearch.store.store import Collection

_FEW_SPECTRA = 4096  # starting the process takes as long as embedding some hundred


@dataclass(frozen=True)
class Engine:
    """Embeds windows in the background.

    Parameters
    ----------
    submit : callable
        Begins to embed; the future's result has a row per input, see `Embedder.embed_inputs`.
    n_at_once : int
        Windows that are embedded side by side.
    """

    submit: Callable[[Sequence[TokenInput]], Future[NDArray[np.float32]]]
    n_at_once: int = 1


@dataclass(frozen=True)
class Sink:
    """Where windows go.

    Parameters
    ----------
    collection : Collection
        Open for writing.
    ledger : Ledger
    turn : str
        As `ingest.settling.settle` took it.
    """

    collection: Collection
    ledger: Ledger
    turn: str

    def write(self, batch: Batch, embeddings: NDArray[np.float32]) -> None:
        """Store a window, and tick it off once the store has acknowledged all of its points.

        Raises
        ------
        StoreError
            If another command has taken the turn. Looked for before, so as not to write over what that one
            stores, and after, since it may not know of what was stored here: then it is not ticked off.
        """
        require_turn(self.collection, self.turn)
        self.collection.upsert(make_points(self.collection.name, batch, embeddings))
        require_turn(self.collection, self.turn)
        window = batch.window
        self.ledger.finish(
            window.key, window.source.sha256, batch.n_read, len(batch.spectra), batch.skipped, batch.noted
        )


MakeEngine = Callable[[Embedder, int], AbstractContextManager[Engine]]
"""From an encoder and the number of spectra to come to an engine."""


@contextmanager
def here(embedder: Embedder, n_spectra: int) -> Iterator[Engine]:
    """The encoder on this machine: in a process where there is much to do, else in a thread."""
    if n_spectra > _FEW_SPECTRA:
        with EmbeddingProcess(embedder) as process:
            yield Engine(process.submit)
    else:
        with ThreadPoolExecutor(1) as thread:
            yield Engine(lambda inputs: thread.submit(embedder.embed_inputs, inputs))


def run(
    windows: Sequence[Window],
    reader: WindowReader,
    engine: Engine,
    sink: Sink,
    progress: Callable[[Batch], None] = lambda batch: None,
) -> None:
    """Index windows in their order: while some are embedded, the ones before are stored and the next is read.

    Memory holds two windows more than are embedded at once, however long the input.
    """

    def write(batch: Batch, embeddings: NDArray[np.float32]) -> None:
        sink.write(batch, embeddings)
        progress(batch)

    under_way: deque[tuple[Batch, Future[NDArray[np.float32]]]] = deque()
    for window in windows:
        batch = reader.read(window)
        under_way.append((batch, engine.submit(batch.inputs)))
        if len(under_way) > engine.n_at_once:
            oldest, embedded = under_way.popleft()
            write(oldest, embedded.result())
    for batch, embedded in under_way:
        write(batch, embedded.result())
