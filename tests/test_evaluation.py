"""Evaluation against closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import DataStructs
from rdkit.Chem import MolFromSmiles
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from specsearch.chemistry.fingerprints import morgan_bits
from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.config import EncoderConfig
from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import TokenInput, collate
from specsearch.encoder.training.examples import Examples
from specsearch.errors import TrainingError
from specsearch.evaluation.analogues import analogue_task
from specsearch.evaluation.controls import (
    best_analogue,
    masked,
    nearest_precursor_analogue,
    random_analogue,
)
from specsearch.evaluation.intervals import bootstrap_interval, estimate, mean_per_molecule
from specsearch.evaluation.partners import partner_first, partner_pools
from specsearch.evaluation.retrieval import best_allowed, recall, tanimoto_matrix
from specsearch.spectra.cleaning import Peaks

SMILES = ["CCO", "CCN", "c1ccccc1O", "c1ccccc1N", "CC(=O)O", "C1CCCCC1"]


def _examples(molecule: list[int], positive: list[bool], smiles: list[str]) -> Examples:
    inputs = [
        TokenInput(Peaks(np.array([50.0 + i]), np.ones(1), 100.0 + i), 1 if mode else -1)
        for i, mode in enumerate(positive)
    ]
    keys = [f"KEY-{text}" for text in smiles]
    return Examples(
        inputs,
        np.array(molecule),
        np.array(positive),
        keys,
        morgan_bits(smiles),
        np.full(len(smiles), 100.0),
    )


def test_a_molecule_counts_once_however_often_it_was_measured() -> None:
    # Molecule 7 has the mean 0.5 of a hundred values, molecule 2 the value 0.1.
    values = [0.1] + [0.0, 1.0] * 50
    molecule = np.array([2] + [7] * 100)
    assert mean_per_molecule(values, molecule) == pytest.approx([0.1, 0.5])
    found = estimate(values, molecule)
    assert (found.mean, found.n_molecules, found.n_values) == (pytest.approx(0.3), 2, 101)


def test_bootstrap_interval_is_the_normal_one_for_many_molecules() -> None:
    # Central limit theorem: mean +- 1.96 s / sqrt(n).
    means = np.random.default_rng(1).random(400)
    half_width = 1.959964 * means.std() / np.sqrt(len(means))
    low, high = bootstrap_interval(means)
    assert low == pytest.approx(means.mean() - half_width, abs=0.1 * half_width)
    assert high == pytest.approx(means.mean() + half_width, abs=0.1 * half_width)


def test_bootstrap_interval_of_two_molecules_is_that_of_the_binomial() -> None:
    # Resampled means are 0, 1/2, 1 with chances 1/4, 1/2, 1/4.
    means = np.array([0.0, 1.0])
    assert bootstrap_interval(means, confidence=0.95) == (0.0, 1.0)
    assert bootstrap_interval(means, confidence=0.4) == (0.5, 0.5)


def test_bootstrap_draws_molecules_not_spectra() -> None:
    # Repeating every spectrum of a molecule adds no knowledge: the interval stays.
    values, molecule = np.array([0.2, 0.9, 0.4]), np.arange(3)
    once = estimate(values, molecule)
    often = estimate(np.repeat(values, 50), np.repeat(molecule, 50))
    assert (once.low, once.high) == pytest.approx((often.low, often.high))


def test_tanimoto_matrix_is_rdkits() -> None:
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(MolFromSmiles(text)) for text in SMILES]
    expected = [DataStructs.BulkTanimotoSimilarity(one, prints[2:]) for one in prints]
    found = tanimoto_matrix(morgan_bits(SMILES), morgan_bits(SMILES[2:]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_tanimoto_of_nothing_with_nothing_is_zero() -> None:
    assert tanimoto_matrix(np.zeros((1, 8), np.uint8), np.zeros((1, 8), np.uint8)) == 0


def test_best_allowed_never_takes_a_forbidden_row() -> None:
    generator = np.random.default_rng(2)
    score = generator.normal(size=(50, 20)) - 5.0  # all negative: a masked 0 would win
    allowed = generator.random((50, 20)) < 0.3
    allowed[:, 4] = True
    expected = [
        max(np.flatnonzero(a), key=lambda row, s=s: s[row]) for s, a in zip(score, allowed, strict=True)
    ]
    assert best_allowed(score, allowed).tolist() == expected


@pytest.mark.parametrize(
    ("found", "best", "expected"),
    [
        ([0.9, 0.8], [0.9, 0.8], 1.0),
        ([0.9, 0.7], [0.9, 0.8], 0.5),
        ([0.8, 0.8], [0.9, 0.8], 1.0),  # an equal of the last place is as good
        ([0.9, 0.8, 0.8], [0.9, 0.8], 1.0),  # never above 1
        ([], [0.9, 0.8], 0.0),
    ],
)
def test_recall(found: list[float], best: list[float], expected: float) -> None:
    assert recall(np.array(found), np.array(best)) == expected


def test_controls_are_what_brute_force_says() -> None:
    generator = np.random.default_rng(3)
    similarity = generator.random((8, 30)).astype(np.float32)
    allowed = generator.random((8, 30)) < 0.5
    allowed[:, 0] = True
    query_mz, library_mz = generator.integers(100, 110, 8) * 1.0, generator.integers(100, 110, 30) * 1.0
    for i in range(8):
        rows = [j for j in range(30) if allowed[i, j]]
        nearest = min(abs(query_mz[i] - library_mz[j]) for j in rows)
        tied = [similarity[i, j] for j in rows if abs(query_mz[i] - library_mz[j]) == nearest]
        assert random_analogue(similarity, allowed)[i] == pytest.approx(
            sum(similarity[i, j] for j in rows) / len(rows)
        )
        assert best_analogue(similarity, allowed)[i] == pytest.approx(max(similarity[i, j] for j in rows))
        found = nearest_precursor_analogue(similarity, allowed, query_mz, library_mz)[i]
        assert found == pytest.approx(sum(tied) / len(tied))


def test_a_masked_spectrum_hides_its_peaks_from_the_encoder() -> None:
    network = Encoder(EncoderConfig(hidden=16, n_layers=1, n_heads=2, feed_forward=32)).eval()
    one, other = (
        TokenInput(Peaks(np.array(mz), np.array([0.5, 1.0]), precursor), 1)
        for mz, precursor in (([50.0, 90.0], 300.0), ([70.0, 80.0], 300.0))
    )
    state = network(collate([masked(one), masked(other)])).detach().numpy()
    np.testing.assert_array_equal(state[0], state[1])
    seen = network(collate([one, other])).detach().numpy()
    assert not np.allclose(seen[0], seen[1])


def test_partner_pools_are_what_brute_force_says() -> None:
    generator = np.random.default_rng(4)
    n = 120
    mz = 200.0 + generator.integers(0, 12, n) * 0.0015  # 7.5 ppm apart
    positive = generator.random(n) < 0.7
    contributor, molecule = generator.integers(0, 3, n), generator.integers(0, 10, n)
    tolerance = Tolerance(10.0, "ppm")
    expected = {}
    for q in range(n):
        pool = [
            c
            for c in range(n)
            if contributor[c] != contributor[q]
            and positive[c] == positive[q]
            and abs(mz[c] - mz[q]) <= mz[q] * 10e-6
        ]
        if any(molecule[c] == molecule[q] for c in pool):
            expected[q] = pool
    found = partner_pools(mz, positive, contributor, molecule, tolerance)
    assert {pool.query: pool.candidates.tolist() for pool in found} == expected
    assert 0 < len(found) < n
    for pool in found:
        same = [molecule[c] == molecule[pool.query] for c in pool.candidates]
        assert pool.is_partner.tolist() == same
        assert pool.is_contested == (not all(same))
        assert pool.random_hit == pytest.approx(sum(same) / len(same))


def test_partner_first_shares_ties() -> None:
    is_partner = np.array([True, False, False, True])
    assert partner_first(np.array([0.9, 0.1, 0.2, 0.3]), is_partner) == 1.0
    assert partner_first(np.array([0.1, 0.9, 0.2, 0.3]), is_partner) == 0.0
    assert partner_first(np.array([0.9, 0.9, 0.2, 0.3]), is_partner) == 0.5
    assert partner_first(np.zeros(4), is_partner) == is_partner.mean()


def test_analogue_task_draws_at_most_so_many_and_keeps_modes_apart() -> None:
    queries = _examples([0] * 6 + [1] * 2, [True] * 7 + [False], SMILES[:2])
    library = _examples([0, 1, 2, 3], [True, True, False, False], SMILES[2:])
    task = analogue_task(queries, library, per_molecule=4)
    assert np.bincount(task.queries.molecule).tolist() == [4, 2]
    again = analogue_task(queries, library, per_molecule=4)
    assert [item.peaks.precursor_mz for item in task.queries.inputs] == [
        item.peaks.precursor_mz for item in again.queries.inputs
    ]
    expected = tanimoto_matrix(queries.fingerprints, library.fingerprints)
    n_seen = 0
    for block in task.blocks(size=4):
        top = block.top(np.arange(4)[None, :] * np.ones((len(block.allowed), 1)))
        for row, hit, judged in zip(range(6)[block.rows], top, block.judged(top), strict=True):
            # The highest row in the query's own mode: 1 where positive, 3 where negative.
            assert hit == (1 if task.queries.positive[row] else 3)
            assert judged == pytest.approx(expected[task.queries.molecule[row], hit])
            n_seen += 1
    assert n_seen == 6


def test_analogue_task_refuses_a_molecule_on_both_sides() -> None:
    queries, library = _examples([0], [True], SMILES[:1]), _examples([0], [True], SMILES[:1])
    with pytest.raises(TrainingError, match="share 1 molecules"):
        analogue_task(queries, library)


def test_queries_of_a_mode_that_the_library_lacks_are_left_out() -> None:
    queries = _examples([0, 1], [True, False], SMILES[:2])
    task = analogue_task(queries, _examples([0], [True], SMILES[2:3]))
    assert task.queries.positive.tolist() == [True]
