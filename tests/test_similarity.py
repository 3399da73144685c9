"""Exact similarities against matchms, ms_entropy and plain loops."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from matchms import Spectrum as MatchmsSpectrum
from matchms.similarity import ModifiedCosineGreedy
from ms_entropy import calculate_entropy_similarity
from samples import spectra, spectrum

from specsearch.chemistry.tolerance import Tolerance
from specsearch.spectra.cleaning import RESCORING_RECIPE, Peaks, clean, prepare
from specsearch.spectra.similarity import entropy_similarity, modified_cosine

MATCHMS = ModifiedCosineGreedy(tolerance=0.02, intensity_power=0.5)


@pytest.fixture(scope="module", autouse=True)
def matchms_as_written() -> Iterator[None]:
    """matchms' own functions before numba compiles them, which would take longer than all pairs here."""
    parts = ("spectrum_similarity_functions", "CosineGreedy", "ModifiedCosineGreedy")
    with pytest.MonkeyPatch.context() as patch:
        for module in (import_module(f"matchms.similarity.{part}") for part in parts):
            for name, function in list(vars(module).items()):
                if hasattr(function, "py_func"):
                    patch.setattr(module, name, function.py_func)
        yield


def random_peaks(n: int, seed: int = 0, longest: int = 60) -> list[Peaks]:
    rng = np.random.default_rng(seed)
    return [clean(spectrum(rng, int(rng.integers(1, longest))), RESCORING_RECIPE) for _ in range(n)]


def real_peaks(data_dir: Path, n: int) -> list[Peaks]:
    """Neighbours in the table: many of one molecule, at several energies and with several adducts."""
    with pq.ParquetFile(data_dir / "massbank.parquet") as file:
        batch = next(file.iter_batches(2 * n, columns=["mz", "intensity", "precursor_mz"]))
    rows = [row for row in batch.to_pylist() if row["precursor_mz"] and row["mz"]]
    return [
        prepare(np.array(r["mz"]), np.array(r["intensity"], float), r["precursor_mz"], RESCORING_RECIPE)
        for r in rows[:n]
    ]


def by_matchms(query: Peaks, candidate: Peaks) -> tuple[float, int]:
    a, b = (
        MatchmsSpectrum(p.mz, p.intensity, {"precursor_mz": p.precursor_mz}, metadata_harmonization=False)
        for p in (query, candidate)
    )
    found = MATCHMS.pair(a, b)
    return float(found["score"]), int(found["matches"])


def require_matchms(query: Peaks, candidates: list[Peaks]) -> int:
    """Same score and matches; where equal products leave greedy a choice, only nearly. Number not exact."""
    scores, n_matched = modified_cosine(query, candidates)
    n_not_exact = 0
    for score, n, candidate in zip(scores, n_matched, candidates, strict=True):
        expected, n_expected = by_matchms(query, candidate)
        if n == n_expected and score == pytest.approx(expected, abs=1e-6):
            continue
        assert by_matchms(candidate, query) != (expected, n_expected), "no choice, and yet another answer"
        assert score == pytest.approx(expected, abs=0.05)
        n_not_exact += 1
    return n_not_exact


def test_modified_cosine_of_random_spectra_is_matchms() -> None:
    batch = random_peaks(40)
    assert sum(require_matchms(query, batch) for query in batch[:10]) == 0


def test_modified_cosine_of_real_spectra_is_matchms(data_dir: Path) -> None:
    batch = real_peaks(data_dir, 300)
    not_exact = [require_matchms(batch[i], batch[i : i + 5]) for i in range(0, 300, 5)]
    assert sum(not_exact) <= 3  # of 300


def test_modified_cosine_by_hand() -> None:
    query = Peaks(np.array([100.0, 150.0, 200.0]), np.array([0.25, 1.0, 0.64]), 300.0)
    analogue = Peaks(np.array([100.01, 164.0, 250.0]), np.array([1.0, 0.36, 0.49]), 314.0)
    scores, n_matched = modified_cosine(query, [analogue])
    matched = 0.5 * 1.0 + 1.0 * 0.6  # 100 directly; 150 as 164, shifted by 14
    norms = math.sqrt(0.25 + 1.0 + 0.64) * math.sqrt(1.0 + 0.36 + 0.49)
    assert scores.tolist() == pytest.approx([matched / norms])
    assert n_matched.tolist() == [2]


def test_without_a_precursor_nothing_is_shifted() -> None:
    a = Peaks(np.array([100.0, 150.0]), np.array([1.0, 1.0]), None)
    b = Peaks(np.array([100.0, 164.0]), np.array([1.0, 1.0]), 314.0)
    for query, candidate in ((a, b), (b, a)):
        scores, n_matched = modified_cosine(query, [candidate])
        assert (scores[0], n_matched[0]) == (pytest.approx(0.5), 1)


