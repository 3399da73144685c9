"""One library on a Qdrant server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from specsearch.errors import StoreError
from specsearch.store import server_terms as terms
from specsearch.store.filters import Filter
from specsearch.store.payload import annotated, unpack_payload
from specsearch.store.planner import plan_searches
from specsearch.store.points import Point
from specsearch.store.queries import CollectionInfo, Hit, Record, ScoreRequest, VectorQuery, best_first
from specsearch.store.records import read_record
from specsearch.store.schema import Contract
from specsearch.store.server_indexing import build_index, is_left_off
from specsearch.store.server_retry import ask
from specsearch.store.server_settings import Quantization
from specsearch.store.store import IndexWatch
from specsearch.store.validation import require_query, require_valid

_UPSERT_BATCH: Final = 256  # about 3 MB of JSON, far below the server's limit of 32 MB
_TURN_KEY: Final = "specsearch_turn"  # merged into the collection's metadata: other keys stay
_WORKING: Final = (models.CollectionStatus.YELLOW, models.CollectionStatus.GREY)

Answer = TypeVar("Answer")
FindPlace = Callable[[str], str | None]


class ServerCollection:
    """One library on a server; see `specsearch.store.store.Collection`.

    Parameters
    ----------
    client : QdrantClient
        Shared with the store; stays open.
    name : str
        Of the library.
    contract : Contract
    place : str
        Name of the collection. The library's alias would not do: when it leads elsewhere, whoever has the
        library open would ask one model's vectors with another's.
    find_place : callable
        Tells which collection a library's name leads to now.
    write : bool
    quantization : Quantization
        That the server searches with.
    find_writer : callable, optional
        Gives the client that writes many points quickest; called when the first are written.
    """

    def __init__(
        self,
        client: QdrantClient,
        name: str,
        contract: Contract,
        *,
        place: str,
        find_place: FindPlace,
        write: bool,
        quantization: Quantization = Quantization.NONE,
        find_writer: Callable[[], QdrantClient] | None = None,
    ) -> None:
        self.name = name
        self.contract = contract
        self._place = place
        self._find_place = find_place
        self._open_client: QdrantClient | None = client
        self._write = write
        self._quantization = quantization
        self._find_writer = find_writer
        self._writer: QdrantClient | None = None

    def _ask(self, action: str, call: Callable[[QdrantClient], Answer], *, write: bool = False) -> Answer:
        client = self._usable(write=write)
        return ask(f"{action} the library {self.name!r}", lambda: call(client), is_write=write)

    def _usable(self, *, write: bool = False) -> QdrantClient:
        if self._open_client is None:
            raise StoreError(f"The library {self.name!r} is closed.")
        if write and not self._write:
            raise StoreError(f"The library {self.name!r} is open for reading.", "Open it with write=True.")
        return self._open_client

    def count(self, filter: Filter | None = None, *, exact: bool = True) -> int:
        wanted = terms.filter(filter)
        return self._ask("count", lambda client: client.count(self._place, wanted, exact=exact).count)

    def upsert(self, points: Sequence[Point]) -> None:
        client = self._usable(write=True)
        require_valid(points, self.contract)
        if points and self._writer is None:
            self._writer = client if self._find_writer is None else self._find_writer()
        for start in range(0, len(points), _UPSERT_BATCH):
            self._write_batch([terms.point(point) for point in points[start : start + _UPSERT_BATCH]])

    def _write_batch(self, batch: list[models.PointStruct]) -> None:
        """Also after a try of which half was applied: each point replaces itself."""
        writer = self._writer or self._usable(write=True)
        self._ask("write to", lambda _: writer.upsert(self._place, batch, wait=True), write=True)

    def query(self, queries: Sequence[VectorQuery]) -> list[list[Hit]]:
        for query in queries:
            require_query(query, self.contract)
        plans = plan_searches(queries, lambda filter: self.count(filter, exact=False))
        requests = [
            models.QueryRequest(
                query=terms.vector(query.vector),
                using=query.vector_name,
                limit=query.limit,
                filter=terms.filter(query.filter),
                params=terms.params(query.vector, plan, self._quantization),
                with_payload=query.with_payload,
            )
            for query, plan in zip(queries, plans, strict=True)
        ]
        return [
            best_first(Hit(str(found.id), found.score, unpack_payload(found.payload)) for found in answer)
            for answer in self._answers(requests)
        ]

    def score(self, requests: Sequence[ScoreRequest]) -> list[NDArray[np.float64]]:
        for request in requests:
            require_query(request, self.contract)
        batch = [
            models.QueryRequest(
                query=terms.vector(request.vector),
                using=request.vector_name,
                limit=max(1, len(request.point_ids)),
                filter=models.Filter(must=[models.HasIdCondition(has_id=list(request.point_ids))]),
                params=terms.exactly(request.vector, self._quantization),
                with_payload=False,
            )
            for request in requests
        ]
        return [
            request.aligned((str(found.id), found.score) for found in answer)
            for request, answer in zip(requests, self._answers(batch), strict=True)
        ]

    def _answers(self, requests: list[models.QueryRequest]) -> list[list[models.ScoredPoint]]:
        if not requests:
            return []
        answers = self._ask("search", lambda client: client.query_batch_points(self._place, requests))
        return [answer.points for answer in answers]

    def fetch(
        self, point_ids: Sequence[str], *, with_vectors: bool = False, with_payload: bool = True
    ) -> dict[str, Record]:
        found = self._ask(
            "read",
            lambda client: client.retrieve(
                self._place, list(point_ids), with_payload=with_payload, with_vectors=with_vectors
            ),
        )
        records = {str(record.id): read_record(record) for record in found}
        return {point_id: records[point_id] for point_id in point_ids if point_id in records}

    def scroll(
        self, filter: Filter | None = None, *, batch: int = 1000, with_vectors: bool = False
    ) -> Iterator[Record]:
        wanted, offset = terms.filter(filter), None
        while True:
            records, offset = self._page(wanted, batch, offset, with_vectors)
            yield from map(read_record, records)
            if offset is None:
                return

    def _page(
        self, wanted: models.Filter | None, limit: int, offset: Any, with_vectors: bool
    ) -> tuple[list[models.Record], Any]:
        return self._ask(
            "read",
            lambda client: client.scroll(
                self._place, wanted, limit=limit, offset=offset, with_vectors=with_vectors
            ),
        )

    def delete(self, point_ids: Sequence[str]) -> None:
        points = models.PointIdsList(points=list(point_ids))
        self._ask("delete from", lambda client: client.delete(self._place, points, wait=True), write=True)

    def annotate(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        self._usable(write=True)
        operations = [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(
                    payload=annotated(record.payload, values[point_id]), points=[point_id]
                )
            )
            for point_id, record in self.fetch(list(values)).items()
        ]
        if operations:
            self._ask(
                "write to",
                lambda client: client.batch_update_points(self._place, operations, wait=True),
                write=True,
            )

    def optimize(self, watch: IndexWatch | None = None) -> bool:
        """Have the search index built, which was left off while the library was filled, and wait for it."""
        return build_index(self._usable(write=True), self._place, watch)

    def info(self) -> CollectionInfo:
        info = self._ask("describe", lambda client: client.get_collection(self._place))
        unbuilt = ", search index not built yet" if is_left_off(info) else ""
        return CollectionInfo(
            self.name,
            info.points_count or 0,
            info.segments_count,
            info.indexed_vectors_count or 0,
            info.status != models.CollectionStatus.RED,
            f"server, status {info.status.value}{unbuilt}",
            _next_step(self.name, info),
            is_settled=info.status not in _WORKING,
        )

    def turn(self) -> str | None:
        if self._find_place(self.name) not in (self._place, None):
            return None
        info = self._ask("describe", lambda client: client.get_collection(self._place))
        turn = (info.config.metadata or {}).get(_TURN_KEY)
        return None if turn is None else str(turn)

    def take_turn(self, turn: str) -> None:
        metadata = {_TURN_KEY: turn}
        self._ask("write to", lambda client: client.update_collection(self._place, metadata=metadata))

    def flush(self) -> None:
        """Nothing to do: the server acknowledges a write once it is in its log."""
        self._usable(write=True)

    def close(self) -> None:
        self._open_client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _next_step(name: str, info: models.CollectionInfo) -> str:
    """What to do about a collection's state; empty where nothing is to be done."""
    if info.status == models.CollectionStatus.RED:
        return "Look into the server's log (often a full disk, or too little memory), and start it again"
    if info.status == models.CollectionStatus.YELLOW:
        return "It works on its search index: wait until that is done"
    if info.status == models.CollectionStatus.GREY or is_left_off(info):
        return f'"specsearch verify {name} --repair" builds it'
    return ""
