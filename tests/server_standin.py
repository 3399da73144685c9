"""A stand-in for a Qdrant server under the real client, and a way to it on which calls go wrong.

The client serialises as ever and reads real HTTP answers, but no network and no server is there: the requests
are answered by the client's own local mode. That proves our calls, our retries and what we say; it proves
nothing about the recall, speed or durability of Qdrant.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models
from qdrant_client.http import models as rest

from specsearch.store.server import ServerStore
from specsearch.store.server_settings import ServerSettings
from specsearch.store.server_terms import OLDEST_SERVER

ADDRESS = "http://standin.test:6333"
_WRITES = ("PUT", "PATCH", "DELETE")
_SELECTED: TypeAdapter[Any] = TypeAdapter(rest.PointsSelector)
_SCHEMA: TypeAdapter[Any] = TypeAdapter(rest.PayloadFieldSchema)


class StandInServer(httpx.BaseTransport):
    """Answers the calls of `specsearch.store.server` in REST.

    Parameters
    ----------
    version : str
        That it says it has; those too old for us do not tell a collection's metadata.
    """

    def __init__(self, version: str = "1.19.1") -> None:
        self.local = QdrantClient(":memory:")
        self.version = version
        self.asked: list[tuple[str, str, Any]] = []  # method, path, body of every request
        self.states: list[dict[str, Any]] = []  # what the next looks at a collection show, over the truth
        self._configs: dict[str, dict[str, Any]] = {}  # as created and patched; the local mode forgets it
        self._indexes: dict[str, dict[str, Any]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        content = request.read()
        body = json.loads(content) if content else None
        self.asked.append((request.method, request.url.path, body))
        try:
            result = self._result(request.method, request.url.path.strip("/").split("/"), body)
        except ValueError as error:
            return _error(_status_of(str(error)), str(error))
        if request.url.path == "/":
            return httpx.Response(200, json=result)
        return httpx.Response(200, json={"result": _plain(result), "status": "ok", "time": 0.0})

    def _result(self, method: str, path: list[str], body: Any) -> Any:
        match method, path:
            case "GET", [""]:
                return {"title": "stand-in", "version": self.version}
            case "GET", ["collections"]:
                return self.local.get_collections()
            case "GET", ["aliases"]:
                return self.local.get_aliases()
            case "POST", ["collections", "aliases"]:
                return self.local.update_collection_aliases(models.ChangeAliasesOperation(**body).actions)
            case "GET", ["collections", name, "exists"]:
                return {"exists": self.local.collection_exists(name)}
            case "GET", ["collections", name]:
                return self._info(name)
            case "PUT", ["collections", name]:
                return self._create(name, body)
            case "PATCH", ["collections", name]:
                return self._patch(name, body)
            case "DELETE", ["collections", name]:
                self._configs.pop(name, None)
                self._indexes.pop(name, None)
                return self.local.delete_collection(name)
            case "PUT", ["collections", name, "index"]:
                _SCHEMA.validate_python(body["field_schema"])
                self.local.get_collection(name)
                self._indexes[name][body["field_name"]] = body["field_schema"]
                return _done()
        return self._points(method, path[1], path[2:], body)

    def _points(self, method: str, name: str, rest_of_path: list[str], body: Any) -> Any:
        local = self.local
        match method, rest_of_path:
            case "PUT", ["points"]:
                local.upsert(name, [models.PointStruct(**point) for point in body["points"]])
                return _done()
            case "POST", ["points"]:
                asked = models.PointRequest(**body)
                return local.retrieve(name, asked.ids, asked.with_payload, asked.with_vector or False)
            case "POST", ["points", "delete"]:
                local.delete(name, _SELECTED.validate_python(body))
                return _done()
            case "POST", ["points", "count"]:
                count = models.CountRequest(**body)
                return local.count(name, count.filter, exact=bool(count.exact))
            case "POST", ["points", "scroll"]:
                page = models.ScrollRequest(**body)
                records, offset = local.scroll(
                    name,
                    page.filter,
                    limit=page.limit or 10,
                    offset=page.offset,
                    with_payload=True if page.with_payload is None else page.with_payload,
                    with_vectors=page.with_vector or False,
                )
                return {"points": _plain(records), "next_page_offset": offset}
            case "POST", ["points", "query", "batch"]:
                batch = models.QueryRequestBatch(**body)
                return local.query_batch_points(name, batch.searches)
            case "POST", ["points", "batch"]:
                local.batch_update_points(name, models.UpdateOperations(**body).operations)
                return [_done()]
        raise AssertionError(f"the stand-in knows no {method} {'/'.join(rest_of_path)}")

    def _create(self, name: str, body: dict[str, Any]) -> bool:
        asked = models.CreateCollection(**body)
        made = self.local.create_collection(
            name, asked.vectors, sparse_vectors_config=asked.sparse_vectors, metadata=asked.metadata
        )
        self._configs[name] = body
        self._indexes[name] = {}
        return made

    def _patch(self, name: str, body: dict[str, Any]) -> bool:
        asked = models.UpdateCollection(**body)
        self.local.update_collection(name, metadata=asked.metadata)
        self._configs[name].setdefault("optimizers_config", {}).update(body.get("optimizers_config", {}))
        return True

    def _info(self, name: str) -> dict[str, Any]:
        info = _plain(self.local.get_collection(name))
        config = self._configs.get(name, {})
        if tuple(map(int, self.version.split(".")[:2])) < OLDEST_SERVER:
            info["config"].pop("metadata", None)
        for key in ("shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload"):
            info["config"]["params"][key] = config.get(key)
        info["config"]["hnsw_config"].update(config.get("hnsw_config", {}))
        info["config"]["optimizer_config"].update(config.get("optimizers_config", {}))
        indexes = self._indexes.get(name, {})
        info["payload_schema"] = {
            key: {"data_type": schema["type"], "params": schema, "points": 0}
            for key, schema in indexes.items()
        }
        return info | (self.states.pop(0) if self.states else {})

    def place(self, library: str) -> str:
        """The collection that a library's alias leads to."""
        aliases = self.local.get_aliases().aliases
        return next(alias.collection_name for alias in aliases if alias.alias_name == library)

    def indexed_fields(self, library: str) -> set[str]:
        """Keys of payloads that an index was asked for."""
        return set(self._indexes[self.place(library)])

    def forget_indexes(self, library: str) -> None:
        """As if whoever created the collection had not got to them."""
        self._indexes[self.place(library)].clear()

    def threshold(self, library: str) -> int:
        """The size from which on vectors are indexed; 0 is never."""
        return self._info(self.place(library))["config"]["optimizer_config"]["indexing_threshold"]


