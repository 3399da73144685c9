"""Library-wide rivals against their pairwise definitions."""

from __future__ import annotations

import ms_entropy
import numpy as np
import pytest
from evaluation_material import splits

from specsearch.evaluation.rivals import EntropyLibrary, ModifiedCosineLibrary
from specsearch.evaluation.spectrum_scores import pairwise_similarities, peak_similarities
from specsearch.spectra.cleaning import Peaks
from specsearch.spectra.similarity import modified_cosine


def random_peaks(generator: np.random.Generator, n_peaks: int) -> Peaks:
    """Peaks on a coarse grid with jitter, so that many match, several of them in more than one way."""
    mz = np.sort(generator.integers(50, 70, n_peaks) + generator.uniform(-0.015, 0.015, n_peaks))
    precursor_mz = float(generator.integers(70, 74) + generator.uniform(-0.005, 0.005))
    intensity = generator.uniform(0.05, 1.0, n_peaks)
    return Peaks(mz, intensity / intensity.max(), precursor_mz)


@pytest.mark.parametrize("seed", range(4))
def test_modified_cosine_of_a_library_is_that_of_its_pairs(seed: int) -> None:
    generator = np.random.default_rng(seed)
    library = [random_peaks(generator, int(generator.integers(1, 25))) for _ in range(60)]
    indexed = ModifiedCosineLibrary(library)
    for _ in range(10):
        query = random_peaks(generator, 12)
        expected, n_matched = modified_cosine(query, library)
        np.testing.assert_allclose(indexed.scores(query), expected, atol=1e-12)
        assert n_matched.max() > 3


def test_a_query_that_meets_nothing_scores_zero() -> None:
    generator = np.random.default_rng(1)
    library = ModifiedCosineLibrary([random_peaks(generator, 5)])
    lonely = Peaks(np.array([400.5]), np.ones(1), 900.0)
    assert library.scores(lonely).tolist() == [0.0]


def test_open_entropy_search_is_entropy_similarity_of_the_pair() -> None:
    inputs = splits()["test"].examples.inputs
    queries, library = inputs[:4], inputs[4:]
    found = peak_similarities(queries, library)["open entropy search"](np.arange(4), np.arange(len(library)))
    for i, query in enumerate(queries):
        for j, other in enumerate(library):
            pair = []
            for peaks in (query.peaks, other.peaks):
                told = np.column_stack([peaks.mz, peaks.intensity]).astype(np.float32)
                # Flash search drops peaks from 1.6 Da below the precursor on, as its paper says.
                pair.append(told[told[:, 0] <= (peaks.precursor_mz or 0.0) - 1.6])
            expected = ms_entropy.calculate_entropy_similarity(*pair, ms2_tolerance_in_da=0.02)
            assert found[i, j] == pytest.approx(expected, abs=1e-4)
    assert found.max() > 0.05


def test_an_empty_query_finds_nothing_and_raises_nothing() -> None:
    peaks = splits()["test"].examples.inputs[0].peaks
    library = EntropyLibrary([peaks])
    assert library.scores(peaks, "hybrid")[0] == pytest.approx(1.0, abs=1e-5)
    precursor_alone = Peaks(np.array([peaks.precursor_mz or 0.0]), np.ones(1), peaks.precursor_mz)
    assert library.scores(precursor_alone, "open").tolist() == [0.0]


def test_rows_asked_for_are_rows_given() -> None:
    inputs = splits()["test"].examples.inputs
    asked, among = np.array([3, 0]), np.array([5, 1, 2])
    both = {**peak_similarities(inputs, inputs), **pairwise_similarities(inputs)}
    for name, similarity in both.items():
        whole = similarity(np.arange(len(inputs)), np.arange(len(inputs)))
        np.testing.assert_allclose(similarity(asked, among), whole[np.ix_(asked, among)], err_msg=name)
    np.testing.assert_allclose(
        peak_similarities(inputs, inputs)["modified cosine"](asked, among),
        pairwise_similarities(inputs)["modified cosine"](asked, among),
    )
