"""Thresholds with guarantees, and shortlists: what they promise is counted where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from specsearch.evaluation.abstention import choose_threshold, one_of_each, risk_bound
from specsearch.evaluation.conformal import (
    ABSENT,
    Beliefs,
    shortlist_figures,
    shortlist_members,
    shortlist_threshold,
)


def each(n: int) -> np.ndarray:
    return np.arange(n)


@pytest.mark.parametrize(("n_wrong", "n"), [(0, 5), (0, 60), (3, 40), (17, 300), (299, 300), (4, 4)])
def test_bound_is_the_beta_quantile(n_wrong: int, n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = 1.0 if n_wrong == n else stats.beta.ppf(0.98, n_wrong + 1, n - n_wrong)
    assert risk_bound(n_wrong, n, 0.02) == pytest.approx(expected, abs=1e-9)


def test_one_of_each_draws_every_molecule_once_and_every_row_sometimes() -> None:
    molecule = np.array([4, 4, 4, 1, 9, 9])
    drawn = [one_of_each(molecule, seed) for seed in range(60)]
    assert all(sorted(molecule[rows]) == [1, 4, 9] for rows in drawn)
    assert set(np.concatenate(drawn)) == set(range(6))


def test_the_guarantee_holds_as_often_as_it_says() -> None:
    """300 calibrations of 500 molecules with known true risk: at most delta of them may break it."""
    broken, coverages = 0, []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        confidence = generator.random(500)
        wrong = generator.random(500) > confidence  # risk above a threshold t is (1 - t) / 2
        chosen = choose_threshold(confidence, wrong, each(500), 0.2, delta=0.1, seed=seed)
        true_risk = 0.0 if math.isinf(chosen.threshold) else (1 - max(0.0, chosen.threshold)) / 2
        broken += true_risk > 0.2
        coverages.append(chosen.coverage)
        assert chosen.bound <= 0.2 + 1e-9 or chosen.n_answered == 0
    assert broken <= 30
    assert 0.15 < np.mean(coverages) < 0.4  # 0.4 would be right if the risk were known


def test_thresholds_are_tested_from_the_surest_on() -> None:
    """By hand: 40 molecules, every right answer above every wrong one."""
    stats = pytest.importorskip("scipy.stats")
    wrong = np.arange(40) >= 30
    chosen = choose_threshold(-np.arange(40.0), wrong, each(40), 0.3, delta=0.2)
    passed, handed_on = [], 0.0
    for share in range(1, 21):
        n = 2 * share
        allowed = 0.2 / 20 + handed_on
        passes = stats.binom.cdf(wrong[:n].sum(), n, 0.3) <= allowed
        handed_on = allowed if passes else 0.0
        passed += [n] if passes else []
    assert chosen.n_answered == passed[-1] > passed[0]
    assert chosen.threshold == -float(passed[-1])
    assert chosen.n_wrong == wrong[: passed[-1]].sum()
    assert chosen.coverage == passed[-1] / 40
    hopeless = choose_threshold(-np.arange(40.0), wrong, each(40), 0.001)
    assert (hopeless.threshold, hopeless.coverage, hopeless.bound) == (math.inf, 0.0, 1.0)
    tied = choose_threshold(np.zeros(400), np.zeros(400), each(400), 0.1)
    assert (tied.threshold, tied.coverage) == (-math.inf, 1.0)  # all or nothing


def made_beliefs(n_lists: int, seed: int, absent: float) -> Beliefs:
    """Lists whose probabilities are true; a share of them lacks the truth, and says so on the whole."""
    generator = np.random.default_rng(seed)
    size = generator.integers(1, 9, n_lists)
    start = np.concatenate(([0], np.cumsum(size)[:-1]))
    probability, truth = [], []
    for first, n in zip(start, size, strict=True):
        own = generator.dirichlet(np.append(np.full(n, 0.4), 0.4 * n * absent / (1 - absent) + 1e-9))
        probability.append(own[:n])
        drawn = generator.choice(n + 1, p=own)
        truth.append(ABSENT if drawn == n else first + drawn)
    return Beliefs(np.concatenate(probability), start, np.array(truth), np.arange(n_lists) // 2)


@pytest.mark.parametrize("absent", [0.0, 0.3])
@pytest.mark.parametrize("miss", [0.1, 0.3])
def test_shortlists_cover_what_they_promise(absent: float, miss: float) -> None:
    threshold = shortlist_threshold(made_beliefs(4000, 1, absent), miss)
    others = made_beliefs(4000, 2, absent)
    members = shortlist_members(others, threshold)
    covered = members.cover(others)
    # The best candidate is always in, which can only add; else coverage is 1 - miss, sd about 0.01.
    assert 1 - miss - 0.03 <= covered.mean()
    if absent == 0.0 and miss == 0.1:
        assert covered.mean() <= 1 - miss + 0.03
    for i in range(0, 4000, 97):
        rows = slice(others.start[i], others.start[i] + others.size[i])
        own = others.probability[rows]
        inside = [j for j, p in enumerate(own) if p >= threshold or p == max(own)]
        assert np.flatnonzero(members.candidate[rows]).tolist() == inside
        assert members.absence[i] == (1 - own.sum() >= threshold)
        if others.truth[i] == ABSENT:
            assert covered[i] == members.absence[i]
        else:
            assert covered[i] == (others.truth[i] - others.start[i] in inside)
        assert members.n_candidates(others)[i] == len(inside)


def test_the_shortlist_threshold_is_the_right_order_statistic() -> None:
    beliefs = Beliefs(np.array([0.9, 0.2, 0.5, 0.7]), each(4), each(4), each(4))
    assert shortlist_threshold(beliefs, 0.4) == 0.5  # floor(5 * 0.4) = 2nd lowest
    assert shortlist_threshold(beliefs, 0.2) == 0.2
    assert (
        shortlist_threshold(beliefs, 0.19) == 0.0
    )  # four molecules cannot promise that and exclude anything


def test_certain_models_never_think_of_absence() -> None:
    beliefs = Beliefs(np.array([0.6, 0.4, 1.0]), np.array([0, 2]), np.array([ABSENT, 2]), each(2))
    members = shortlist_members(beliefs, 0.5)
    assert members.cover(beliefs).tolist() == [False, True]
    found = {f.measure: f.value.mean for f in shortlist_figures("s", "list", beliefs, 0.5)}
    assert found["coverage"] == 0.5
    assert found["coverage, truth in the list"] == 1.0
    assert (found["length"], found["length / list"], found["absence not excluded"]) == (1.0, 0.75, 0.0)
