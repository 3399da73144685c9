"""Work on whole libraries as a bar on the screen."""

from __future__ import annotations

from pathlib import Path

from rich.progress import Progress as Bar

from ingest.index import Progress
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
