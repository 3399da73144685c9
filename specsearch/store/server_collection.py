"""One library on a Qdrant server, and our words in the client's language."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from specsearch.errors import LibraryNotFound, SpecsearchError, StoreError
from specsearch.store.filters import Filter
from specsearch.store.payload import annotated, pack_payload, unpack_payload
from specsearch.store.planner import SearchPlan, plan_searches
from specsearch.store.points import Point, SparseVector
from specsearch.store.queries import (
    CollectionInfo,
    Hit,
    QueryVector,
    Record,
    ScoreRequest,
    VectorQuery,
    best_first,
)
from specsearch.store.schema import Contract, VectorName
from specsearch.store.validation import require_query, require_valid

_UPSERT_BATCH = 256  # about 3 MB of JSON, far below the server's limit of 32 MB
_POLL_S = 0.5


@contextmanager
def server_call(action: str) -> Iterator[None]:
    """Turn what the client raises into a sentence with a next step."""
    try:
        yield
    except SpecsearchError:
        raise
    except UnexpectedResponse as error:
        raise _refusal(action, error.status_code or 0, error.content.decode(errors="replace")) from error
    except ResponseHandlingException as error:
        raise StoreError(
            f"The Qdrant server did not answer ({error.source}); could not {action}.",
            "Check the address, that the server runs, and the network.",
        ) from error
    except ValueError as error:  # the client's own checks, and its local mode
        raise StoreError(f"The Qdrant client could not {action}: {error}.") from error


def _refusal(action: str, status: int, detail: str) -> StoreError:
    if status in (401, 403):
        return StoreError(
            f"The Qdrant server does not accept the API key (HTTP {status}); could not {action}.",
            "Give a key with the needed rights.",
        )
    if status == 404:
        return LibraryNotFound(
            f"The Qdrant server has no such library or path (HTTP 404); could not {action}.",
            "Check the address and the name.",
        )
    next_step = "Look into the server's log." if status >= 500 else ""
    return StoreError(f"The Qdrant server answered HTTP {status}; could not {action}: {detail}", next_step)


class ServerCollection:
    """One library on a server; see `specsearch.store.store.Collection`.

    Parameters
    ----------
    client : QdrantClient
        Shared with the store; stays open.
    name : str
        Of the library.
    contract : Contract
    write : bool
    place : str, optional
        Name of the collection, where it is not the library's. An alias would not do: when it leads elsewhere,
        whoever has the library open would ask one model's vectors with another's.
    """

    def __init__(
        self, client: QdrantClient, name: str, contract: Contract, *, write: bool, place: str = ""
    ) -> None:
        self.name = name
        self.contract = contract
        self._place = place or name
        self._open_client: QdrantClient | None = client
        self._write = write

    @contextmanager
    def _client(self, action: str, *, write: bool = False) -> Iterator[QdrantClient]:
        if self._open_client is None:
            raise StoreError(f"The library {self.name!r} is closed.")
        if write and not self._write:
            raise StoreError(f"The library {self.name!r} is open for reading.", "Open it with write=True.")
        with server_call(f"{action} the library {self.name!r}"):
            yield self._open_client

    def count(self, filter: Filter | None = None, *, exact: bool = True) -> int:
        with self._client("count") as client:
            return client.count(self._place, count_filter=_filter(filter), exact=exact).count

    def upsert(self, points: Sequence[Point]) -> None:
        with self._client("write to", write=True) as client:
            require_valid(points, self.contract)
            for start in range(0, len(points), _UPSERT_BATCH):
                batch = [_point(point) for point in points[start : start + _UPSERT_BATCH]]
                client.upsert(self._place, batch, wait=True)

    def query(self, queries: Sequence[VectorQuery]) -> list[list[Hit]]:
        for query in queries:
            require_query(query, self.contract)
        plans = plan_searches(queries, lambda filter: self.count(filter, exact=False))
        requests = [
            models.QueryRequest(
                query=_vector(query.vector),
                using=query.vector_name,
                limit=query.limit,
                filter=_filter(query.filter),
                params=_params(plan),
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
                query=_vector(request.vector),
                using=request.vector_name,
                limit=max(1, len(request.point_ids)),
                filter=models.Filter(must=[models.HasIdCondition(has_id=list(request.point_ids))]),
                params=models.SearchParams(exact=not isinstance(request.vector, SparseVector)),
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
        with self._client("search") as client:
            return [answer.points for answer in client.query_batch_points(self._place, requests)]

    def fetch(
        self, point_ids: Sequence[str], *, with_vectors: bool = False, with_payload: bool = True
    ) -> dict[str, Record]:
        with self._client("read") as client:
            found = client.retrieve(
                self._place, list(point_ids), with_payload=with_payload, with_vectors=with_vectors
            )
        records = {str(record.id): _record(record) for record in found}
        return {point_id: records[point_id] for point_id in point_ids if point_id in records}

    def scroll(
        self, filter: Filter | None = None, *, batch: int = 1000, with_vectors: bool = False
    ) -> Iterator[Record]:
        offset: Any = None
        while True:
            with self._client("read") as client:
                records, offset = client.scroll(
                    self._place, _filter(filter), limit=batch, offset=offset, with_vectors=with_vectors
                )
            yield from map(_record, records)
            if offset is None:
                return

    def delete(self, point_ids: Sequence[str]) -> None:
        with self._client("delete from", write=True) as client:
            client.delete(self._place, models.PointIdsList(points=list(point_ids)), wait=True)

    def annotate(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        with self._client("write to", write=True) as client:
            records = self.fetch(list(values))
            operations = [
                models.SetPayloadOperation(
                    set_payload=models.SetPayload(
                        payload=annotated(record.payload, values[point_id]), points=[point_id]
                    )
                )
                for point_id, record in records.items()
            ]
            if operations:
                client.batch_update_points(self._place, operations, wait=True)

    def optimize(self) -> bool:
        """Wait until the server, which optimises by itself, has nothing more to do."""
        waited = False
        with self._client("optimize", write=True) as client:
            while client.get_collection(self._place).status == models.CollectionStatus.YELLOW:
                waited = True
                time.sleep(_POLL_S)
        return waited

    def info(self) -> CollectionInfo:
        with self._client("describe") as client:
            info = client.get_collection(self._place)
        return CollectionInfo(
            self.name,
            info.points_count or 0,
            info.segments_count,
            info.indexed_vectors_count or 0,
            info.status != models.CollectionStatus.RED,
            f"server, status {info.status.value}",
        )

    def flush(self) -> None:
        """Nothing to do: the server acknowledges a write once it is in its log."""
        with self._client("flush", write=True):
            return

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


def _point(point: Point) -> models.PointStruct:
    """All vectors of a point together, since writing a point replaces it whole; empty ones are missing."""
    vectors: dict[str, Any] = {VectorName.EMBEDDING: point.embedding.tolist()}
    if len(point.peaks):
        vectors[VectorName.PEAKS] = _vector(point.peaks)
    if len(point.losses):
        vectors[VectorName.LOSSES] = _vector(point.losses)
    return models.PointStruct(id=point.point_id, vector=vectors, payload=pack_payload(point.payload))


def _vector(vector: QueryVector) -> Any:
    if isinstance(vector, SparseVector):
        return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
    return vector.tolist()


def _params(plan: SearchPlan) -> models.SearchParams:
    acorn = models.AcornSearchParams(enable=True, max_selectivity=1.0) if plan.acorn else None
    return models.SearchParams(hnsw_ef=plan.ef, exact=plan.exact, acorn=acorn)


def _filter(filter: Filter | None) -> models.Filter | None:
    if filter is None:
        return None
    must: list[Any] = [
        models.FieldCondition(key=key, range=models.Range(gte=low, lte=high))
        for key, (low, high) in filter.ranges.items()
    ]
    must += [_any_of(key, values) for key, values in filter.required.items()]
    must_not: list[Any] = [_any_of(key, values) for key, values in filter.excluded.items()]
    if filter.exclude_point_ids:
        must_not.append(models.HasIdCondition(has_id=list(filter.exclude_point_ids)))
    return models.Filter(must=must, must_not=must_not)


def _any_of(key: str, values: tuple[str, ...]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))


def _record(record: models.Record) -> Record:
    vectors: Any = record.vector or {}
    dense = vectors.get(VectorName.EMBEDDING)
    return Record(
        str(record.id),
        unpack_payload(record.payload),
        None if dense is None else np.asarray(dense, dtype=np.float32),
        _read_sparse(vectors.get(VectorName.PEAKS)),
        _read_sparse(vectors.get(VectorName.LOSSES)),
    )


def _read_sparse(vector: models.SparseVector | None) -> SparseVector:
    if vector is None:
        return SparseVector()
    return SparseVector(np.asarray(vector.indices, np.uint32), np.asarray(vector.values, np.float32))
