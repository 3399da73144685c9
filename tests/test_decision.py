"""The decision layer: its features, its trees, what it says of confidence, and its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from decision_material import fitted_layer, made_lists, made_scores
from numpy.typing import NDArray
from scipy.stats import binom

from specsearch.errors import CheckpointError, TrainingError
from specsearch.evaluation.confidence_fit import fit_logistic
from specsearch.evaluation.decision_lists import JudgedList
from specsearch.evaluation.decision_report import rate
from specsearch.evaluation.folds import cluster_folds
from specsearch.evaluation.ranker_fit import fit_ranker, molecule_folds, out_of_fold, seen_with
from specsearch.search.candidate_scores import CandidateScores
from specsearch.search.confidence import BANDS, CANNOT_SAY, HIGH, Logistic, spread
from specsearch.search.decision import DecisionLayer, read_decision, write_decision
from specsearch.search.list_features import LIST_FEATURES, candidate_features, feature_names, list_features
from specsearch.search.ranking import EVIDENCE, evidence_of, softmax

WHOLE = list(EVIDENCE)[-1]


@pytest.fixture(scope="module")
def layer() -> DecisionLayer:
    return fitted_layer("e" * 64)


def shuffled(scores: CandidateScores, order: NDArray[np.int64]) -> CandidateScores:
    return scores.only(order)


def test_features_do_not_know_the_order_of_a_list() -> None:
    """The order of a bank must not rank: ties share what they get, and a shuffled list keeps its features."""
    rng = np.random.default_rng(1)
    for n in (1, 2, 9):
        scores = made_scores(rng, n, 0, 1.0)
        scores = replace(scores, logit=np.round(scores.logit / 20), fragment_score=np.full(n, np.nan))
        order = rng.permutation(n)
        own = candidate_features(scores, EVIDENCE[WHOLE])
        assert own.shape == (n, len(feature_names(EVIDENCE[WHOLE])))
        np.testing.assert_allclose(candidate_features(shuffled(scores, order), EVIDENCE[WHOLE]), own[order])
        tied = scores.logit[:, None] == scores.logit[None, :]
        columns = [i for i, name in enumerate(feature_names(EVIDENCE[WHOLE])) if name == "logit"]
        for a, b in np.argwhere(tied):
            np.testing.assert_allclose(own[a, columns], own[b, columns])
        odds = rng.normal(size=n)
        np.testing.assert_allclose(
            list_features(scores, odds), list_features(shuffled(scores, order), odds[order]), atol=1e-12
        )
        assert len(list_features(scores, odds)) == len(LIST_FEATURES)


def test_trees_answer_as_their_own_text_says(layer: DecisionLayer) -> None:
    """The same trees walked by hand."""
    trees = lightgbm.Booster(model_str=layer.rankers[WHOLE].trees).dump_model()["tree_info"]

    def leaf(node: dict[str, Any], row: NDArray[np.float64]) -> float:
        while "leaf_value" not in node:
            value = row[node["split_feature"]]
            goes_left = value <= node["threshold"] if np.isfinite(value) else node["default_left"]
            node = node["left_child"] if goes_left else node["right_child"]
        return float(node["leaf_value"])

    scores = made_scores(np.random.default_rng(2), 6, 3, 2.0)
    rows = candidate_features(scores, EVIDENCE[WHOLE])
    by_hand = [sum(leaf(tree["tree_structure"], row) for tree in trees) for row in rows]
    np.testing.assert_allclose(layer(scores), by_hand)


def test_the_ranker_follows_the_evidence_at_hand(layer: DecisionLayer) -> None:
    scores = made_scores(np.random.default_rng(3), 5, 0, 1.0)
    for name in EVIDENCE:
        seen = seen_with(name, scores)
        assert evidence_of(seen) == name
        np.testing.assert_array_equal(layer(seen), layer.rankers[name](scores))


def test_what_is_fitted_helps_and_a_held_out_molecule_stays_unknown() -> None:
    lists = made_lists(150, seed=4)
    ranked = out_of_fold(lists, WHOLE)
    found = np.mean([odds.argmax() == one.truth for one, odds in zip(lists, ranked.present, strict=True)])
    chance = np.mean([1 / len(one.scores) for one in lists])
    assert found > chance + 0.2
    folds = molecule_folds(lists)
    assert all(folds[i] == folds[i + 1] for i in range(0, len(lists), 2))
    one, odds = lists[0], ranked.present[0]
    others = [other for other, fold in zip(lists, folds, strict=True) if fold != folds[0]]
    np.testing.assert_allclose(odds, fit_ranker(others, WHOLE)(one.scores))
    assert [len(odds) for odds in ranked.absent] == [len(one.scores) - 1 for one in lists]
    with pytest.raises(TrainingError, match="more than one candidate"):
        fit_ranker([JudgedList(lists[0].scores.only(np.array([0])), 0, 0)], WHOLE)


def test_without_truth_drops_the_truth_alone() -> None:
    one = next(one for one in made_lists(9) if len(one.scores) > 3)
    left = one.without_truth()
    rows = [row for row in one.scores.row if row != one.scores.row[one.truth]]
    assert left.row.tolist() == rows
    for field in fields(left):
        np.testing.assert_array_equal(getattr(left, field.name), getattr(one.scores, field.name)[rows])


def test_probabilities_are_the_odds_stretched_to_the_first() -> None:
    odds = np.array([1.0, 0.2, -3.0])
    for first in (0.4, 0.7, 0.99):
        found = spread(first, odds)
        assert found.sum() == pytest.approx(1.0)
        assert found.max() == pytest.approx(first, abs=1e-6)
        assert (np.diff(found) < 0).all()
        slope = np.log(found[0] / found[1]) / (odds[0] - odds[1])
        np.testing.assert_allclose(found, softmax(slope * odds))
    np.testing.assert_allclose(spread(0.9, np.zeros(2)), [0.5, 0.5])
    np.testing.assert_allclose(spread(0.1, odds), np.full(3, 1 / 3), atol=1e-9)
    assert spread(0.3, np.array([5.0])).tolist() == [1.0]


def test_logistic_regression_is_where_its_gradient_vanishes() -> None:
    rng = np.random.default_rng(5)
    inputs = rng.normal(size=(4000, 3)) * [1.0, 10.0, 0.0] + [0.0, 5.0, 2.0]
    truth = 1 / (1 + np.exp(-(0.8 * inputs[:, 0] - 0.1 * inputs[:, 1] + 0.3)))
    model = fit_logistic(inputs, (rng.random(4000) < truth).astype(float), np.ones(4000))
    np.testing.assert_allclose(model.weights[:2], [0.8, -0.1], atol=0.12)
    assert np.mean(np.abs(model(inputs) - truth)) < 0.03


def test_confidence_keeps_its_word_on_fresh_lists(layer: DecisionLayer) -> None:
    """Thresholds fitted on some molecules hold on others, up to chance at one in a thousand."""
    lists = made_lists(600, seed=6)
    rated, model = rate(layer, lists), layer.confidences[WHOLE]
    assert rated.probability.mean() == pytest.approx(rated.right.mean(), abs=0.06)
    band = np.array([model.band_of(value) for value in rated.confidence])
    high = band == HIGH
    n_wrong = int(np.sum(1 - rated.right[high]))
    assert n_wrong <= binom.ppf(0.999, high.sum(), 0.10)
    n_absent = int(sum(model.band_of(value) == HIGH for value in rated.absent))
    assert n_absent <= binom.ppf(0.999, len(lists), 0.05)
    means = [rated.right[band == name].mean() for name in BANDS if (band == name).any()]
    assert means == sorted(means, reverse=True)
    for share, least in (("80%", 0.8), ("90%", 0.9)):
        covered = [
            layer.rate(one.scores, layer(one.scores)).in_shortlist[share][one.truth] for one in lists[::2]
        ]
        assert sum(covered) >= binom.ppf(0.001, len(covered), least)


def test_a_stricter_risk_only_takes_away(layer: DecisionLayer) -> None:
    for one in made_lists(40, seed=7):
        odds = layer(one.scores)
        plain = layer.rate(one.scores, odds)
        for risk in layer.risks:
            rating = layer.rate(one.scores, odds, risk)
            assert rating.band in (plain.band, CANNOT_SAY)
        assert plain.at_most(CANNOT_SAY).band == CANNOT_SAY
        assert plain.at_most(HIGH).band == plain.band


@pytest.mark.parametrize("bias", [-9.0, 0.0, 9.0])
def test_near_ties_are_those_of_the_probabilities_shown(layer: DecisionLayer, bias: float) -> None:
    """A surer first or a less sure one has other ties than the odds as they come."""
    model = replace(layer.confidences[WHOLE], right=Logistic((0.0,) * len(LIST_FEATURES), bias))
    rng, n_other = np.random.default_rng(9), 0
    for one in made_lists(40, seed=9):
        odds = rng.normal(size=len(one.scores))
        rating = model(one.scores, odds)
        first, *others = sorted(rating.probability, reverse=True)
        assert rating.n_near_ties == 1 + sum(2 * other > first for other in others)
        n_other += rating.n_near_ties != np.sum(odds > odds.max() - np.log(2))
    assert n_other


def test_a_file_says_what_was_fitted(layer: DecisionLayer, tmp_path: Path) -> None:
    write_decision(tmp_path / "r.json", layer)
    again = read_decision(tmp_path / "r.json", layer.encoder)
    assert again == layer
    assert again.digest == layer.digest
    scores = made_scores(np.random.default_rng(8), 7, 2, 1.0)
    np.testing.assert_array_equal(again(scores), layer(scores))
    assert again.rate(scores, again(scores)).confidence == layer.rate(scores, layer(scores)).confidence


def _no_trees(values: dict[str, Any]) -> None:
    values["rankers"][WHOLE] = "tree\nnum_leaves=1"


def _wrong_trees(values: dict[str, Any]) -> None:
    values["rankers"][WHOLE] = values["rankers"]["encoder"]


def _infinite(values: dict[str, Any]) -> None:
    values["confidences"][WHOLE]["right"]["weights"][0] = float("nan")


def _missing(values: dict[str, Any]) -> None:
    del values["rankers"]["encoder"]


def _other_format(values: dict[str, Any]) -> None:
    values["format"] = "something else"


@pytest.mark.parametrize("spoil", [_no_trees, _wrong_trees, _infinite, _missing, _other_format])
def test_a_damaged_file_is_refused(
    layer: DecisionLayer, tmp_path: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    file = tmp_path / "r.json"
    write_decision(file, layer)
    values = json.loads(file.read_text())
    spoil(values)
    file.write_text(json.dumps(values))
    with pytest.raises(CheckpointError):
        read_decision(file, layer.encoder)


def test_a_ranker_of_another_model_is_refused(layer: DecisionLayer, tmp_path: Path) -> None:
    write_decision(tmp_path / "r.json", layer)
    with pytest.raises(CheckpointError, match="another model"):
        read_decision(tmp_path / "r.json", "f" * 64)
    (tmp_path / "empty.json").write_text("{")
    with pytest.raises(CheckpointError, match="is no ranker"):
        read_decision(tmp_path / "empty.json")


def test_folds_keep_like_molecules_together() -> None:
    rng = np.random.default_rng(9)
    families = (rng.random((30, 256)) < 0.2).astype(np.uint8)
    bits = np.repeat(families, rng.integers(1, 6, 30), axis=0)
    family = np.unique(bits, axis=0, return_inverse=True)[1]
    fold = cluster_folds(bits, 4)
    assert all(len(set(fold[family == one])) == 1 for one in set(family))
    counts = np.bincount(fold, minlength=4)
    assert counts.min() > 0
    assert counts.max() - counts.min() <= 5
