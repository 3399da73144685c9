"""Correlation and AUC against scipy, counting, and data written out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, spearmanr

from specsearch.evaluation.correlation import Ranked, auc, correlation_figures, spearman
from specsearch.evaluation.strata import ALL

RNG = np.random.default_rng(11)
TIED, OTHER = RNG.integers(0, 6, 200) / 5.0, RNG.normal(size=200)
COUNT = RNG.integers(0, 4, 200)


def test_spearman_is_scipys_with_ties() -> None:
    found = spearman(Ranked.of(TIED), Ranked.of(OTHER + TIED), np.ones(200))
    assert found == pytest.approx(spearmanr(TIED, OTHER + TIED).statistic)


def test_weights_are_repetitions() -> None:
    one, other = TIED, OTHER + TIED
    repeated = np.repeat(one, COUNT), np.repeat(other, COUNT)
    weight = COUNT.astype(np.float64)
    assert spearman(Ranked.of(one), Ranked.of(other), weight) == pytest.approx(spearmanr(*repeated).statistic)
    is_similar = other > 1.0
    similar = np.repeat(is_similar, COUNT)
    u = mannwhitneyu(repeated[0][similar], repeated[0][~similar]).statistic
    expected = u / (similar.sum() * (~similar).sum())
    assert auc(Ranked.of(one), is_similar, weight) == pytest.approx(expected)


def test_auc_counts_pairs_and_shares_ties() -> None:
    is_similar = OTHER > 0.3
    above = TIED[is_similar][:, None] - TIED[~is_similar][None, :]
    assert auc(Ranked.of(TIED), is_similar, np.ones(200)) == pytest.approx(
        np.mean((above > 0) + 0.5 * (above == 0))
    )
    assert np.isnan(auc(Ranked.of(TIED), np.zeros(200, dtype=bool), np.ones(200)))


def test_only_pairs_of_one_ion_mode_and_one_stratum_count() -> None:
    n = 30
    similarity = RNG.random((n, n))
    positive = np.arange(n) < 18
    stratum = np.arange(n) % 3 == 0
    strata = {ALL: np.ones(n, dtype=bool), "third": stratum}
    scores = {"perfect": similarity, "opposite": -similarity, "constant": np.zeros((n, n))}
    figures = {
        (f.score, f.measure, f.stratum): f.value
        for f in correlation_figures(scores, similarity, positive, strata)
    }
    for name, members in strata.items():
        pairs = [
            (i, j)
            for i in range(n)
            for j in range(i + 1, n)
            if positive[i] == positive[j] and members[i] and members[j]
        ]
        found = figures["perfect", "Spearman", name]
        assert (found.n_values, found.n_molecules) == (len(pairs), members.sum())
        assert (found.mean, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
        assert figures["opposite", "Spearman", name].mean == pytest.approx(-1.0)
        assert figures["perfect", "AUC, Tanimoto >= 0.6", name].mean == 1.0
        assert figures["constant", "AUC, Tanimoto >= 0.4", name].mean == 0.5
        assert ("constant", "Spearman", name) not in figures  # a constant has no correlation


def test_the_interval_is_wide_where_molecules_are_few() -> None:
    """A thousand pairs of 45 molecules are no thousand observations."""
    n = 45
    place = RNG.normal(size=n)
    score = place[:, None] + place[None, :] + 0.1 * RNG.normal(size=(n, n))
    similarity = place[:, None] * 0.5 + RNG.normal(size=n)[None, :]
    positive = np.ones(n, dtype=bool)
    (found,) = [
        f.value
        for f in correlation_figures({"s": score}, similarity, positive, {ALL: positive})
        if f.measure == "Spearman"
    ]
    assert found.low < found.mean < found.high
    of_independent_pairs = 2 * 1.96 / np.sqrt(found.n_values)
    assert found.high - found.low > 2 * of_independent_pairs
