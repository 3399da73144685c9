"""Our words in the language of the client of a Qdrant server: settings, points, searches."""

from __future__ import annotations

from typing import Any, Final

from qdrant_client import models

from specsearch.store.filters import Filter
from specsearch.store.payload import pack_payload
from specsearch.store.planner import LARGE_INDEX, SearchPlan
from specsearch.store.points import Point, SparseVector
from specsearch.store.queries import QueryVector
from specsearch.store.schema import Contract, Layout, VectorName
from specsearch.store.server_settings import OVERSAMPLING, QUANTILE, Quantization, ServerSettings

INDEXING_OFF: Final = 0  # the server's way to say that no segment is large enough for a graph
INDEXING_ON: Final = LARGE_INDEX.indexing_threshold_kb
OLDEST_SERVER: Final = (1, 16)  # keeps metadata of collections, and so contracts


def collection_config(contract: Contract, settings: ServerSettings) -> dict[str, Any]:
    """The vectors and the graph of the embedded engine; the graph is built when all points are there."""
    return {
        "vectors_config": {
            VectorName.EMBEDDING: models.VectorParams(
                size=contract.embedding_size,
                distance=models.Distance.COSINE,
                datatype=models.Datatype.FLOAT16,
                quantization_config=_quantization_config(settings.quantization),
                on_disk=settings.on_disk or None,
            )
        },
        "sparse_vectors_config": {
            name: models.SparseVectorParams(index=models.SparseIndexParams(on_disk=settings.on_disk or None))
            for name in contract.layout.sparse_vectors
        },
        "hnsw_config": models.HnswConfigDiff(
            m=LARGE_INDEX.m,
            ef_construct=LARGE_INDEX.ef_construct,
            full_scan_threshold=LARGE_INDEX.full_scan_threshold_kb,
        ),
        "optimizers_config": models.OptimizersConfigDiff(
            default_segment_number=1, indexing_threshold=INDEXING_OFF
        ),
        "shard_number": settings.shards,
        "replication_factor": settings.replicas,
        "write_consistency_factor": settings.write_consistency,
        "on_disk_payload": settings.on_disk or None,
    }


def _quantization_config(quantization: Quantization) -> Any:
    if quantization is Quantization.INT8:
        return models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(
                type=models.ScalarType.INT8, quantile=QUANTILE, always_ram=True
            )
        )
    if quantization is Quantization.BINARY:
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None


def settings_of(info: models.CollectionInfo) -> ServerSettings:
    """How a collection was made, as the server tells it."""
    params = info.config.params
    dense = _dense(info)
    return ServerSettings(
        params.shard_number,
        params.replication_factor,
        params.write_consistency_factor,
        quantization_of(info),
        bool(dense and dense.on_disk),
    )


def quantization_of(info: models.CollectionInfo) -> Quantization:
    """How the embeddings of a collection are made smaller."""
    dense = _dense(info)
    config = (dense and dense.quantization_config) or info.config.quantization_config
    if isinstance(config, models.ScalarQuantization):
        return Quantization.INT8
    return Quantization.BINARY if isinstance(config, models.BinaryQuantization) else Quantization.NONE


def _dense(info: models.CollectionInfo) -> models.VectorParams | None:
    vectors = info.config.params.vectors
    return vectors.get(VectorName.EMBEDDING) if isinstance(vectors, dict) else None


def payload_indexes(layout: Layout, *, on_disk: bool = False) -> dict[str, Any]:
    """Indexed keys; enable_hnsw=False since extra edges per value make building 2.5 times slower."""
    more: dict[str, Any] = {"enable_hnsw": False, "on_disk": on_disk or None}
    floats = {
        key: models.FloatIndexParams(type=models.FloatIndexType.FLOAT, **more) for key in layout.float_indexes
    }
    keywords = {
        key: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, **more)
        for key in layout.keyword_indexes
    }
    return {**floats, **keywords}


def point(point: Point) -> models.PointStruct:
    """All vectors of a point together, since writing a point replaces it whole; empty ones are missing."""
    vectors: dict[str, Any] = {VectorName.EMBEDDING: point.embedding.tolist()}
    if len(point.peaks):
        vectors[VectorName.PEAKS] = vector(point.peaks)
    if len(point.losses):
        vectors[VectorName.LOSSES] = vector(point.losses)
    return models.PointStruct(id=point.point_id, vector=vectors, payload=pack_payload(point.payload))


def vector(vector: QueryVector) -> Any:
    if isinstance(vector, SparseVector):
        return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
    return vector.tolist()


def params(vector: QueryVector, plan: SearchPlan, quantization: Quantization) -> models.SearchParams:
    acorn = models.AcornSearchParams(enable=True, max_selectivity=1.0) if plan.acorn else None
    rescoring = None if isinstance(vector, SparseVector) else _rescoring(plan.exact, quantization)
    return models.SearchParams(hnsw_ef=plan.ef, exact=plan.exact, acorn=acorn, quantization=rescoring)


def _rescoring(exact: bool, quantization: Quantization) -> models.QuantizationSearchParams | None:
    """Small vectors choose, stored ones decide; an exact search looks at the stored ones alone."""
    if quantization is Quantization.NONE:
        return None
    if exact:
        return models.QuantizationSearchParams(ignore=True)
    return models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING[quantization])


def exactly(vector: QueryVector, quantization: Quantization) -> models.SearchParams:
    """For the scores of given points; the inverted index of sparse vectors is exact as it is."""
    if isinstance(vector, SparseVector):
        return models.SearchParams(exact=False)
    return models.SearchParams(exact=True, quantization=_rescoring(True, quantization))


def filter(filter: Filter | None) -> models.Filter | None:
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
