"""An ingest as a file that Prometheus' node exporter reads (its textfile collector)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingest.index import Progress
from ingest.summary import Summary

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Gauge


class IngestMetrics(Progress):
    """Writes the file anew after each window, whole or not at all, and tells another the same.

    Parameters
    ----------
    path : Path
        Usually ``*.prom`` in the folder that the node exporter looks at.
    library : str
        A label of every figure.
    shown : Progress
        Told whatever this one is told.

    Raises
    ------
    click.ClickException
        If prometheus-client is not installed.
    """

    def __init__(self, path: Path, library: str, shown: Progress) -> None:
        try:
            from prometheus_client import CollectorRegistry
        except ImportError:
            raise click.ClickException('--metrics needs more: pip install "specsearch[web]".') from None
        self._path, self._library, self._shown = path, library, shown
        self._registry: CollectorRegistry = CollectorRegistry()
        self._planned = self._gauge("planned", "Records of the files of this run")
        self._done = self._gauge("done", "Of them, those the store has acknowledged, of earlier runs too")
        self._last = self._gauge("last_window_timestamp_seconds", "When the last window was acknowledged")
        self._is_building = self._gauge("building", "1 while the search index is built")

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        from prometheus_client import Gauge

        return Gauge(f"specsearch_ingest_{name}", meaning, ("library", *labels), registry=self._registry)

    def _write(self) -> None:
        from prometheus_client import write_to_textfile

        write_to_textfile(str(self._path), self._registry)

    def reading(self, path: Path) -> None:
        self._shown.reading(path)

    def planned(self, n_rows: int, n_done: int) -> None:
        self._planned.labels(self._library).set(n_rows)
        self._done.labels(self._library).set(n_done)
        self._is_building.labels(self._library).set(0)
        self._write()
        self._shown.planned(n_rows, n_done)

    def indexed(self, n_rows: int) -> None:
        self._done.labels(self._library).inc(n_rows)
        self._last.labels(self._library).set_to_current_time()
        self._write()
        self._shown.indexed(n_rows)

    def optimizing(self) -> None:
        self._is_building.labels(self._library).set(1)
        self._write()
        self._shown.optimizing()

    def index_grew(self, n_done: int, n_vectors: int) -> None:
        self._shown.index_grew(n_done, n_vectors)

    def finished(self, summary: Summary) -> None:
        self._is_building.labels(self._library).set(0)
        self._gauge("library_spectra", "Spectra in the library").labels(self._library).set(
            summary.n_in_library
        )
        skipped = self._gauge("skipped", "Records that were left out", "reason")
        for reason, count, _ in summary.skipped_by_reason():
            skipped.labels(self._library, reason).set(count)
        self._write()
        self._shown.finished(summary)
