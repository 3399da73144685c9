"""Work on whole libraries as a bar on the screen, or an ingest as lines for a log."""

from __future__ import annotations

import time
from pathlib import Path

from rich.progress import Progress as Bar

from ingest.index import Progress
from ingest.summary import Summary
from specsearch.cli.screen import say
from specsearch.store.transfer import Watcher


class IngestBar(Progress):
    """Shows where an ingest is.

    Parameters
    ----------
    bar : rich.progress.Progress
        Running.
    """

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)

    def reading(self, path: Path) -> None:
        self._bar.update(self._task, description=f"reading {path.name}")

    def planned(self, n_rows: int, n_done: int) -> None:
        self._bar.update(self._task, description="indexing spectra", total=n_rows, completed=n_done)

    def indexed(self, n_rows: int) -> None:
        self._bar.advance(self._task, n_rows)

    def optimizing(self) -> None:
        self._bar.update(self._task, description="building the search index")

    def index_grew(self, n_done: int, n_vectors: int) -> None:
        self._bar.update(self._task, total=n_vectors, completed=n_done)


class IngestLines(Progress):
    """Says where an ingest is, a line for each file and for each window that was acknowledged."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._n_before = self._n_done = self._n_rows = 0

    def reading(self, path: Path) -> None:
        say("reading", file=path.name)

    def planned(self, n_rows: int, n_done: int) -> None:
        self._began = time.monotonic()
        self._n_before = self._n_done = n_done
        self._n_rows = n_rows
        say("indexing", n_rows=n_rows, n_done=n_done)

    def indexed(self, n_rows: int) -> None:
        self._n_done += n_rows
        rate = (self._n_done - self._n_before) / max(1e-9, time.monotonic() - self._began)
        say("indexed", n_rows=self._n_rows, n_done=self._n_done, spectra_per_s=round(rate, 1))

    def optimizing(self) -> None:
        say("building the search index")

    def index_grew(self, n_done: int, n_vectors: int) -> None:
        say("building the search index", n_done=n_done, n_vectors=n_vectors)

    def finished(self, summary: Summary) -> None:
        say("finished", n_read=summary.n_read, n_indexed=summary.n_indexed, n_skipped=len(summary.skipped))


class TransferBar(Watcher):
    """Shows where a backup, a restore or a copy is.

    Parameters
    ----------
    bar : rich.progress.Progress
        Running.
    """

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)

    def begin(self, stage: str, n_points: int | None = None) -> None:
        self._bar.reset(self._task, description=stage, total=n_points)

    def advance(self, n_points: int) -> None:
        self._bar.advance(self._task, n_points)
