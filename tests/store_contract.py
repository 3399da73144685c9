"""Points made in sight, the brute-force answer to a query, and the suite that every backend passes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from specsearch.errors import LibraryNotFound, StoreError
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.filters import Filter
from specsearch.store.points import Point, SparseVector, make_point, point_id
from specsearch.store.queries import Hit, ScoreRequest, VectorQuery
from specsearch.store.schema import Contract
from specsearch.store.store import Collection, Store

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


FILTERS = [
    None,
    Filter(precursor_mz=(200.0, 600.0)),
    Filter(exact_mass=(300.0, float("inf")), ion_mode="positive"),
    Filter(adduct=("[M+H]+", "[M-H]-"), formula="C3H4"),
    Filter(exclude_inchikey14=("KEY1", "KEY2")),
    Filter(exclude_point_ids=(point_id("lib", "A0"), point_id("lib", "A1")), library="lib"),
    Filter(library="another"),
]


class StoreContract:
    """Subclasses give a class-wide `store` fixture; names are new every time, since a server is shared."""

    @pytest.fixture
    def name(self, store: Store) -> Iterator[str]:
        name = free_name()
        yield name
        if store.exists(name):
            store.drop(name)

    @pytest.fixture(scope="class")
    @classmethod
    def stored(cls) -> list[Point]:
        return points(90)

    @pytest.fixture(scope="class")
    @classmethod
    def filled(cls, store: Store, stored: list[Point]) -> Iterator[Collection]:
        """Filled once; for tests that change nothing, or should not."""
        name = free_name()
        collection = store.create(name, CONTRACT)
        collection.upsert(stored)
        yield collection
        collection.close()
        store.drop(name)

    @pytest.fixture
    def fresh(self, store: Store, name: str, stored: list[Point]) -> Iterator[Collection]:
        """Filled anew, for tests that change it."""
        with store.create(name, CONTRACT) as collection:
            collection.upsert(stored)
            yield collection

    @pytest.mark.parametrize("filter", FILTERS)
    @pytest.mark.parametrize("vector_name", ["embedding", "peaks", "losses"])
    def test_query_is_brute_force(
        self, filled: Collection, stored: list[Point], filter: Filter | None, vector_name: str
    ) -> None:
        rng = np.random.default_rng(5)
        make: Callable[[], Any] = (lambda: unit(rng)) if vector_name == "embedding" else (lambda: sparse(rng))
        batch = [VectorQuery(vector_name, make(), 10, filter) for _ in range(3)]
        answers = filled.query(batch)
        assert len(answers) == len(batch)
        for query, hits in zip(batch, answers, strict=True):
            require_answer(hits, brute_force(stored, query), 10)

    def test_one_batch_mixes_vectors_and_payload_choices(
        self, filled: Collection, stored: list[Point]
    ) -> None:
        dense, by_peaks, bare = filled.query(
            [
                VectorQuery("embedding", stored[4].embedding, 1),
                VectorQuery("peaks", stored[7].peaks, 1, with_payload=("accession",)),
                VectorQuery("losses", stored[3].losses, 1, with_payload=False),
            ]
        )
        assert dense[0].payload == stored[4].payload
        assert by_peaks[0].payload == {"accession": "A7"}
        assert (bare[0].point_id, bare[0].payload) == (stored[3].point_id, {})

    def test_empty_questions_have_empty_answers(self, filled: Collection) -> None:
        assert filled.query([]) == []
        assert filled.query([VectorQuery("peaks", SparseVector(), 5)]) == [[]]
        assert filled.score([]) == []
        (scores,) = filled.score([ScoreRequest("embedding", points(1)[0].embedding, [])])
        assert scores.shape == (0,)
        assert filled.fetch([]) == {}

    def test_score_of_given_points(self, filled: Collection, stored: list[Point]) -> None:
        rng = np.random.default_rng(9)
        chosen = [stored[i] for i in (5, 80, 2, 33)]
        ids = [p.point_id for p in chosen]
        dense, peaks, losses = unit(rng), sparse(rng), sparse(rng)
        got = filled.score(
            [
                ScoreRequest("embedding", dense, ids),
                ScoreRequest("peaks", peaks, ids),
                ScoreRequest("losses", losses, ids),
            ]
        )
        for scores, query, vector_name in zip(
            got, (dense, peaks, losses), ("embedding", "peaks", "losses"), strict=True
        ):
            expected = [dot(query, getattr(p, vector_name)) for p in chosen]
            assert scores == pytest.approx(expected, abs=2e-3)

    def test_score_of_a_missing_point(self, filled: Collection, stored: list[Point]) -> None:
        ids = [point_id("lib", "nowhere"), stored[0].point_id]
        dense, peaks, empty = filled.score(
            [
                ScoreRequest("embedding", stored[0].embedding, ids),
                ScoreRequest("peaks", stored[0].peaks, ids),
                ScoreRequest("losses", SparseVector(), ids),
            ]
        )
        assert np.isnan(dense[0])
        assert dense[1] == pytest.approx(1.0, abs=2e-3)
        assert peaks.tolist() == pytest.approx([0.0, 1.0], abs=1e-5)
        assert empty.tolist() == [0.0, 0.0]

    def test_count(self, filled: Collection, stored: list[Point]) -> None:
        assert filled.count() == 90
        window = Filter(precursor_mz=(200.0, 600.0), ion_mode="positive")
        assert filled.count(window) == sum(matches(p.payload, window) for p in stored)
        assert filled.count(exact=False) == 90

    def test_range_keeps_values_on_its_bounds(self, store: Store, name: str) -> None:
        rng = np.random.default_rng(3)
        mz = rng.uniform(100, 1000, 60)
        batch = []
        for i, value in enumerate(mz.tolist()):
            spectrum = Spectrum.checked([50.0], [1.0], accession=f"B{i}", precursor_mz=value)
            batch.append(make_point("lib", spectrum, unit(rng), sparse(rng), sparse(rng)))
        with store.create(name, CONTRACT) as collection:
            collection.upsert(batch)
            for value in mz.tolist():
                assert collection.count(Filter(precursor_mz=(value, value))) == 1
                assert collection.count(Filter(precursor_mz=(value + 2e-6, value + 3e-6))) == 0

    def test_fetch_gives_what_is_there(self, filled: Collection, stored: list[Point]) -> None:
        gone = point_id("lib", "nowhere")
        found = filled.fetch([stored[2].point_id, gone, stored[0].point_id], with_vectors=True)
        assert list(found) == [stored[2].point_id, stored[0].point_id]
        for point in (stored[0], stored[2]):
            record = found[point.point_id]
            assert record.payload == point.payload
            assert record.embedding is not None
            np.testing.assert_allclose(record.embedding, point.embedding, atol=1e-3)
            for vector_name in ("peaks", "losses"):
                got, put = getattr(record, vector_name), getattr(point, vector_name)
                assert got.indices.tolist() == put.indices.tolist()
                np.testing.assert_array_equal(got.values, put.values)
        assert filled.fetch([stored[0].point_id])[stored[0].point_id].embedding is None

    def test_scroll_sees_each_point_once(self, filled: Collection, stored: list[Point]) -> None:
        seen = [record.point_id for record in filled.scroll(batch=7)]
        assert sorted(seen) == sorted(p.point_id for p in stored)
        window = Filter(ion_mode="negative")
        some = list(filled.scroll(window, batch=4, with_vectors=True))
        assert {r.point_id for r in some} == {p.point_id for p in stored if matches(p.payload, window)}
        assert all(record.embedding is not None for record in some)

    def test_upsert_again_changes_nothing(self, filled: Collection, stored: list[Point]) -> None:
        filled.upsert(stored[:20])
        assert filled.count() == 90
        query = VectorQuery("peaks", stored[0].peaks, 5)
        require_answer(filled.query([query])[0], brute_force(stored, query), 5)

    def test_upsert_replaces_the_whole_point(self, fresh: Collection, stored: list[Point]) -> None:
        payload = {**stored[1].payload, "accession": "A0", "spectrum_id": "lib:A0"}
        without_losses = Point(
            stored[0].point_id, stored[1].embedding, stored[1].peaks, SparseVector(), payload
        )
        fresh.upsert([without_losses])
        record = fresh.fetch([stored[0].point_id], with_vectors=True)[stored[0].point_id]
        assert record.payload == without_losses.payload
        assert len(record.losses) == 0

    def test_delete(self, fresh: Collection, stored: list[Point]) -> None:
        fresh.delete([stored[0].point_id, stored[5].point_id, point_id("lib", "nowhere")])
        assert fresh.count() == 88
        assert fresh.fetch([stored[0].point_id]) == {}
        query = VectorQuery("embedding", stored[0].embedding, 100)
        left = [p for p in stored if p not in (stored[0], stored[5])]
        require_answer(fresh.query([query])[0], brute_force(left, query), 100)

    @pytest.mark.parametrize(
        "fault", ["nan", "inf", "zero", "short", "unsorted", "sparse nan", "twice", "norm"]
    )
    def test_a_bad_point_stops_its_whole_batch(
        self, filled: Collection, stored: list[Point], fault: str
    ) -> None:
        batch = points(5, seed=1, first=1000)
        batch[3] = spoiled(batch[3], batch[2], fault)
        with pytest.raises(StoreError, match="cannot be stored"):
            filled.upsert(batch)
        assert filled.count() == 90
        assert filled.fetch([p.point_id for p in batch]) == {}

    @pytest.mark.parametrize(
        "query",
        [
            VectorQuery("embedding", np.full(SIZE, np.nan, np.float32), 5),
            VectorQuery("embedding", np.zeros(SIZE, np.float32), 5),
            VectorQuery("embedding", np.ones(SIZE - 1, np.float32), 5),
            VectorQuery("embedding", np.ones(SIZE, np.float32), 0),
            VectorQuery("peaks", np.ones(SIZE, np.float32), 5),
            VectorQuery("embedding", SparseVector(), 5),
            VectorQuery("peaks", SparseVector(np.array([3, 1], np.uint32), np.ones(2, np.float32)), 5),
        ],
    )
    def test_a_bad_query_is_refused(self, filled: Collection, query: VectorQuery) -> None:
        with pytest.raises(StoreError):
            filled.query([query])

    def test_life_of_a_library(self, store: Store, name: str, stored: list[Point]) -> None:
        assert not store.exists(name)
        assert name not in store.libraries()
        with pytest.raises(LibraryNotFound, match=name):
            store.open(name)
        with store.create(name, CONTRACT) as collection:
            collection.upsert(stored)
            collection.flush()
            collection.optimize()
            assert collection.info().n_points == 90
            assert collection.info().is_healthy
        with pytest.raises(StoreError, match="already"):
            store.create(name, CONTRACT)
        assert store.exists(name)
        assert name in store.libraries()
        with store.open(name) as collection:
            collection.contract.require_same(CONTRACT)
            assert collection.contract.engine
            assert collection.count() == 90
            for change in (
                lambda: collection.upsert(stored),
                lambda: collection.delete([stored[0].point_id]),
                collection.optimize,
                collection.flush,
            ):
                with pytest.raises(StoreError, match="open for reading"):
                    change()
        with pytest.raises(StoreError, match="closed"):
            collection.count()
        collection.close()
        store.drop(name)
        assert not store.exists(name)
        with pytest.raises(LibraryNotFound):
            store.drop(name)
        store.create(name, CONTRACT).close()
        with store.open(name) as collection:
            assert collection.count() == 0

    @pytest.mark.parametrize(
        "bad", ["", ".", "..", "../x", "a/b", "a\\b", "/etc", ".hidden", "x" * 101, "a\n"]
    )
    def test_names_that_are_no_names(self, store: Store, bad: str) -> None:
        for act in (store.open, store.drop, store.exists, lambda n: store.create(n, CONTRACT)):
            with pytest.raises(StoreError, match="cannot be the name"):
                act(bad)


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