def _plain(value: Any) -> Any:
    """As JSON would have it."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value


def _done() -> dict[str, Any]:
    return {"operation_id": 0, "status": "completed"}


def _status_of(error: str) -> int:
    if "already exists" in error:
        return 409
    return 404 if "not found" in error else 400


def _error(status: int, words: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"status": {"error": words}, "time": 0.0}, headers=headers)


# Faults: what becomes of one request


def refused(request: httpx.Request, server: StandInServer) -> httpx.Response:
    """It never arrives."""
    raise httpx.ConnectError("Connection refused", request=request)


def timed_out(request: httpx.Request, server: StandInServer) -> httpx.Response:
    """It takes effect, and nobody hears of it: the worst that a time-out can be."""
    server.handle_request(request)
    raise httpx.ReadTimeout("timed out", request=request)


def cut_off(request: httpx.Request, server: StandInServer) -> httpx.Response:
    """It takes effect; the connection ends before the answer does."""
    server.handle_request(request)
    raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)


def broken(request: httpx.Request, server: StandInServer) -> httpx.Response:
    return _error(500, "Service internal error: something broke")


def away(request: httpx.Request, server: StandInServer) -> httpx.Response:
    return _error(503, "Service unavailable")


def busy(request: httpx.Request, server: StandInServer) -> httpx.Response:
    return _error(429, "Too many requests", **{"Retry-After": "0"})


def half_done(request: httpx.Request, server: StandInServer) -> httpx.Response:
    """Half of a batch of points is written, then it breaks; what is no such batch just breaks."""
    body = json.loads(request.read() or b"{}")
    if request.method == "PUT" and isinstance(body.get("points"), list):
        body["points"] = body["points"][: len(body["points"]) // 2]
        server.handle_request(httpx.Request("PUT", request.url, json=body))
    return _error(500, "Service internal error: 1 of 2 update operations failed")


Fault = Callable[[httpx.Request, StandInServer], httpx.Response]
FAULTS: tuple[Fault, ...] = (refused, timed_out, cut_off, broken, away, busy, half_done)


def scattered(seed: int, share: float) -> Iterator[Fault | None]:
    """Faults of all kinds, by chance, in that share of the requests."""
    rng = random.Random(seed)
    while True:
        yield rng.choice(FAULTS) if rng.random() < share else None


def from_request(n: int, fault: Fault) -> Iterator[Fault | None]:
    """All is well for `n` requests, and nothing after."""
    for _ in range(n):
        yield None
    while True:
        yield fault


def once(faults: Sequence[Fault | None]) -> Iterator[Fault | None]:
    """These, one a request, and then all is well."""
    yield from faults
    while True:
        yield None


@dataclass
class FaultyWay(httpx.BaseTransport):
    """What lies between the client and the stand-in.

    Parameters
    ----------
    server : StandInServer
    schedule : iterator of Fault or None
        What becomes of each request, in turn.
    """

    server: StandInServer
    schedule: Iterator[Fault | None] = field(default_factory=lambda: once(()))
    n_faults: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        fault = next(self.schedule)
        if fault is None:
            return self.server.handle_request(request)
        self.n_faults += 1
        return fault(request, self.server)


def forbidding(request: httpx.Request, server: StandInServer) -> httpx.Response:
    """A key that may only read."""
    is_read = request.method == "GET" or request.url.path.endswith(("/count", "/scroll", "/batch", "/points"))
    if request.method in _WRITES or not is_read:
        return _error(403, "Forbidden: Global manage access is required")
    return server.handle_request(request)


def connected(way: httpx.BaseTransport, settings: ServerSettings | None = None) -> ServerStore:
    """The store as it is opened, over a way of ours; it has no gRPC, so points go over HTTP."""
    client = QdrantClient(url=ADDRESS, check_compatibility=False, transport=way)
    return ServerStore(client, settings)
