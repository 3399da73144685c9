"""Where windows are worked on: here, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ingest.ledger import Ledger
from ingest.plan import Window
from ingest.worker import Batch, WindowReader, make_points
from specsearch.encoder.embedder import Embedder
from specsearch.store.store import Collection


def run_here(
    windows: Sequence[Window],
    reader: WindowReader,
    embedder: Embedder,
    collection: Collection,
    ledger: Ledger,
    progress: Callable[[Batch], None] = lambda batch: None,
) -> None:
    """Index windows in their order: one is read and one is stored while another is embedded.

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

    written: Future[None] | None = None
    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        ahead = [reading.submit(reader.read, window) for window in windows[:1]]
        for number in range(len(windows)):
            batch = ahead.pop().result()
            ahead += [reading.submit(reader.read, window) for window in windows[number + 1 : number + 2]]
            embeddings = embedder.embed_inputs(batch.inputs)
            if written is not None:
                written.result()
            written = writing.submit(write, batch, embeddings)
        if written is not None:
            written.result()
