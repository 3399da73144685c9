"""Sparse vectors against a loop over peaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from samples import spectra, spectrum

from specsearch.spectra.binned import BINNING_RECIPE, BinningRecipe, SparseRows, bin_spectra
from specsearch.spectra.cleaning import ENCODER_RECIPE, Peaks, clean


def peaks_of(mz: list[float], intensity: list[float], precursor_mz: float | None) -> Peaks:
    return Peaks(np.array(mz), np.array(intensity), precursor_mz)


def by_hand(positions: list[float], heights: list[float], recipe: BinningRecipe) -> dict[int, float]:
    """Each peak shared between its bin and the nearer neighbour, by its distance to the bin's centre."""
    bins: dict[int, float] = {}
    for position, height in zip(positions, heights, strict=True):
        if position >= recipe.max_mz:
            continue
        own = math.floor(position / recipe.bin_width_da)
        off = position / recipe.bin_width_da - (own + 0.5)  # -0.5 .. 0.5
        neighbour = max(0, own + (1 if off >= 0 else -1))
        weight = height**recipe.intensity_power
        bins[own] = bins.get(own, 0.0) + weight * (1 - abs(off))
        bins[neighbour] = bins.get(neighbour, 0.0) + weight * abs(off)
    norm = math.sqrt(sum(value**2 for value in bins.values()))
    return {index: value / norm for index, value in bins.items()}


def fragments_and_losses(
    p: Peaks, recipe: BinningRecipe = BINNING_RECIPE
) -> tuple[dict[int, float], dict[int, float]]:
    peaks = list(zip(p.mz.tolist(), p.intensity.tolist(), strict=True))
    if p.precursor_mz is None:
        return by_hand([m for m, _ in peaks], [i for _, i in peaks], recipe), {}
    margin = recipe.precursor_margin_da
    kept = [(m, i) for m, i in peaks if abs(p.precursor_mz - m) > margin]
    lost = [(p.precursor_mz - m, i) for m, i in peaks if p.precursor_mz - m > margin]
    return (
        by_hand([m for m, _ in kept], [i for _, i in kept], recipe),
        by_hand([m for m, _ in lost], [i for _, i in lost], recipe),
    )


def as_dict(rows: SparseRows, i: int) -> dict[int, float]:
    indices, values = rows.row(i)
    assert np.all(np.diff(indices.astype(np.int64)) > 0)
    return dict(zip(indices.tolist(), values.tolist(), strict=True))


def dot(a: dict[int, float], b: dict[int, float]) -> float:
    return sum(value * b.get(index, 0.0) for index, value in a.items())


@pytest.mark.parametrize("recipe", [BINNING_RECIPE, BinningRecipe("wide", 1.0, 0.5, 17.0, 400.0)])
def test_vectors_peak_by_peak(recipe: BinningRecipe) -> None:
    batch = [clean(s, ENCODER_RECIPE) for s in spectra(80, seed=6)]
    peaks, losses = bin_spectra(batch, recipe)
    assert (peaks.indices.dtype, peaks.values.dtype) == (np.uint32, np.float32)
    assert len(peaks) == len(losses) == len(batch)
    for i, prepared in enumerate(batch):
        fragments, lost = fragments_and_losses(prepared, recipe)
        assert as_dict(peaks, i) == pytest.approx(fragments, abs=1e-6)
        assert as_dict(losses, i) == pytest.approx(lost, abs=1e-6)


def test_rows_do_not_depend_on_their_company() -> None:
    batch = [clean(s, ENCODER_RECIPE) for s in spectra(20)]
    together = bin_spectra(batch)
    for i, prepared in enumerate(batch):
        for rows, alone in zip(together, bin_spectra([prepared]), strict=True):
            np.testing.assert_array_equal(rows.row(i), alone.row(0))


def test_unit_norm_or_empty() -> None:
    batch = [clean(s, ENCODER_RECIPE) for s in spectra(50, longest=5)]
    for rows in bin_spectra(batch):
        norms = [np.linalg.norm(rows.row(i)[1]) for i in range(len(rows)) if len(rows.row(i)[0])]
        np.testing.assert_allclose(norms, 1.0, atol=1e-6)
    has_losses = np.diff(bin_spectra(batch)[1].offsets) > 0
    assert 0 < has_losses.sum() < len(batch)
    assert not any(has for has, p in zip(has_losses, batch, strict=True) if p.precursor_mz is None)


def test_what_has_no_vector() -> None:
    only_the_precursor = peaks_of([300.2, 301.0], [0.5, 1.0], 300.0)
    above = peaks_of([320.0], [1.0], 300.0)
    beyond = peaks_of([6000.0], [1.0], None)
    peaks, losses = bin_spectra([only_the_precursor, above, beyond])
    assert np.diff(peaks.offsets).tolist() == [0, 2, 0]
    assert np.diff(losses.offsets).tolist() == [0, 0, 0]
    empty, nothing = bin_spectra([])
    assert (len(empty), len(nothing)) == (0, 0)


def test_a_spectrum_is_itself() -> None:
    for s in spectra(30):
        prepared = clean(s, ENCODER_RECIPE)
        for rows in bin_spectra([prepared, prepared]):
            if len(rows.row(0)[0]):
                assert dot(as_dict(rows, 0), as_dict(rows, 1)) == pytest.approx(1.0, abs=1e-6)


def test_a_small_shift_keeps_most_of_the_score_and_a_large_one_none() -> None:
    rng = np.random.default_rng(8)
    s = spectrum(rng, 40, precursor_mz=None)
    mz = np.arange(100.0, 500.0, 10.0) + rng.uniform(0, 0.02, 40)
    shifted = [Peaks(mz + shift, s.intensity, None) for shift in (0.0, 0.005, 0.01, 0.02, 0.07)]
    rows = bin_spectra(shifted)[0]
    scores = [dot(as_dict(rows, 0), as_dict(rows, i)) for i in range(5)]
    assert scores[0] == pytest.approx(1.0, abs=1e-6)
    assert scores[1] > 0.85
    assert scores[0] > scores[1] > scores[2] > scores[3] > scores[4] == 0.0


def test_losses_survive_a_shift_of_the_whole_spectrum() -> None:
    """An analogue with 14.01565 Da more on every fragment: no common fragment, all losses alike."""
    s = spectrum(np.random.default_rng(5), 30, precursor_mz=900.0)
    heavier = Peaks(s.mz + 14.01565, s.intensity, 900.0 + 14.01565)
    peaks, losses = bin_spectra([Peaks(s.mz, s.intensity, 900.0), heavier])
    assert dot(as_dict(losses, 0), as_dict(losses, 1)) == pytest.approx(1.0, abs=1e-3)
    assert dot(as_dict(peaks, 0), as_dict(peaks, 1)) < 0.2


def test_the_lowest_bin_has_no_neighbour_below() -> None:
    rows = bin_spectra([peaks_of([0.001], [1.0], None)])[0]
    assert as_dict(rows, 0) == {0: pytest.approx(1.0)}
