"""Clocks: percentiles, one core, and the share of a search that the engine takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from specsearch.search.similar import SimilaritySearch
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.store import Collection

_WARM_UP = 10
_Result = TypeVar("_Result")


class TimedCollection:
    """A collection that adds up the seconds spent in its engine calls; all else goes straight through."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self.engine_s = 0.0

    def query(self, *arguments: Any, **options: Any) -> Any:
        with self._clock():
            return self._collection.query(*arguments, **options)

    def score(self, *arguments: Any, **options: Any) -> Any:
        with self._clock():
            return self._collection.score(*arguments, **options)

    def fetch(self, *arguments: Any, **options: Any) -> Any:
        with self._clock():
            return self._collection.fetch(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    @contextmanager
    def _clock(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.engine_s += time.perf_counter() - began


def timed(action: Callable[..., _Result], *arguments: Any) -> tuple[_Result, float]:
    """What a call returns, and its wall time in seconds."""
    began = time.perf_counter()
    result = action(*arguments)
    return result, time.perf_counter() - began


def seconds_per_query(
    search: SimilaritySearch, collection: TimedCollection, queries: Sequence[Spectrum]
) -> tuple[list[float], list[float]]:
    """Seconds of each whole query, asked one by one, and of the engine calls in it; ten warm up before."""
    whole, engine = [], []
    warm_up = queries[:_WARM_UP]
    for spectrum in [*warm_up, *queries]:
        collection.engine_s = 0.0
        whole.append(timed(list, search.search([spectrum]))[1])
        engine.append(collection.engine_s)
    return whole[len(warm_up) :], engine[len(warm_up) :]


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and mean in milliseconds."""
    ms = np.asarray(seconds) * 1e3
    return {
        "p50_ms": float(np.percentile(ms, 50)),
        "p95_ms": float(np.percentile(ms, 95)),
        "mean_ms": float(ms.mean()),
    }


def use_one_core() -> None:
    """Bind every thread of this process, and those still to come, to one core (Linux)."""
    core = {min(os.sched_getaffinity(0))}
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), core)
    torch.set_num_threads(1)
