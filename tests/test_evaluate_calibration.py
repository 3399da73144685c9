"""Calibration and selective answers against loops, closed forms and other libraries."""

from __future__ import annotations

import math
from itertools import permutations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from specsearch.evaluation.calibration import (
    bin_numbers,
    calibration_error,
    calibration_figures,
    error_by_chance,
    reliability_curve,
)
from specsearch.evaluation.intervals import (
    bootstrap_interval,
    estimate_statistic,
    mean_per_molecule,
    molecule_weights,
)
from specsearch.evaluation.selective import (
    absent_curve,
    area_under_risk,
    rated_figures,
    risk_coverage,
    selective_figures,
)
from specsearch.report.diagrams import (
    absent_diagram,
    coverage_diagram,
    reliability_diagram,
    risk_coverage_diagram,
    write_diagrams,
)

Answers = tuple[np.ndarray, np.ndarray, np.ndarray]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def answers() -> Answers:
    """Probabilities, whether the answer was right, and the molecule: 300 queries of 90 molecules."""
    generator = np.random.default_rng(5)
    probability = np.round(generator.random(300), 2)  # with ties
    right = (generator.random(300) < probability**1.5).astype(float)
    return probability, right, generator.integers(0, 90, 300)


def each(n: int) -> np.ndarray:
    return np.arange(n)


def test_weights_count_each_molecule_once() -> None:
    molecule = np.array([7, 2, 7, 7])
    assert molecule_weights(molecule) == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3])


def test_a_statistic_that_is_a_mean_gets_the_interval_of_the_mean(answers: Answers) -> None:
    _, right, molecule = answers
    found = estimate_statistic(lambda w: float((w * right).sum() / w.sum()), molecule, seed=3)
    means = mean_per_molecule(right, molecule)
    assert found.mean == pytest.approx(means.mean())
    assert (found.low, found.high) == pytest.approx(bootstrap_interval(means, seed=3))
    assert (found.n_molecules, found.n_values) == (len(means), 300)


def test_a_statistic_without_a_value_in_some_resamples() -> None:
    weights_seen: list[float] = []

    def statistic(weight: np.ndarray) -> float:
        weights_seen.append(float(weight[0]))
        return 1.0 if weight[0] else float("nan")

    found = estimate_statistic(statistic, each(3), n_resamples=200)
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)
    assert 0.0 in weights_seen


@pytest.mark.parametrize("binning", ["mass", "width"])
def test_calibration_error_against_a_loop(answers: Answers, binning: str) -> None:
    probability, right, molecule = answers
    bins = bin_numbers(probability, molecule, binning, 8)  # type: ignore[arg-type]
    weight = molecule_weights(molecule)
    expected = 0.0
    for number in set(bins.tolist()):
        rows = [i for i in range(300) if bins[i] == number]
        mass = sum(weight[i] for i in rows)
        said = sum(weight[i] * probability[i] for i in rows) / mass
        true = sum(weight[i] * right[i] for i in rows) / mass
        expected += mass / weight.sum() * abs(said - true)
    assert calibration_error(probability, right, bins, weight) == pytest.approx(expected)


def test_bins(answers: Answers) -> None:
    probability, _, molecule = answers
    width = bin_numbers(np.append(probability, 1.0), np.append(molecule, 99), "width", 4)
    assert width.tolist() == [min(int(p * 4), 3) for p in [*probability, 1.0]]
    mass = bin_numbers(probability, molecule, "mass", 5)
    per_bin = np.bincount(mass, weights=molecule_weights(molecule))
    assert per_bin == pytest.approx(np.full(5, per_bin.sum() / 5), rel=0.15)
    for one in np.unique(probability):
        assert len(set(mass[probability == one])) == 1
    ranked = mass[np.argsort(probability)]
    assert (np.diff(ranked) >= 0).all()
    assert set(bin_numbers(np.full(9, 0.3), each(9), "mass", 5)) == {0}


