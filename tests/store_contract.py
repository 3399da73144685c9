"""The suite that every backend of the store passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from store_material import (
    CONTRACT,
    SIZE,
    brute_force,
    dot,
    free_name,
    matches,
    points,
    require_answer,
    sparse,
    spoiled,
    unit,
)

from specsearch.errors import LibraryNotFound, StoreError
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.filters import Filter
from specsearch.store.points import Point, SparseVector, make_point, point_id
from specsearch.store.queries import ScoreRequest, VectorQuery
from specsearch.store.store import Collection, Store

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
                VectorQuery("peaks", stored[7].peaks, 1),
                VectorQuery("losses", stored[3].losses, 1, with_payload=False),
            ]
        )
        assert dense[0].payload == stored[4].payload
        assert by_peaks[0].payload == stored[7].payload
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

    def test_annotate_leaves_all_else(self, fresh: Collection, stored: list[Point]) -> None:
        one, other = stored[0].point_id, stored[1].point_id
        before = fresh.fetch([one, other], with_vectors=True)
        fresh.annotate({one: {"cluster": 7, "note": "é"}, point_id("lib", "nowhere"): {"cluster": 1}})
        after = fresh.fetch([one, other], with_vectors=True)
        assert after[one].payload == {**before[one].payload, "cluster": 7, "note": "é"}
        assert after[other].payload == before[other].payload
        assert np.array_equal(after[one].embedding, before[one].embedding)
        assert np.array_equal(after[one].peaks.values, before[one].peaks.values)
        query = VectorQuery("embedding", stored[0].embedding, 100)
        require_answer(fresh.query([query])[0], brute_force(stored, query), 100)
        fresh.annotate({one: {"cluster": None, "note": None}})
        assert fresh.fetch([one])[one].payload == before[one].payload
        with pytest.raises(StoreError, match="adduct"):
            fresh.annotate({one: {"adduct": "[M+K]+"}})

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

    def test_generations_change_places(self, store: Store, name: str, stored: list[Point]) -> None:
        """A library's name leads to one of two, whole, at every moment; the end is as the beginning."""
        other, again = replace(CONTRACT, encoder_digest="digest-2"), points(90, seed=1)
        with store.create(name, CONTRACT) as collection:
            collection.upsert(stored)
        generations = store.generations(name)
        assert generations.kept() is None
        with generations.making(other) as made:
            made.upsert(again)
            made.optimize()
            with store.open(name) as current:
                require_generation(current, "digest-1", stored)
        generations.publish()
        for now, before in (((other, again), (CONTRACT, stored)), ((CONTRACT, stored), (other, again))):
            kept = generations.kept()
            assert kept is not None
            assert kept.encoder_digest == before[0].encoder_digest
            with store.open(name) as current, generations.open_kept() as older:
                require_generation(current, now[0].encoder_digest, now[1])
                require_generation(older, before[0].encoder_digest, before[1])
            with pytest.raises(StoreError, match="still kept"), generations.making(other):
                pass
            if now[0] is other:
                generations.turn_back()
        generations.drop_kept()
        assert generations.kept() is None
        for act in (generations.open_kept, generations.turn_back, generations.drop_kept):
            with pytest.raises(StoreError, match="Nothing older is kept"):
                act()
        with store.open(name) as current:
            require_generation(current, "digest-1", stored)
        store.drop(name)
        assert not store.exists(name)
        with store.create(name, CONTRACT) as collection:
            assert collection.count() == 0

    def test_a_generation_that_failed_leaves_the_library(
        self, store: Store, name: str, stored: list[Point]
    ) -> None:
        other = replace(CONTRACT, encoder_digest="digest-2")
        with store.create(name, CONTRACT) as collection:
            collection.upsert(stored)
        generations = store.generations(name)

        def fail() -> None:
            with generations.making(other) as made:
                made.upsert(points(5))
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        generations.publish()
        assert generations.kept() is None
        with store.open(name) as current:
            require_generation(current, "digest-1", stored)


def require_generation(collection: Collection, digest: str, wanted: list[Point]) -> None:
    """Whose vectors a library is of, and that they are those of the points wanted."""
    assert collection.contract.encoder_digest == digest
    assert collection.count() == len(wanted)
    query = VectorQuery("embedding", wanted[4].embedding, 1)
    require_answer(collection.query([query])[0], brute_force(wanted, query), 1)
    (hit,) = collection.query([query])[0]
    assert hit.score == pytest.approx(1.0, abs=2e-3)
