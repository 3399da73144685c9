"""Fingerprint quality against RDKit and loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_material import splits
from rdkit import DataStructs

from specsearch.evaluation.fingerprint_quality import (
    control_figures,
    cosines,
    fingerprint_figures,
    fit_threshold,
    tanimotos,
)
from specsearch.evaluation.intervals import estimate_per_value
from specsearch.evaluation.strata import ALL

RNG = np.random.default_rng(12)
TRUTH = (RNG.random((20, 64)) < 0.3).astype(np.uint8)
PREDICTED = RNG.random((20, 64)).astype(np.float32)


def bit_vector(bits: np.ndarray) -> DataStructs.ExplicitBitVect:
    made = DataStructs.ExplicitBitVect(len(bits))
    made.SetBitsFromList(np.flatnonzero(bits).tolist())
    return made


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_tanimoto_is_rdkits(threshold: float) -> None:
    expected = [
        DataStructs.TanimotoSimilarity(bit_vector(p >= threshold), bit_vector(t))
        for p, t in zip(PREDICTED, TRUTH, strict=True)
    ]
    assert tanimotos(PREDICTED, TRUTH, threshold) == pytest.approx(expected)


def test_cosine_is_the_angle() -> None:
    expected = [
        sum(p * t) / np.sqrt(sum(p**2)) / np.sqrt(float(sum(t)))
        for p, t in zip(PREDICTED, TRUTH, strict=True)
    ]
    assert cosines(PREDICTED, TRUTH) == pytest.approx(expected, rel=1e-5)
    assert cosines(np.zeros((1, 64), np.float32), TRUTH[:1]).tolist() == [0.0]


def test_the_fitted_threshold_is_where_truth_was_hidden() -> None:
    hidden = np.where(TRUTH == 1, 0.42, 0.33).astype(np.float32)
    assert fit_threshold(hidden, TRUTH, np.arange(20)) in (0.35, 0.4)


def test_per_molecule_and_per_spectrum_weigh_differently() -> None:
    predicted = np.concatenate([TRUTH[:1].repeat(3, axis=0), 1 - TRUTH[1:2]]).astype(np.float32)
    truth = TRUTH[[0, 0, 0, 1]]  # three spectra of one molecule are right, one of another is wrong
    molecule, strata = np.array([0, 0, 0, 1]), {ALL: np.ones(4, dtype=bool)}
    figures = fingerprint_figures({"it": (predicted, 0.9)}, truth, molecule, strata)
    found = {f.measure: f.value.mean for f in figures}
    assert found["Tanimoto at 0.5"] == pytest.approx(1 / 2)
    assert found["Tanimoto at 0.5, per spectrum"] == pytest.approx(3 / 4)
    assert found["cosine, per spectrum"] == pytest.approx(3 / 4)


def test_the_interval_per_spectrum_draws_molecules() -> None:
    # Two molecules, one of three spectra: means of a resample are 1, 3/4 or 0, with chances 1/4, 1/2, 1/4.
    found = estimate_per_value([1.0, 1.0, 1.0, 0.0], np.array([0, 0, 0, 1]))
    assert (found.mean, found.low, found.high) == (0.75, 0.0, 1.0)


def test_controls_are_the_mean_and_the_nearest_of_the_training_molecules() -> None:
    made = splits()
    train, asked = made["train"].examples, made["test"]
    rows = np.arange(len(asked))
    truth = asked.examples.fingerprints[asked.examples.molecule]
    figures = control_figures(train, truth, asked.neutral_mass, rows, {ALL: np.ones(len(rows), dtype=bool)})
    found = {(f.score, f.measure): f.value.mean for f in figures}
    at_random, nearest = [], []
    for bits, mass in zip(truth, asked.neutral_mass, strict=True):
        own = bit_vector(bits)
        found_here = [DataStructs.TanimotoSimilarity(own, bit_vector(other)) for other in train.fingerprints]
        at_random.append(np.mean(found_here))
        apart = [abs(theirs - mass) for theirs in train.exact_mass]
        nearest.append(found_here[apart.index(min(apart))])
    assert found["random", "Tanimoto at 0.5"] == pytest.approx(np.mean(at_random), rel=1e-5)
    assert found["mass error only", "Tanimoto at 0.5"] == pytest.approx(np.mean(nearest), rel=1e-5)
    only = replace(train, fingerprints=truth[:1].repeat(len(train.fingerprints), axis=0))
    same = control_figures(only, truth[:1], asked.neutral_mass[:1], rows[:1], {ALL: np.ones(1, dtype=bool)})
    assert [f.value.mean for f in same] == pytest.approx([1.0] * 4)
