"""The main job: files into a library. Twice is the same as once; killed and run again, too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from ingest.engines import Engine, MakeEngine, Sink, here, run
from ingest.names import Duplicates
from ingest.plan import Source, prepare_source, windows
from ingest.settling import held_ledger, settle
from ingest.summary import Summary, summarise
from ingest.worker import Batch, WindowReader
from specsearch.encoder.embedder import Embedder
from specsearch.errors import InputFileError, Skipped
from specsearch.spectra.readers import find_files
from specsearch.store.space import require_free_space
from specsearch.store.store import Collection, Store
from specsearch.store.vectors import contract_of

_STAGING = "staging"


class Progress:
    """What an ingest tells whoever watches; this one says nothing."""

    def reading(self, path: Path) -> None:
        """A source is being opened (and staged, where its format asks for it)."""

    def planned(self, n_rows: int, n_done: int) -> None:
        """So many rows are to be indexed, so many of them were before."""

    def indexed(self, n_rows: int) -> None:
        """A window of so many rows has been acknowledged."""

    def optimizing(self) -> None:
        """The search indexes are being built."""

    def index_grew(self, n_done: int, n_vectors: int) -> None:
        """So many vectors are in them, of about so many."""

    def finished(self, summary: Summary) -> None:
        """All is indexed and acknowledged."""


def index_files(
    paths: Iterable[str | Path],
    store: Store,
    library: str,
    embedder: Embedder,
    work: Path,
    *,
    duplicates: Duplicates = "keep",
    aside: Path | None = None,
    progress: Progress | None = None,
    make_engine: MakeEngine = here,
) -> Summary:
    """Index files into a library, made where there is none.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, folders and patterns.
    store : Store
    library : str
    embedder : Embedder
    work : Path
        Folder of the library's ledger and of staged sources; the same at every call.
    duplicates : {"keep", "collapse"}
        What to do with spectra whose SPLASH is already there.
    aside : Path, optional
        Folder of spectra that were taken out of the library on purpose, see `ingest.settling.settle`.
    progress : Progress, optional
    make_engine : MakeEngine
        Where the encoder works; the end is the same wherever it is.

    Raises
    ------
    InputFileError
        If a file that was named cannot be read; files before it are not touched.
    StoreError
        As the store says.
    """
    progress = progress or Progress()
    found = find_files(paths)
    require_free_space(work, 0)  # for staging, the first that is written
    sources, passed_over = _sources(found.files, work / _STAGING, progress)
    passed_over = [*found.skipped, *passed_over]
    if not sources:
        raise InputFileError("No file with spectra was found.", "Name files, folders or patterns.")
    with _opened(store, library, embedder) as collection, held_ledger(library, work) as ledger:
        turn = settle(library, collection, ledger, aside)
        reader = WindowReader(ledger, duplicates)
        sink = Sink(collection, ledger, turn)
        _index(sources, sink, partial(make_engine, embedder), reader, progress)
        summary = summarise(library, ledger, sources, collection.count(), passed_over)
    shutil.rmtree(work / _STAGING, ignore_errors=True)
    progress.finished(summary)
    return summary


def _sources(files: Sequence[Path], staging: Path, progress: Progress) -> tuple[list[Source], list[Skipped]]:
    """The sources behind files, each content once; and the files that add nothing."""
    sources: dict[str, Source] = {}
    passed_over: list[Skipped] = []
    for path in files:
        progress.reading(path)
        source = prepare_source(path, staging)
        if source.sha256 in sources:
            same = sources[source.sha256].path
            passed_over.append(
                Skipped(str(path), "whole file", "same content as another file", detail=str(same))
            )
            continue
        if not source.n_rows and not source.skipped:
            passed_over.append(Skipped(str(path), "whole file", "no MS/MS spectrum in it"))
        sources[source.sha256] = source
    return list(sources.values()), passed_over


def _opened(store: Store, library: str, embedder: Embedder) -> Collection:
    contract = contract_of(embedder.card)
    if not store.exists(library):
        return store.create(library, contract)
    collection = store.open(library, write=True)
    try:
        collection.contract.require_same(contract, library)
    except BaseException:
        collection.close()
        raise
    return collection


def _index(
    sources: Sequence[Source],
    sink: Sink,
    engine_for: Callable[[int], AbstractContextManager[Engine]],
    reader: WindowReader,
    progress: Progress,
) -> None:
    planned = [window for source in sources for window in windows(source)]
    todo = [window for window in planned if not sink.ledger.is_done(window.key)]
    n_rows = sum(window.stop - window.start for window in planned)
    n_todo = sum(window.stop - window.start for window in todo)
    progress.planned(n_rows, n_rows - n_todo)

    def acknowledged(batch: Batch) -> None:
        progress.indexed(batch.window.stop - batch.window.start)

    if todo:
        with engine_for(n_todo) as engine:
            run(todo, reader, engine, sink, acknowledged)
    progress.optimizing()
    sink.collection.optimize(progress.index_grew)
