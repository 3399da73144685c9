"""The embedded engine's language: settings, errors, points, queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import qdrant_edge as engine

from specsearch.errors import SpecsearchError, StoreError, StoreFull
from specsearch.store.filters import Filter
from specsearch.store.integrity import SHARD
from specsearch.store.payload import pack_payload
from specsearch.store.planner import IndexSettings, SearchPlan
from specsearch.store.points import Point, SparseVector
from specsearch.store.queries import QueryVector
from specsearch.store.schema import Contract, VectorName

ENGINE = "qdrant-edge-py"
ENGINE_VERSION = version(ENGINE)
_BYTES_PER_SPARSE_VALUE = 16  # storage and inverted index
_BYTES_PER_PAYLOAD = 4096
_NO_SPACE = "os error 28"
_FLOAT16_BYTES = 2
# Indexes are mapped files, which the system lets go of when others need the memory; read once when opened.
_MAPPED = engine.Memory.Cached


@contextmanager
def engine_call(action: str, library: Path) -> Iterator[None]:
    """Turn what the engine raises into a sentence; it knows no type but `Exception`."""
    try:
        yield
    except SpecsearchError:
        raise
    except Exception as error:
        if _NO_SPACE in str(error):  # even opening for a search writes a little
            raise StoreFull(
                f"The disk is full: the embedded engine could not {action} the library in {library}.",
                "Free some space and run the same command again; what was stored so far is kept.",
            ) from error
        raise StoreError(
            f"The embedded engine could not {action} the library in {library}: {error}.",
            "If it happens again, index the library again from its files.",
        ) from error


def shard_config(contract: Contract, settings: IndexSettings) -> engine.EdgeConfig:
    """What a shard holds and how it is indexed."""
    return engine.EdgeConfig(
        vectors={
            VectorName.EMBEDDING: engine.EdgeVectorParams(
                size=contract.embedding_size,
                distance=engine.Distance.Cosine,
                datatype=engine.VectorStorageDatatype.Float16,
            )
        },
        sparse_vectors={
            name: engine.EdgeSparseVectorParams(memory=_MAPPED) for name in contract.layout.sparse_vectors
        },
        hnsw_config=engine.HnswIndexConfig(
            m=settings.m,
            ef_construct=settings.ef_construct,
            full_scan_threshold=settings.full_scan_threshold_kb,
        ),
        optimizers=engine.EdgeOptimizersConfig(
            default_segment_number=1,
            max_segment_size=_kilobytes(settings.segment_points, contract),
            indexing_threshold=settings.indexing_threshold_kb,
        ),
        id_tracker_memory=_MAPPED,
        wal_enabled=True,  # without it a crash loses data, and a second opener is not noticed
    )


def _kilobytes(n_points: int | None, contract: Contract) -> int | None:
    """Of their vectors, by which the engine measures segments."""
    return None if n_points is None else n_points * contract.embedding_size * _FLOAT16_BYTES // 1000


def create_shard(library: Path, contract: Contract, settings: IndexSettings) -> None:
    """Make an empty shard in the library's folder and close it."""
    # enable_hnsw=False: extra graph edges per indexed value make building 2.5 times slower.
    layout = contract.layout
    indexes: dict[str, Any] = {
        key: engine.FloatIndexParams(enable_hnsw=False, memory=_MAPPED) for key in layout.float_indexes
    }
    indexes |= {
        key: engine.KeywordIndexParams(enable_hnsw=False, memory=_MAPPED) for key in layout.keyword_indexes
    }
    with engine_call("create", library):
        (library / SHARD).mkdir()
        shard = engine.EdgeShard.create(str(library / SHARD), shard_config(contract, settings))
        for key, params in indexes.items():
            shard.update(engine.UpdateOperation.create_field_index(key, params))
        shard.flush()
        shard.close()


def estimated_bytes(point: Point) -> int:
    """Space a point takes, generously: the float32 log entry, the float16 storage, values, payload."""
    n_values = len(point.peaks) + len(point.losses)
    return 6 * len(point.embedding) + _BYTES_PER_SPARSE_VALUE * n_values + _BYTES_PER_PAYLOAD


def point(point: Point) -> engine.Point:
    """All vectors of a point together, since writing a point replaces it whole; empty ones are missing."""
    vectors: dict[str, Any] = {VectorName.EMBEDDING: point.embedding.tolist()}
    if len(point.peaks):
        vectors[VectorName.PEAKS] = _sparse(point.peaks)
    if len(point.losses):
        vectors[VectorName.LOSSES] = _sparse(point.losses)
    return engine.Point(point.point_id, vectors, pack_payload(point.payload))


def _sparse(vector: SparseVector) -> engine.SparseVector:
    return engine.SparseVector(vector.indices.tolist(), vector.values.tolist())


def nearest(name: str, vector: QueryVector) -> engine.Query:
    values = _sparse(vector) if isinstance(vector, SparseVector) else vector.tolist()
    return engine.Query.Nearest(values, using=name)


def params(plan: SearchPlan) -> engine.SearchParams:
    acorn = engine.AcornSearchParams(enable=True, max_selectivity=1.0) if plan.acorn else None
    return engine.SearchParams(hnsw_ef=plan.ef, exact=plan.exact, acorn=acorn)


def filter(filter: Filter | None) -> engine.Filter | None:
    if filter is None:
        return None
    must: list[Any] = [
        engine.FieldCondition(key, range=engine.RangeFloat(gte=low, lte=high))
        for key, (low, high) in filter.ranges.items()
    ]
    must += [
        engine.FieldCondition(key, match=engine.MatchAny(list(values)))
        for key, values in filter.required.items()
    ]
    must_not: list[Any] = [
        engine.FieldCondition(key, match=engine.MatchAny(list(values)))
        for key, values in filter.excluded.items()
    ]
    if filter.exclude_point_ids:
        must_not.append(engine.HasIdCondition(set(filter.exclude_point_ids)))
    return engine.Filter(must=must, must_not=must_not)
