"""Search against brute force: every library spectrum scored directly, in numpy, without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from samples import embedder, spectra

from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.tokens import token_input
from specsearch.errors import ContractMismatch
from specsearch.search.fusion import FUSIONS, FusionWeights
from specsearch.search.similar import (
    NO_FRAGMENTS,
    NO_PRECURSOR,
    Answer,
    SearchSettings,
    SimilarHit,
    SimilaritySearch,
)
from specsearch.spectra.binned import bin_spectra
from specsearch.spectra.cleaning import RESCORING_RECIPE, clean
from specsearch.spectra.similarity import entropy_similarity, modified_cosine
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.filters import Filter
from specsearch.store.points import make_point
from specsearch.store.store import Collection, Store, open_store
from specsearch.store.vectors import contract_of, sparse_vectors

EMBEDDER = embedder()
ALPHA = [replace(s, accession=f"a{i}") for i, s in enumerate(spectra(150, seed=1))]
BETA = [replace(s, accession=f"b{i}") for i, s in enumerate(spectra(40, seed=2))]
NAMED = {f"alpha:{s.accession}": s for s in ALPHA} | {f"beta:{s.accession}": s for s in BETA}
QUERIES = [replace(s, accession=f"q{i}") for i, s in enumerate(spectra(30, seed=3))]
EVERYTHING = SearchSettings(n_candidates=200, same_ion_mode=False)
HALF_PRECISION = 2e-3  # embeddings are stored as float16


def fill(store: Store, library: str, batch: list[Spectrum]) -> Collection:
    inputs = [token_input(s) for s in batch]
    vectors = (EMBEDDER.embed_inputs(inputs), *sparse_vectors([item.peaks for item in inputs]))
    collection = store.create(library, contract_of(EMBEDDER.card))
    collection.upsert([make_point(library, s, *v) for s, *v in zip(batch, *vectors, strict=True)])
    return collection


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Collection]]:
    with open_store(tmp_path_factory.mktemp("store")) as store:
        yield [fill(store, "alpha", ALPHA), fill(store, "beta", BETA)]


@cache
def score_tables() -> dict[str, np.ndarray]:
    """Dot products of every query with every library spectrum; NaN rows for vectors a query lacks."""
    inputs = [token_input(s) for s in [*QUERIES, *NAMED.values()]]
    vectors = [EMBEDDER.embed_inputs(inputs)]
    for rows in bin_spectra([item.peaks for item in inputs]):
        _, column = np.unique(rows.indices, return_inverse=True)  # only bins that are used
        table = np.zeros((len(rows), column.max() + 1))
        table[np.repeat(np.arange(len(rows)), np.diff(rows.offsets)), column] = rows.values
        table[np.diff(rows.offsets) == 0] = np.nan
        vectors.append(table)
    n = len(QUERIES)
    tables = dict(zip(("embedding", "peaks", "losses"), [v[:n] @ v[n:].T for v in vectors], strict=True))
    for v, table in zip(vectors, tables.values(), strict=True):
        asked = ~np.isnan(v[:n]).any(axis=1)
        table[asked] = np.nan_to_num(table[asked])  # a library spectrum without the vector shares nothing
    return tables


def score_columns(query: Spectrum, names: list[str]) -> dict[str, np.ndarray]:
    """Scores of one query by vector, those left out that it does not have."""
    row, places = QUERIES.index(query), [list(NAMED).index(name) for name in names]
    columns = {vector: table[row, places] for vector, table in score_tables().items()}
    return {vector: column for vector, column in columns.items() if not np.isnan(column).any()}


def brute_force(query: Spectrum, names: list[str], weights: FusionWeights) -> dict[str, float]:
    """Fused score of every spectrum that shares anything with the query in a vector that counts."""
    columns = score_columns(query, names)
    share = {"embedding": weights.embedding, "peaks": weights.peaks, "losses": weights.losses}
    counted = {vector: column for vector, column in columns.items() if share[vector]}
    total = sum(share[vector] for vector in counted)
    fused: dict[str, float] = {}
    for place, name in enumerate(names):
        if "embedding" in counted or any(column[place] > 0 for column in counted.values()):
            summed = sum(share[vector] * column[place] for vector, column in counted.items())
            fused[name] = float(summed / total)
    return fused


def ask(
    collections: list[Collection], queries: list[Spectrum], settings: SearchSettings = EVERYTHING
) -> list[Answer]:
    return list(SimilaritySearch(collections, EMBEDDER, settings).search(queries))


def require_best(hits: list[SimilarHit], expected: dict[str, float], top: int = 10) -> None:
    """The hits are the best of `expected`; which of two that float16 cannot tell apart is left open."""
    assert [hit.rank for hit in hits] == list(range(1, min(top, len(expected)) + 1))
    assert len({hit.spectrum_id for hit in hits}) == len(hits)
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.spectrum_id], abs=HALF_PRECISION)
    best = sorted(expected.values(), reverse=True)[:top]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=HALF_PRECISION)


def in_library(library: str) -> list[str]:
    return [name for name in NAMED if name.startswith(library)]


@pytest.mark.parametrize("by", ["fused", "embedding", "peaks"])
def test_every_mode_is_brute_force(libraries: list[Collection], by: str) -> None:
    answers = ask(libraries[:1], QUERIES, replace(EVERYTHING, weights=FUSIONS[by]))
    for query, answer in zip(QUERIES, answers, strict=True):
        assert answer.query is query
        if not answer.reason:
            require_best(answer.hits, brute_force(query, in_library("alpha"), FUSIONS[by]))
    assert sum(not answer.reason for answer in answers) > 25


def test_uneven_weights(libraries: list[Collection]) -> None:
    weights = FusionWeights(embedding=0.25, peaks=2.0, losses=0.5)
    answers = ask(libraries[:1], QUERIES[:8], replace(EVERYTHING, weights=weights))
    for query, answer in zip(QUERIES[:8], answers, strict=True):
        require_best(answer.hits, brute_force(query, in_library("alpha"), weights))


def test_each_score_stands_in_its_own_column(libraries: list[Collection]) -> None:
    for query, answer in zip(QUERIES, ask(libraries[:1], QUERIES), strict=True):
        columns = score_columns(query, in_library("alpha"))
        own = clean(query, RESCORING_RECIPE)
        for hit in answer.hits:
            place = int(hit.payload["accession"][1:])
            for vector in ("embedding", "peaks", "losses"):
                expected = columns[vector][place] if vector in columns else 0.0
                assert getattr(hit, vector) == pytest.approx(expected, abs=HALF_PRECISION)
            theirs = [clean(ALPHA[place], RESCORING_RECIPE)]
            assert hit.entropy_similarity == pytest.approx(entropy_similarity(own, theirs)[0], abs=1e-3)
            score, n_matched = modified_cosine(own, theirs)
            assert (hit.modified_cosine, hit.matched_peaks) == (
                pytest.approx(score[0], abs=1e-3),
                n_matched[0],
            )
            true = ALPHA[place].precursor_mz
            if query.precursor_mz is None or true is None:
                assert hit.mass_error_ppm is None
            else:
                error = (query.precursor_mz - true) / true * 1e6
                assert hit.mass_error_ppm == pytest.approx(error, rel=1e-5, abs=0.01)
            np.testing.assert_allclose(hit.spectrum.mz, ALPHA[place].mz, rtol=1e-7)


def test_a_library_spectrum_finds_itself_first(libraries: list[Collection]) -> None:
    for original, answer in zip(ALPHA, ask(libraries, ALPHA), strict=True):
        first = answer.hits[0]
        assert first.spectrum_id == f"alpha:{original.accession}"
        assert first.score == pytest.approx(1.0, abs=1e-3)
        assert first.entropy_similarity == pytest.approx(1.0, abs=1e-3)
        assert first.modified_cosine == pytest.approx(1.0, abs=1e-3)


def test_several_libraries_are_one(libraries: list[Collection]) -> None:
    """Also for queries without a precursor, which lack a vector in libraries of different sizes."""
    assert any(query.precursor_mz is None for query in QUERIES)
    for query, answer in zip(QUERIES, ask(libraries, QUERIES), strict=True):
        require_best(answer.hits, brute_force(query, list(NAMED), FUSIONS["fused"]))
    assert [ids(a) for a in ask(libraries[::-1], QUERIES)] == [ids(a) for a in ask(libraries, QUERIES)]


def ids(answer: Answer) -> list[str]:
    return [hit.spectrum_id for hit in answer.hits]


@pytest.mark.parametrize("tolerance", [Tolerance(50_000, "ppm"), Tolerance(30.0, "Da")])
def test_precursor_window(libraries: list[Collection], tolerance: Tolerance) -> None:
    answers = ask(libraries[:1], QUERIES, replace(EVERYTHING, precursor=tolerance))
    n_asked = 0
    for query, answer in zip(QUERIES, answers, strict=True):
        if query.precursor_mz is None:
            assert (answer.hits, answer.reason) == ([], NO_PRECURSOR)
            continue
        n_asked += 1
        width = tolerance.value if tolerance.unit == "Da" else query.precursor_mz * tolerance.value * 1e-6
        inside = [
            name
            for name in in_library("alpha")
            if (mz := NAMED[name].precursor_mz) is not None and abs(mz - query.precursor_mz) <= width
        ]
        require_best(answer.hits, brute_force(query, inside, FUSIONS["fused"]) if inside else {})
    assert 20 < n_asked < len(QUERIES)


def test_a_window_around_the_very_precursor_finds_it(libraries: list[Collection]) -> None:
    known = [s for s in ALPHA if s.precursor_mz is not None]
    answers = ask(libraries[:1], known, replace(EVERYTHING, precursor=Tolerance(0.001, "ppm")))
    for s, answer in zip(known, answers, strict=True):
        assert f"alpha:{s.accession}" in ids(answer)


def test_same_ion_mode_where_it_is_known(libraries: list[Collection]) -> None:
    answers = ask(libraries[:1], QUERIES, replace(EVERYTHING, same_ion_mode=True))
    assert any(query.ion_mode is None for query in QUERIES)
    for query, answer in zip(QUERIES, answers, strict=True):
        allowed = [n for n in in_library("alpha") if query.ion_mode in (None, NAMED[n].ion_mode)]
        require_best(answer.hits, brute_force(query, allowed, FUSIONS["fused"]))


def test_filters_narrow_all_three_vectors(libraries: list[Collection]) -> None:
    chosen = Filter(formula=("C1H4", "C2H4"), instrument_type="T1")
    for query, answer in zip(
        QUERIES, ask(libraries[:1], QUERIES, replace(EVERYTHING, filter=chosen)), strict=True
    ):
        allowed = [
            name
            for name in in_library("alpha")
            if NAMED[name].metadata["formula"] in ("C1H4", "C2H4")
            and NAMED[name].metadata["instrument_type"] == "T1"
        ]
        require_best(answer.hits, brute_force(query, allowed, FUSIONS["fused"]))
    nothing = ask(libraries, QUERIES[:3], replace(EVERYTHING, filter=Filter(formula="H2O")))
    assert [(answer.hits, answer.reason) for answer in nothing] == [([], "")] * 3


@pytest.mark.parametrize("top", [1, 3, 120])
@pytest.mark.parametrize("by", ["fused", "embedding"])
def test_as_many_hits_as_asked_for(libraries: list[Collection], top: int, by: str) -> None:
    """More than the candidates taken by default, too."""
    settings = SearchSettings(top=top, same_ion_mode=False, n_candidates=100, weights=FUSIONS[by])
    for query, answer in zip(QUERIES[:4], ask(libraries[:1], QUERIES[:4], settings), strict=True):
        require_best(answer.hits, brute_force(query, in_library("alpha"), FUSIONS[by]), top)


def test_candidates_come_from_all_three_vectors(libraries: list[Collection]) -> None:
    """With one candidate from each vector, the best of those three is the answer."""
    names = in_library("alpha")
    settings = SearchSettings(top=1, same_ion_mode=False, n_candidates=1)
    n_from_several = 0
    for query in QUERIES:
        columns = score_columns(query, names)
        (answer,) = ask(libraries[:1], [query], settings)
        champions = {names[int(np.argmax(c))] for c in columns.values() if c.max() > 0}
        n_from_several += len(champions) > 1
        fused = brute_force(query, names, FUSIONS["fused"])
        best = max(fused[name] for name in champions)
        assert answer.hits[0].score == pytest.approx(best, abs=HALF_PRECISION)
    assert n_from_several > 10


def test_a_query_of_nothing_but_its_precursor(libraries: list[Collection]) -> None:
    query = Spectrum.checked([300.1], [1.0], precursor_mz=300.0, charge=1)
    (answer,) = ask(libraries[:1], [query], replace(EVERYTHING, weights=FUSIONS["peaks"]))
    assert (answer.hits, answer.reason) == ([], NO_FRAGMENTS)
    (answer,) = ask(libraries[:1], [query])  # the embedding still has something to say
    embeddings = EMBEDDER.embed([query, *ALPHA])
    scores = (embeddings[1:] @ embeddings[0]).tolist()
    require_best(answer.hits, dict(zip(in_library("alpha"), scores, strict=True)))


def test_a_batch_is_its_queries_one_by_one(libraries: list[Collection]) -> None:
    settings = replace(EVERYTHING, same_ion_mode=True, precursor=Tolerance(100.0, "Da"))
    together = ask(libraries, QUERIES, settings)
    for query, answer in zip(QUERIES, together, strict=True):
        (alone,) = ask(libraries, [query], settings)
        assert answer.reason == alone.reason
        assert ids(answer) == ids(alone)
        for a, b in zip(answer.hits, alone.hits, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-5)
            assert (a.entropy_similarity, a.matched_peaks) == (b.entropy_similarity, b.matched_peaks)


def test_more_queries_than_a_batch_keep_their_order(libraries: list[Collection]) -> None:
    many = [ALPHA[i % 7] for i in range(300)]
    answers = ask(libraries[:1], many, replace(EVERYTHING, top=1))
    assert [answer.hits[0].payload["accession"] for answer in answers] == [s.accession for s in many]
    assert ask(libraries, []) == []


def test_equal_spectra_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    twin, other = QUERIES[0], QUERIES[1]
    batch = [replace(twin, accession=name) for name in ("d", "b", "c", "a")] + [other]
    with open_store(tmp_path) as store:
        collection = fill(store, "twins", batch)
        for _ in range(3):
            (answer,) = ask([collection], [twin])
            assert ids(answer)[:4] == ["twins:a", "twins:b", "twins:c", "twins:d"]


def test_libraries_of_another_encoder_are_refused(libraries: list[Collection]) -> None:
    stranger = embedder(seed=1)
    with pytest.raises(ContractMismatch, match="alpha") as raised:
        SimilaritySearch(libraries, stranger, EVERYTHING)
    assert "encoder_digest" in raised.value.message
    assert "specsearch reembed" in raised.value.next_step
