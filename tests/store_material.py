"""Points made in sight, and the brute-force answer to a query."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from specsearch.spectra.spectrum import Spectrum
from specsearch.store.filters import Filter
from specsearch.store.points import Point, SparseVector, make_point
from specsearch.store.queries import Hit, VectorQuery
from specsearch.store.schema import Contract

SIZE = 16
CONTRACT = Contract("digest-1", "state", SIZE, "clean-1", "binned-1")
ADDUCTS = ("[M+H]+", "[M+Na]+", "[M-H]-")


def free_name() -> str:
    """A name that no other run of the tests on the same server has."""
    return f"specsearch-test-{uuid.uuid4().hex}"


def sparse(rng: np.random.Generator, n_values: int = 6) -> SparseVector:
    indices = np.sort(rng.choice(40, n_values, replace=False)).astype(np.uint32)
    values = rng.random(n_values) + 0.1
    return SparseVector(indices, (values / np.linalg.norm(values)).astype(np.float32))


def unit(rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    vector = rng.normal(size=size)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def points(n: int, seed: int = 0, library: str = "lib", first: int = 0) -> list[Point]:
    """Points with every third one lacking a precursor, and so its losses."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(first, first + n):
        adduct = ADDUCTS[i % 3]
        spectrum = Spectrum.checked(
            [50.0, 60.0 + i],
            [1.0, 0.5],
            accession=f"A{i}",
            precursor_mz=None if i % 3 == 2 else float(rng.uniform(100, 900)),
            charge=-1 if adduct.endswith("-") else 1,
            adduct=adduct,
            metadata={"formula": f"C{i % 7}H4", "note": f"n{i}"},
        )
        losses = SparseVector() if spectrum.precursor_mz is None else sparse(rng)
        extra = {"inchikey14": f"KEY{i % 5}", "exact_mass": float(rng.uniform(100, 900))}
        made.append(make_point(library, spectrum, unit(rng), sparse(rng), losses, extra))
    return made


def dot(a: Any, b: Any) -> float:
    if isinstance(a, SparseVector):
        left = dict(zip(a.indices.tolist(), a.values.tolist(), strict=True))
        return sum(left.get(i, 0.0) * v for i, v in zip(b.indices.tolist(), b.values.tolist(), strict=True))
    return float(np.dot(a.astype(float), b.astype(float)) / np.linalg.norm(a) / np.linalg.norm(b))


def matches(payload: dict[str, Any], f: Filter) -> bool:
    for key in ("precursor_mz", "exact_mass"):
        bounds = getattr(f, key)
        if bounds and not (key in payload and bounds[0] - 5e-7 <= payload[key] <= bounds[1] + 5e-7):
            return False
    for key in ("ion_mode", "adduct", "formula", "library", "inchikey14", "splash"):
        wanted = getattr(f, key)
        if wanted is not None and payload.get(key) not in ((wanted,) if isinstance(wanted, str) else wanted):
            return False
    return payload.get("inchikey14") not in f.exclude_inchikey14 and (
        payload.get("splash") not in f.exclude_splash
    )


def brute_force(stored: list[Point], query: VectorQuery) -> dict[str, float]:
    """All scores by plain arithmetic; a sparse search finds only what shares a bin."""
    f = query.filter or Filter()
    scores = {
        p.point_id: dot(query.vector, getattr(p, query.vector_name))
        for p in stored
        if matches(p.payload, f) and p.point_id not in f.exclude_point_ids
    }
    if isinstance(query.vector, SparseVector):
        scores = {point: score for point, score in scores.items() if score > 0}
    return scores


def require_answer(hits: list[Hit], expected: dict[str, float], limit: int) -> None:
    """Same scores in the same order; which of two equal points comes first is nobody's business."""
    best = sorted(expected.values(), reverse=True)[:limit]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=2e-3)  # float16
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.point_id], abs=2e-3)


def spoiled(point: Point, other: Point, fault: str) -> Point:
    """A copy of a point with one fault."""
    embedding, peaks, identity = point.embedding.copy(), point.peaks, point.point_id
    if fault in ("nan", "inf"):
        embedding[2] = float(fault)
    elif fault == "zero":
        embedding[:] = 0
    elif fault == "norm":
        embedding *= 1.01
    elif fault == "short":
        embedding = embedding[:-1]
    elif fault == "unsorted":
        peaks = SparseVector(peaks.indices[::-1].copy(), peaks.values)
    elif fault == "sparse nan":
        peaks = SparseVector(peaks.indices, np.full(len(peaks), np.nan, np.float32))
    elif fault == "twice":
        identity = other.point_id
    return Point(identity, embedding, peaks, point.losses, point.payload)
