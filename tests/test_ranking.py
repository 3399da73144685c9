"""The decision layer: features by hand, the fit by automatic differentiation of the same likelihood."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from specsearch.errors import CheckpointError, TrainingError
from specsearch.evaluation.ranker_fit import RankedList, fit_weights
from specsearch.search.candidate_scores import CandidateScores
from specsearch.search.ranking import FEATURES, Ranker, features, read_ranker, softmax, write_ranker


def scores(n: int, seed: int = 0) -> CandidateScores:
    rng = np.random.default_rng(seed)
    known = {
        name: rng.normal(size=n)
        for name in ("projection", "logit", "cosine", "reranker", "mass_error_ppm", "library_similarity")
    }
    return CandidateScores(
        row=np.arange(n),
        hypothesis=np.zeros(n, dtype=np.int64),
        adduct_fits=np.ones(n, dtype=bool),
        library_hit=np.full(n, -1),
        n_explained=rng.integers(0, 9, n).astype(float),
        explained_intensity=rng.uniform(size=n),
        fragment_score=rng.uniform(size=n),
        **known,
    )


def column(found: CandidateScores, name: str) -> list[float]:
    return features(found)[:, FEATURES.index(name)].tolist()


def test_scores_count_by_how_far_they_part_the_candidates() -> None:
    found = replace(scores(3), projection=np.array([0.1, 0.2, 0.6]))
    expected = (found.projection - 0.3) / np.std([0.1, 0.2, 0.6])
    assert column(found, "projection") == pytest.approx(expected.tolist())
    assert column(replace(found, logit=np.full(3, 7.0)), "logit") == [0, 0, 0]


def test_masses_near_zero_error_are_best() -> None:
    found = replace(scores(3), mass_error_ppm=np.array([-4.0, 0.5, 2.0]))
    for name in ("mass within 1 ppm", "mass within 3 ppm"):
        low, high, middle = column(found, name)
        assert low < middle < high


def test_what_is_known_of_some_is_lowest_for_the_others_and_nothing_where_it_is_known_of_none() -> None:
    found = replace(scores(4), fragment_score=np.array([np.nan, 0.5, 0.2, np.nan]))
    first, best, worst, last = column(found, "fragment score")
    assert first == last == worst < best
    assert column(replace(found, library_similarity=np.full(4, np.nan)), "library similarity") == [0] * 4


def test_a_ranker_is_a_weighted_sum_and_its_chances_a_softmax() -> None:
    ranker, found = Ranker({"projection": 2.0, "cosine": -1.0}, "digest"), scores(5)
    by_hand = 2 * np.array(column(found, "projection")) - np.array(column(found, "cosine"))
    assert np.allclose(ranker(found), by_hand)
    assert np.allclose(ranker.probabilities(found), np.exp(by_hand) / np.exp(by_hand).sum())
    assert softmax(np.array([1000.0, 0.0])).tolist() == [1.0, 0.0]
    assert len(softmax(np.empty(0))) == 0


def lists(n: int, n_features: int = 3, seed: int = 0) -> list[RankedList]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n):
        values = rng.normal(size=(int(rng.integers(2, 9)), n_features))
        chances = softmax(values @ np.array([2.0, -1.0, 0.0]))
        made.append(RankedList(values, int(rng.choice(len(values), p=chances)), number // 2))
    return made


@pytest.mark.parametrize("ridge", [0.0, 0.005, 1.0])
def test_at_the_fit_the_likelihood_is_flat(ridge: float) -> None:
    """Gradient by automatic differentiation, list by list; the likelihood is concave, so flat is best."""
    made = [*lists(200), RankedList(np.zeros((1, 3)), 0, 0)]
    weights = torch.tensor(fit_weights(made, ridge), requires_grad=True)
    counted = [one for one in made if len(one.features) > 1]
    by_molecule: dict[int, list[torch.Tensor]] = {}
    for one in counted:
        chance = torch.log_softmax(torch.from_numpy(one.features) @ weights, dim=0)[one.truth]
        by_molecule.setdefault(one.molecule, []).append(chance)
    likelihood = torch.stack([torch.stack(values).mean() for values in by_molecule.values()]).mean()
    (likelihood - ridge * weights.square().sum()).backward()
    assert weights.grad is not None
    assert weights.grad.abs().max() < 1e-4


def test_the_fit_finds_what_the_lists_were_drawn_from() -> None:
    assert fit_weights(lists(4000), 0.0) == pytest.approx([2.0, -1.0, 0.0], abs=0.15)


def test_lists_without_a_choice_teach_nothing() -> None:
    with pytest.raises(TrainingError, match="more than one candidate"):
        fit_weights([RankedList(np.zeros((1, 3)), 0, 0)])


def test_a_ranker_is_written_and_read_for_its_own_model(tmp_path: Path) -> None:
    ranker = Ranker({"logit": 0.25}, "digest", {"fitted_on": "val"})
    write_ranker(tmp_path / "ranker.json", ranker)
    assert read_ranker(tmp_path / "ranker.json", "digest") == ranker
    with pytest.raises(CheckpointError, match="another model"):
        read_ranker(tmp_path / "ranker.json", "other")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"weights": {}}',
        '{"weights": {"x": 1}, "encoder": "digest", "card": {}}',
        '{"weights": {"logit": NaN}, "encoder": "digest", "card": {}}',
        '{"weights": {"logit": "much"}, "encoder": "digest", "card": {}}',
    ],
)
def test_what_is_no_ranker_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "ranker.json").write_text(text)
    with pytest.raises(CheckpointError, match="ranker"):
        read_ranker(tmp_path / "ranker.json", "digest")
    with pytest.raises(CheckpointError, match="not a ranker"):
        read_ranker(tmp_path / "absent.json", "digest")