def test_precursors_within_tolerance_do_not_widen_the_window() -> None:
    """Two precursors 0.015 Da apart are one precursor: peaks 0.03 Da apart must not meet through it."""
    a = Peaks(np.array([100.0, 150.0]), np.array([1.0, 1.0]), 300.0)
    b = Peaks(np.array([100.03, 150.0]), np.array([1.0, 1.0]), 300.015)
    assert modified_cosine(a, [b])[1].tolist() == [1]
    assert by_matchms(a, b)[1] == 1


@pytest.mark.parametrize("tolerance", [Tolerance(0.02, "Da"), Tolerance(20, "ppm")])
def test_modified_cosine_of_a_spectrum_with_itself_is_one(tolerance: Tolerance) -> None:
    batch = [p for p in random_peaks(20) if np.diff(p.mz, append=1e9).min() > 0.05]
    assert len(batch) > 5
    for peaks in batch:
        scores, n_matched = modified_cosine(peaks, [peaks], tolerance)
        assert (scores[0], n_matched[0]) == (pytest.approx(1.0), len(peaks.mz))


def test_a_shortlist_is_scored_as_each_of_its_members() -> None:
    query, *batch = random_peaks(30, seed=3)
    together = modified_cosine(query, batch)
    alone = [modified_cosine(query, [peaks]) for peaks in batch]
    np.testing.assert_allclose(together[0], [score[0] for score, _ in alone], atol=1e-12)
    assert together[1].tolist() == [n[0] for _, n in alone]
    assert [len(values) for values in modified_cosine(query, [])] == [0, 0]
    assert len(entropy_similarity(query, [])) == 0


def spectral_entropy(weights: list[float]) -> float:
    total = sum(weights)
    return -sum(w / total * math.log(w / total) for w in weights if w > 0)


def weighted(intensity: list[float]) -> list[float]:
    """Low-entropy spectra are flattened: Li et al., Nature Methods 18, 1524 (2021)."""
    entropy = spectral_entropy(intensity)
    raised = [i ** (0.25 + 0.25 * entropy) if entropy < 3 else i for i in intensity]
    return [i / sum(raised) for i in raised]


def entropy_by_hand(a: Peaks, b: Peaks, tolerance_da: float) -> float:
    """1 - (2 S_AB - S_A - S_B) / ln 4 over peaks merged within the tolerance; peaks far apart only."""
    left, right = weighted(a.intensity.tolist()), weighted(b.intensity.tolist())
    merged: list[float] = []
    unmatched = dict(enumerate(right))
    for mz, weight in zip(a.mz, left, strict=True):
        partner = next((j for j in unmatched if abs(b.mz[j] - mz) <= tolerance_da), None)
        merged.append(weight + (unmatched.pop(partner) if partner is not None else 0.0))
    merged += unmatched.values()
    mixed = spectral_entropy(merged)
    return 1 - (2 * mixed - spectral_entropy(left) - spectral_entropy(right)) / math.log(4)


def sparse_peaks(rng: np.random.Generator) -> Peaks:
    """Peaks at least 1 Da apart, so that merging leaves no choice."""
    n = int(rng.integers(1, 40))
    mz = np.sort(rng.choice(np.arange(50, 150), n, replace=False)) + rng.uniform(-0.015, 0.015, n)
    intensity = rng.uniform(0.01, 1.0, n) ** 3
    return prepare(mz, intensity, None, RESCORING_RECIPE)


def test_entropy_similarity_from_its_definition() -> None:
    rng = np.random.default_rng(1)
    batch = [sparse_peaks(rng) for _ in range(30)]
    for query in batch[:10]:
        expected = [entropy_by_hand(query, candidate, 0.02) for candidate in batch]
        np.testing.assert_allclose(entropy_similarity(query, batch), expected, atol=2e-4)  # float32 m/z


def test_entropy_similarity_is_ms_entropys_on_the_raw_lists() -> None:
    """Our recipe, then ms_entropy: the same as ms_entropy with its own cleaning alone."""
    batch = spectra(40, seed=9)
    raw = [np.column_stack([s.mz, s.intensity]).astype(np.float32) for s in batch]
    prepared = [clean(s, RESCORING_RECIPE) for s in batch]
    for i in range(0, 40, 4):
        expected = [
            calculate_entropy_similarity(
                raw[i], other, ms2_tolerance_in_da=0.02, clean_spectra=True, noise_threshold=0.01
            )
            for other in raw
        ]
        np.testing.assert_allclose(entropy_similarity(prepared[i], prepared), expected, atol=1e-5)


def test_entropy_tolerance_in_ppm() -> None:
    a, b = (Peaks(np.array([mz]), np.array([1.0]), None) for mz in (500.0, 500.004))
    assert entropy_similarity(a, [b], Tolerance(10, "ppm"))[0] == pytest.approx(1.0)
    assert entropy_similarity(a, [b], Tolerance(5, "ppm"))[0] == pytest.approx(0.0)
    assert entropy_similarity(a, [b], Tolerance(0.005, "Da"))[0] == pytest.approx(1.0)
    assert entropy_similarity(a, [b], Tolerance(0.003, "Da"))[0] == pytest.approx(0.0)
