"""One library in the embedded engine.

With `edge_terms` the only files that know `qdrant_edge`. The engine is a beta; its measured traps are
guarded here: it holds the GIL in every call (use processes, not threads), hangs after ``fork`` (start
workers with ``spawn``), takes one opener, and must be told to build its indexes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import numpy as np
import qdrant_edge as engine
from numpy.typing import NDArray

from specsearch.errors import StoreError
from specsearch.store import edge_terms as terms
from specsearch.store.filters import Filter
from specsearch.store.integrity import SHARD, TURN, read_json, write_json
from specsearch.store.payload import annotated, unpack_payload
from specsearch.store.planner import LARGE_INDEX, LARGE_LIBRARY, UNINDEXED_POINTS, plan_searches
from specsearch.store.points import Point, SparseVector
from specsearch.store.queries import CollectionInfo, Hit, Record, ScoreRequest, VectorQuery, best_first
from specsearch.store.records import read_record
from specsearch.store.schema import Contract
from specsearch.store.session import Session
from specsearch.store.space import require_free_space, used_bytes
from specsearch.store.store import IndexWatch
from specsearch.store.validation import require_query, require_valid

_UPSERT_BATCH = 256
_RECORD_BYTES = 4096  # of the text of a payload, generously


class EdgeCollection:
    """One library in the embedded engine; see `specsearch.store.store.Collection`.

    Parameters
    ----------
    session : Session
        Already begun; left on `close`.
    contract : Contract
    write : bool
    """

    def __init__(self, session: Session, contract: Contract, *, write: bool) -> None:
        self.name = session.name
        self.contract = contract
        self._session = session
        self._folder = session.library
        self._write = write
        self._owner = os.getpid()
        self._n_unindexed = 0  # written since it was opened, or since indexes were built
        with terms.engine_call("open", self._folder):
            self._open_shard: engine.EdgeShard | None = engine.EdgeShard.load(str(self._folder / SHARD))

    @contextmanager
    def _shard(self, action: str, *, write: bool = False) -> Iterator[engine.EdgeShard]:
        """The engine, if it may be used for `action` here and now."""
        if self._open_shard is None:
            raise StoreError(f"The library {self.name!r} is closed.")
        if os.getpid() != self._owner:
            raise StoreError(
                f"The library {self.name!r} was opened by the parent process.",
                "Start workers with 'spawn' and open the library inside.",
            )
        if write and not self._write:
            raise StoreError(f"The library {self.name!r} is open for reading.", "Open it with write=True.")
        with terms.engine_call(action, self._folder):
            yield self._open_shard

    def count(self, filter: Filter | None = None, *, exact: bool = True) -> int:
        with self._shard("count") as shard:
            return int(shard.count(engine.CountRequest(exact=exact, filter=terms.filter(filter))))

    def upsert(self, points: Sequence[Point]) -> None:
        with self._shard("write to", write=True) as shard:
            require_valid(points, self.contract)
            require_free_space(self._folder, sum(map(terms.estimated_bytes, points)))
            # Small batches stay in the processor's caches.
            for start in range(0, len(points), _UPSERT_BATCH):
                batch = [terms.point(point) for point in points[start : start + _UPSERT_BATCH]]
                shard.update(engine.UpdateOperation.upsert_points(batch))
        self._n_unindexed += len(points)
        # Candidates have no sparse vectors to hold, and no graph unless somebody asks for one.
        if self.contract.layout.sparse_vectors and self._n_unindexed >= UNINDEXED_POINTS:
            self.optimize()

    def query(self, queries: Sequence[VectorQuery]) -> list[list[Hit]]:
        for query in queries:
            require_query(query, self.contract)
        plans = plan_searches(queries, lambda filter: self.count(filter, exact=False))
        requests = [
            engine.QueryRequest(
                limit=query.limit,
                query=terms.nearest(query.vector_name, query.vector),
                filter=terms.filter(query.filter),
                params=terms.params(plan),
                with_payload=query.with_payload,
            )
            for query, plan in zip(queries, plans, strict=True)
        ]
        with self._shard("search") as shard:
            answers = shard.query_batch(engine.QueryBatchRequest(requests))
        return [
            best_first(Hit(str(found.id), found.score, unpack_payload(found.payload)) for found in answer)
            for answer in answers
        ]

    def score(self, requests: Sequence[ScoreRequest]) -> list[NDArray[np.float64]]:
        # Faster than fetching the vectors: 1.4 against 1.9 ms and the conversion for 300 points.
        for request in requests:
            require_query(request, self.contract)
        batch = [
            engine.QueryRequest(
                limit=max(1, len(request.point_ids)),
                query=terms.nearest(request.vector_name, request.vector),
                filter=engine.Filter(must=[engine.HasIdCondition(set(request.point_ids))]),
                params=engine.SearchParams(exact=not isinstance(request.vector, SparseVector)),
                with_payload=False,
            )
            for request in requests
        ]
        with self._shard("search") as shard:
            answers = shard.query_batch(engine.QueryBatchRequest(batch))
        return [
            request.aligned((str(found.id), found.score) for found in answer)
            for request, answer in zip(requests, answers, strict=True)
        ]

    def fetch(
        self, point_ids: Sequence[str], *, with_vectors: bool = False, with_payload: bool = True
    ) -> dict[str, Record]:
        with self._shard("read") as shard:
            found = shard.retrieve(list(point_ids), with_payload, with_vectors)
        records = {str(record.id): read_record(record) for record in found}
        return {point_id: records[point_id] for point_id in point_ids if point_id in records}

    def scroll(
        self, filter: Filter | None = None, *, batch: int = 1000, with_vectors: bool = False
    ) -> Iterator[Record]:
        offset: Any = None
        while True:
            request = engine.ScrollRequest(
                offset=offset,
                limit=batch,
                filter=terms.filter(filter),
                with_payload=True,
                with_vector=with_vectors,
            )
            with self._shard("read") as shard:
                records, offset = shard.scroll(request)
            yield from map(read_record, records)
            if offset is None:
                return

    def delete(self, point_ids: Sequence[str]) -> None:
        with self._shard("delete from", write=True) as shard:
            shard.update(engine.UpdateOperation.delete_points(list(point_ids)))

    def annotate(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        with self._shard("write to", write=True) as shard:
            require_free_space(self._folder, _RECORD_BYTES * len(values))
            for point_id, record in self.fetch(list(values)).items():
                payload = annotated(record.payload, values[point_id])
                shard.update(engine.UpdateOperation.set_payload([point_id], payload))

    def optimize(self, watch: IndexWatch | None = None) -> bool:
        with self._shard("optimize", write=True) as shard:
            require_free_space(self._folder, used_bytes(self._folder))
            if shard.count(engine.CountRequest(exact=True)) >= LARGE_LIBRARY:
                shard.close()
                config = terms.shard_config(self.contract, LARGE_INDEX)
                shard = self._open_shard = engine.EdgeShard.load(str(self._folder / SHARD), config)
            self._n_unindexed = 0
            return bool(shard.optimize())

    def info(self) -> CollectionInfo:
        with self._shard("describe") as shard:
            info = shard.info()
        return CollectionInfo(
            self.name,
            info.points_count,
            info.segments_count,
            info.indexed_vectors_count,
            True,
            "embedded",
            were_files_compared=self._session.was_sealed,
        )

    def turn(self) -> str | None:
        path = self._folder / TURN
        return str(read_json(path).get("turn")) if path.exists() else None

    def take_turn(self, turn: str) -> None:
        with self._shard("write to"):
            write_json(self._folder / TURN, {"turn": turn})

    def flush(self) -> None:
        with self._shard("flush", write=True) as shard:
            shard.flush()

    def close(self) -> None:
        shard, self._open_shard = self._open_shard, None
        if shard is None or os.getpid() != self._owner:  # a forked child has nothing to close
            return
        try:
            with terms.engine_call("close", self._folder):
                shard.flush()
                shard.close()
                if self._session.needs_seal:
                    # The first load after writing tidies the log; the seal must describe the state after.
                    engine.EdgeShard.load(str(self._folder / SHARD)).close()
            self._session.leave()
        finally:
            self._session.abandon()

    def abandon(self) -> None:
        """Let go without a seal: the files are about to be removed."""
        shard, self._open_shard = self._open_shard, None
        if shard is not None and os.getpid() == self._owner:
            with suppress(StoreError), terms.engine_call("close", self._folder):
                shard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
