"""Where windows are worked on: here, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ingest.embedding import EmbeddingProcess
from ingest.ledger import Ledger
from ingest.plan import Window
from ingest.worker import Batch, WindowReader, make_points
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import TokenInput
from specsearch.store.store import Collection

_Submit = Callable[[Sequence[TokenInput]], Future[NDArray[np.float32]]]
_FEW_SPECTRA = 4096  # starting the process takes as long as embedding some hundred


def run_here(
    windows: Sequence[Window],
    reader: WindowReader,
    embedder: Embedder,
    collection: Collection,
    ledger: Ledger,
    progress: Callable[[Batch], None] = lambda batch: None,
) -> None:
    """Index windows in their order: while one is embedded, the one before is stored and the next is read.

    Memory holds three windows, however long the input. A window is ticked off only after the store has
    acknowledged all of its points.
    """

    def write(batch: Batch, embeddings: NDArray[np.float32]) -> None:
        collection.upsert(make_points(collection.name, batch, embeddings))
        window = batch.window
        ledger.finish(
            window.key, window.source.sha256, batch.n_read, len(batch.spectra), batch.skipped, batch.noted
        )
        progress(batch)

    with _embedding(embedder, sum(w.stop - w.start for w in windows)) as submit:
        under_way: tuple[Batch, Future[NDArray[np.float32]]] | None = None
        for window in windows:
            batch = reader.read(window)
            embedded = under_way and (under_way[0], under_way[1].result())
            under_way = batch, submit(batch.inputs)
            if embedded:
                write(*embedded)
        if under_way:
            write(under_way[0], under_way[1].result())


@contextmanager
def _embedding(embedder: Embedder, n_spectra: int) -> Iterator[_Submit]:
    """The encoder in the background: in a process where there is much to do, else in a thread."""
    if n_spectra > _FEW_SPECTRA:
        with EmbeddingProcess(embedder) as process:
            yield process.submit
    else:
        with ThreadPoolExecutor(1) as thread:
            yield lambda inputs: thread.submit(embedder.embed_inputs, inputs)