def test_errors_known_in_closed_form() -> None:
    probability, right = np.full(1000, 0.8), np.arange(1000) % 2 == 0
    bins = bin_numbers(probability, each(1000))
    assert calibration_error(probability, right, bins, np.ones(1000)) == pytest.approx(0.3)
    # One bin, n fair draws: the error is |mean - p|, on average sqrt(2 p (1 - p) / (pi n)) for large n.
    chance = error_by_chance(probability, bins, each(1000))
    assert chance == pytest.approx(math.sqrt(2 * 0.16 / (math.pi * 1000)), rel=0.15)
    # Spectra of one molecule fall together: a tenth of the draws, the square root of ten times the error.
    together = error_by_chance(probability, bins, np.arange(1000) // 10)
    assert together == pytest.approx(math.sqrt(10) * chance, rel=0.2)


def test_brier_score_and_reliability_are_scikit_learns(answers: Answers) -> None:
    metrics, calibration = pytest.importorskip("sklearn.metrics"), pytest.importorskip("sklearn.calibration")
    probability, right, _ = answers
    alone = each(300)
    found = {f.measure: f.value for f in calibration_figures("s", "p", probability, right, alone)}
    assert found["Brier score"].mean == pytest.approx(metrics.brier_score_loss(right, probability))
    curve = reliability_curve(probability, right, alone, bin_numbers(probability, alone, "width", 7))
    share, said = calibration.calibration_curve(right, probability, n_bins=7)
    assert [point.probability for point in curve] == pytest.approx(said)
    assert [point.right.mean for point in curve] == pytest.approx(share)
    assert sum(point.right.n_values for point in curve) == 300
    for point in curve:
        assert point.right.low <= point.right.mean <= point.right.high
    error = found["calibration error, bins of equal mass"]
    assert error.low <= error.mean <= error.high
    assert found["calibration error, bins of equal mass, by chance"].mean < error.mean  # p**1.5 is not p


def test_risk_and_coverage_against_a_loop(answers: Answers) -> None:
    probability, right, molecule = answers
    curve = risk_coverage(probability, 1 - right, molecule)
    weight = molecule_weights(molecule)
    assert curve.threshold.tolist() == sorted(set(probability.tolist()), reverse=True)
    for threshold, coverage, risk in zip(curve.threshold, curve.coverage, curve.risk, strict=True):
        answered = probability >= threshold
        assert coverage == pytest.approx(weight[answered].sum() / weight.sum())
        assert risk == pytest.approx((weight * (1 - right))[answered].sum() / weight[answered].sum())


def test_area_is_the_mean_over_all_orders_of_the_tied() -> None:
    confidence, wrong = np.array([3.0, 1, 1, 1, 2, 1]), np.array([0.0, 1, 0, 1, 1, 0])
    areas = []
    for order in permutations(range(6)):
        if all(np.diff(confidence[list(order)]) <= 0):
            losses = wrong[list(order)]
            areas.append(np.mean([losses[: k + 1].mean() for k in range(6)]))
    assert area_under_risk(confidence, wrong, np.ones(6)) == pytest.approx(np.mean(areas))


def test_a_perfect_order_has_no_excess_and_a_constant_the_risk(answers: Answers) -> None:
    probability, right, molecule = answers
    wrong = 1 - right
    figures = {f.measure: f.value for f in selective_figures("s", "oracle", -wrong, wrong, molecule)}
    assert figures["excess AURC"].mean == pytest.approx(0.0, abs=1e-12)
    assert figures["excess AURC"].high == pytest.approx(0.0, abs=1e-12)
    risk = mean_per_molecule(wrong, molecule).mean()
    assert area_under_risk(np.zeros(300), wrong, molecule_weights(molecule)) == pytest.approx(risk)
    honest = {f.measure: f.value for f in selective_figures("s", "p", probability, wrong, molecule)}
    assert figures["AURC"].mean < honest["AURC"].low < honest["AURC"].mean < risk
    assert honest["AURC"].mean - figures["AURC"].mean == pytest.approx(honest["excess AURC"].mean)
    # Closed form of the best order, each query a molecule: risk r, -> r + (1 - r) ln(1 - r) for many queries.
    many = np.arange(100_000) < 30_000
    assert area_under_risk(~many, many, np.ones(100_000)) == pytest.approx(
        0.3 + 0.7 * math.log(0.7), abs=1e-4
    )


def test_ratings_and_absent_truths_against_loops(answers: Answers) -> None:
    probability, right, molecule = answers
    absent, absent_molecule = probability[:120] * 0.7, molecule[:120]
    curve = absent_curve(probability, 1 - right, molecule, absent, absent_molecule)
    weight, weight_absent = molecule_weights(molecule), molecule_weights(absent_molecule)
    assert len(curve.threshold) > 100
    for threshold, coverage, risk, rated in zip(
        curve.threshold, curve.coverage, curve.risk, curve.rated_absent, strict=True
    ):
        sure = probability >= threshold
        assert coverage == pytest.approx(weight[sure].sum() / weight.sum())
        assert rated == pytest.approx(weight_absent[absent >= threshold].sum() / weight_absent.sum())
        assert risk == pytest.approx((weight * (1 - right))[sure].sum() / weight[sure].sum())
    is_high = probability > 0.7
    figures = rated_figures("s", "high", is_high, 1 - right, molecule, (absent > 0.7, absent_molecule))
    found = {f.measure: f.value.mean for f in figures}
    assert found["share of queries"] == pytest.approx(mean_per_molecule(is_high, molecule).mean())
    assert found["precision"] == pytest.approx((weight * right)[is_high].sum() / weight[is_high].sum())
    assert found["share of queries, truth removed"] == 0.0
    nobody = {f.measure for f in rated_figures("s", "never", probability > 2, 1 - right, molecule)}
    assert nobody == {"share of queries"}


def test_diagrams_show_the_numbers(answers: Answers, tmp_path: Path) -> None:
    probability, right, molecule = answers
    points = reliability_curve(probability, right, molecule, bin_numbers(probability, molecule, "width", 4))
    curve = risk_coverage(probability, 1 - right, molecule)
    absent = absent_curve(probability, 1 - right, molecule, np.full(3, 2.0), each(3))
    path = tmp_path / "decision.svg"
    write_diagrams(
        path,
        [
            reliability_diagram("a < b", points),
            risk_coverage_diagram({"probability": curve, "same": curve}),
            absent_diagram(absent),
            coverage_diagram({"test": [(0.8, 0.9)]}),
        ],
    )
    panels = list(ElementTree.parse(path).getroot().iter(f"{SVG}g"))
    drawn = [[read(line.get("points", "")) for line in panel.iter(f"{SVG}polyline")] for panel in panels]
    assert [len(lines) for lines in drawn] == [1, 2, 2, 1]
    expected = [(p.probability * 240, (1 - p.right.mean) * 240) for p in points]
    assert np.array(drawn[0][0]) == pytest.approx(np.array(expected), abs=0.06)
    assert drawn[3][0] == [(192.0, 24.0)]
    assert len(drawn[2][0]) < len(absent.threshold)  # at the surest thresholds nobody is answered: no risk
    bars = [line for line in panels[0].iter(f"{SVG}line")]
    assert len(bars) == len(points) + 1  # and the diagonal
    assert "a < b" in [text.text for text in panels[0].iter(f"{SVG}text")]


def read(points: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in points.split())]
