"""Ranks with ties against every order that tied candidates can stand in."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from evaluation_material import pools

from specsearch.errors import SpecsearchError
from specsearch.evaluation.ranking import HITS, places, ranking_figures
from specsearch.evaluation.strata import ALL


def all_ranks(score: np.ndarray, truth: int) -> list[int]:
    """Rank of the truth in every order of the list that puts better scores first."""
    orders = [o for o in permutations(range(len(score))) if all(np.diff(score[list(o)]) <= 0)]
    return [order.index(truth) + 1 for order in orders]


@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_those_of_all_orders_of_the_tied(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = [1, 3, 6, 7]
    truth = [int(generator.integers(n)) for n in sizes]
    made = pools(sizes, truth)
    score = generator.integers(0, 3, sum(sizes)).astype(np.float64)
    placed = places(made, score)
    for i, true in enumerate(truth):
        own = score[made.rows(i)]
        ranks = np.array(all_ranks(own, true))
        stable = np.argsort(-own, kind="stable").tolist().index(true) + 1
        assert placed.reciprocal_rank()[i] == pytest.approx(np.mean(1 / ranks))
        for k in (1, 2, 5):
            assert placed.hit(k)[i] == pytest.approx(np.mean(ranks <= k))
            assert placed.strict_hit(k)[i] == float(ranks.max() <= k)
            assert placed.official_hit(k)[i] == float(stable <= k)


def test_a_score_that_knows_nothing_is_chance_and_no_more() -> None:
    made = pools([4, 10], [0, 9])
    placed = places(made, np.zeros(14))
    assert placed.hit(1) == pytest.approx([1 / 4, 1 / 10])
    assert placed.hit(5) == pytest.approx([1.0, 5 / 10])
    assert placed.strict_hit(5).tolist() == [1.0, 0.0]
    # By position the truth that stands first is found, which is why this number is not believed.
    assert placed.official_hit(1).tolist() == [1.0, 0.0]


def test_rounding_breaks_no_ties() -> None:
    made = pools([3], [2])
    score = np.array([0.3, 1.0, 0.1 + 0.2])  # 0.30000000000000004
    assert places(made, score).hit(2) == pytest.approx([0.5])


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(SpecsearchError, match="1 scores"):
        places(pools([2], [0]), np.array([0.0, np.nan]))


def test_figures_are_means_over_molecules() -> None:
    made = pools([2, 2, 2], [0, 0, 0])
    score = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])  # found, found, missed
    strata = {ALL: np.ones(3, dtype=bool), "second": np.array([False, False, True])}
    figures = list(ranking_figures("ranking", made, {"s": score}, np.array([4, 4, 9]), strata))
    found = {(f.measure, f.stratum): f.value for f in figures}
    assert found["hit@1", ALL].mean == pytest.approx((1.0 + 0.0) / 2)
    assert found["hit@1", "second"].mean == 0.0
    assert found["MRR", ALL].mean == pytest.approx((1.0 + 0.5) / 2)
    assert (found["hit@1", ALL].n_molecules, found["hit@1", ALL].n_values) == (2, 3)
    assert ("strict hit@1", "second") not in found
    assert {f"{kind}hit@{k}" for kind in ("", "strict ", "official ") for k in HITS} <= {
        f.measure for f in figures
    }
