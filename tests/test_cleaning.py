"""Cleaning, computed once more peak by peak."""

from __future__ import annotations

import numpy as np
import pytest
from samples import spectra, spectrum

from specsearch.spectra.cleaning import ENCODER_RECIPE, RESCORING_RECIPE, Recipe, clean, prepare
from specsearch.spectra.spectrum import Spectrum

SMALL = Recipe("small", relative_floor=0.3, max_peaks=5)


def by_hand(s: Spectrum, recipe: Recipe) -> list[tuple[float, float]]:
    """Relative intensities, the floor, then the strongest (ties: the lower m/z), by m/z."""
    base = max(s.intensity)
    places = [i for i in range(len(s)) if s.intensity[i] / base >= recipe.relative_floor]
    strongest = sorted(places, key=lambda i: (-s.intensity[i], s.mz[i]))[: recipe.max_peaks]
    return [(s.mz[i], s.intensity[i] / base) for i in sorted(strongest)]


@pytest.mark.parametrize("recipe", [ENCODER_RECIPE, RESCORING_RECIPE, SMALL])
def test_recipes_peak_by_peak(recipe: Recipe) -> None:
    rng = np.random.default_rng(0)
    for s in [*spectra(60), spectrum(rng, 1000)]:
        prepared = clean(s, recipe)
        assert list(zip(prepared.mz, prepared.intensity, strict=True)) == by_hand(s, recipe)
        assert prepared.precursor_mz == s.precursor_mz
        assert prepared.intensity.max() == 1.0


def test_the_floor_includes_its_bound_and_zeros_go() -> None:
    s = Spectrum.checked([10, 20, 30, 40], [100.0, 1.0, 0.999, 0.0])
    assert clean(s, ENCODER_RECIPE).mz.tolist() == [10, 20]


def test_equal_peaks_are_kept_from_the_lower_end() -> None:
    s = Spectrum.checked(np.arange(1.0, 11.0), np.ones(10))
    assert clean(s, SMALL).mz.tolist() == [1, 2, 3, 4, 5]


def test_scale_does_not_matter_and_nothing_given_is_changed() -> None:
    s = spectrum(np.random.default_rng(3), 50)
    mz, intensity = s.mz.copy(), s.intensity.copy()
    once = prepare(mz, intensity, None, ENCODER_RECIPE)
    scaled = prepare(mz, intensity * 2.0**20, None, ENCODER_RECIPE)
    np.testing.assert_array_equal(once.intensity, scaled.intensity)
    np.testing.assert_array_equal((mz, intensity), (s.mz, s.intensity))


def test_preparing_twice_is_preparing_once() -> None:
    for s in spectra(20):
        once = clean(s, ENCODER_RECIPE)
        twice = prepare(once.mz, once.intensity, once.precursor_mz, ENCODER_RECIPE)
        np.testing.assert_array_equal((once.mz, once.intensity), (twice.mz, twice.intensity))
