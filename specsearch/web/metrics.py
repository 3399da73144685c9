"""What Prometheus reads: how much was asked, how long it took, how many wait."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from specsearch.web.work import Work

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.5, 3.0, 10.0)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one server.

    Parameters
    ----------
    work : Work
    """

    def __init__(self, work: Work) -> None:
        self._registry = CollectorRegistry()
        labels = ("route", "status")
        self._n_requests = Counter(
            "specsearch_requests", "Requests answered", labels, registry=self._registry
        )
        self._duration = Histogram(
            "specsearch_request_seconds",
            "Time to an answer",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        waiting = Gauge("specsearch_waiting", "Requests that wait or run", ("lane",), registry=self._registry)
        for lane in work.waiting:
            waiting.labels(lane).set_function(partial(_n_waiting, work, lane))
        self._n_spectra = Gauge(
            "specsearch_library_spectra", "Spectra served", ("library",), registry=self._registry
        )
        for name, collection in work.served.collections.items():
            self.holds(name, collection.count(exact=False))

    def count(self, route: str, status: int, duration_s: float) -> None:
        """Take note of one request; `route` is its pattern, never what a client wrote."""
        self._n_requests.labels(route, str(status)).inc()
        self._duration.labels(route).observe(duration_s)

    def holds(self, library: str, n_spectra: int) -> None:
        """Take note of how many spectra a library holds now."""
        self._n_spectra.labels(library).set(n_spectra)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)


def _n_waiting(work: Work, lane: str) -> float:
    return work.waiting[lane]
