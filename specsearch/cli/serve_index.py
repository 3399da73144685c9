"""What ``specsearch serve --allow-write`` does with a file: the same as ``specsearch index``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from specsearch.cli.settings import StoreAt

if TYPE_CHECKING:
    from specsearch.encoder.embedder import Embedder
    from specsearch.store.store import Store
    from specsearch.web.served import Served
    from specsearch.web.writing import Writer, Written


def make_writer(at: StoreAt, opened: Store, served: Served) -> Writer:
    """What writes into the libraries of a store that are served."""
    from specsearch.cli.graph_at import graph_folder
    from specsearch.web.writing import Writer

    return Writer(served, opened, partial(_index, at, served.embedder), partial(graph_folder, at))


def _index(at: StoreAt, embedder: Embedder, opened: Store, library: str, path: Path) -> Written:
    from ingest.index import index_files
    from specsearch.web.writing import Written

    work, aside = at.work_folder(library), at.set_aside_folder(library)
    summary = index_files([path], opened, library, embedder, work, aside=aside)
    return Written(summary.n_read, summary.n_indexed, summary.n_in_library, summary.complaints)
